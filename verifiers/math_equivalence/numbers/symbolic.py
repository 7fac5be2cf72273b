"""SymPy for what is left: integrals, limits, derivatives, infinite sums.

Imported in a worker, and only when an answer or a reference needs it. SymPy may run for
hours, so it works under a budget: every function call and return of Python that it makes
is counted by the interpreter's profiling hook, and beyond the budget it is stopped by an
exception. Unlike an alarm this needs no signal, so it works in every thread, and unlike a
clock it stops at the same place on every machine. What spends its time inside one call of
C is kept small by the limits on numbers; a worker's own CPU limit stays behind it all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from inspect import CO_GENERATOR
from types import FrameType
from typing import Any, Final

import sympy
from sympy.core.cache import clear_cache

from verifiers.math_equivalence.limits import MAX_EXACT_BITS
from verifiers.math_equivalence.numbers.evaluate import numerics
from verifiers.math_equivalence.read.expression import (
    BigOperator,
    Call,
    Constant,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Root,
    Sum,
    Symbol,
    contains,
    rebuilt,
    walk,
)  # fmt: skip

CALL_BUDGET: Final = 1_500_000
"""Calls and returns, Python's and C's; a quarter of a second."""

MAX_NODES: Final = 60
MAX_EXPONENT: Final = 64


BEGINNINGS: Final = ("call", "c_call")


class UndecidedError(Exception):
    """SymPy gave no closed form, or none within its budget."""


class OverBudget(BaseException):
    """Raised inside SymPy. Not an `Exception`, so that no handler of its swallows it."""


@contextmanager
def budget(calls: int) -> Iterator[None]:
    """Stops what runs inside after so many calls and returns.

    Only where a function begins, and outside of generators: one may be running because
    it is being discarded, and what is raised there is lost.
    """
    left = calls

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0 and event in BEGINNINGS and not frame.f_code.co_flags & CO_GENERATOR:
            raise OverBudget

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(previous)


@lru_cache(maxsize=4096)
def solution(node: Node) -> Node | str:
    """`node` with every integral, limit and infinite sum replaced by its value, or why not.

    SymPy's own cache is emptied first, so that the budget reaches equally far whatever was
    asked before.
    """
    with numerics:
        clear_cache()
        try:
            with budget(CALL_BUDGET):
                return with_values(node)
        except OverBudget:
            return "no closed form within the budget"
        except (UndecidedError, ArithmeticError, ValueError, TypeError, NotImplementedError,
                AttributeError, RecursionError, LookupError, AssertionError) as error:  # fmt: skip
            return f"no closed form: {type(error).__name__}"


def solved(node: Node) -> Node:
    """As `solution`.

    Raises:
        UndecidedError: there is no closed form, or none within the budget.
    """
    found = solution(node)
    if isinstance(found, str):
        raise UndecidedError(found)
    return found


def with_values(node: Node) -> Node:
    if isinstance(node, BigOperator):
        if sum(1 for _ in walk(node)) > MAX_NODES:
            raise UndecidedError("too large for algebra")
        return from_sympy(operator(node))
    return rebuilt(node, with_values) if contains(node, BigOperator) else node


def operator(node: BigOperator) -> Any:
    """The value that SymPy finds for one operator."""
    variable = sympy.Symbol(node.variable, real=node.kind != "limit")
    body = to_sympy(node.body, {node.variable: variable})
    lower = None if node.lower is None else to_sympy(node.lower, {})
    upper = None if node.upper is None else to_sympy(node.upper, {})
    if node.kind == "integral":
        bounds = variable if lower is None or upper is None else (variable, lower, upper)
        value = sympy.integrate(body, bounds)
        return value if bounds is not variable else value + sympy.Symbol("C", real=True)
    if node.kind == "limit" and lower is not None:
        return sympy.limit(body, variable, lower)
    if node.kind in ("sum", "product") and lower is not None and upper is not None:
        kind = sympy.Sum if node.kind == "sum" else sympy.Product
        return kind(body, (variable, lower, upper)).doit()
    raise UndecidedError(node.kind)


# --- to SymPy and back ------------------------------------------------------------------

CONSTANTS: Final = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
INVERTIBLE: Final = "sin cos tan cot sec csc sinh cosh tanh".split()
OTHERS: Final = "log factorial binomial floor erf zeta".split()
CALLS: Final[dict[str, Callable[..., Any]]] = {
    **{name: getattr(sympy, name) for name in (*INVERTIBLE, *OTHERS)},
    **{f"arc{name}": getattr(sympy, f"a{name}") for name in INVERTIBLE},
    "ln": sympy.log, "abs": sympy.Abs, "Gamma": sympy.gamma, "ceil": sympy.ceiling,
}  # fmt: skip


def to_sympy(node: Node, bound: dict[str, Any]) -> Any:
    if isinstance(node, Number):
        return sympy.Rational(node.value.numerator, node.value.denominator)
    if isinstance(node, Symbol):
        return bound.get(node.name) or sympy.Symbol(node.name, real=True)
    if isinstance(node, Constant) and node.name in CONSTANTS:
        return CONSTANTS[node.name]
    if isinstance(node, Sum):
        return sympy.Add(*(to_sympy(term, bound) for term in node.terms))
    if isinstance(node, Product):
        return sympy.Mul(*(to_sympy(factor, bound) for factor in node.factors))
    if isinstance(node, Quotient):
        return to_sympy(node.numerator, bound) / to_sympy(node.denominator, bound)
    if isinstance(node, Power):
        return to_sympy(node.base, bound) ** checked_exponent(to_sympy(node.exponent, bound))
    if isinstance(node, Root):
        return to_sympy(node.radicand, bound) ** (
            1 / checked_exponent(to_sympy(node.degree, bound))
        )
    if isinstance(node, Call) and node.name in CALLS:
        return CALLS[node.name](*(to_sympy(argument, bound) for argument in node.arguments))
    raise UndecidedError(type(node).__name__.lower())


def checked_exponent(exponent: Any) -> Any:
    """Numeric exponents stay small: SymPy multiplies powers out."""
    if exponent.is_number and not abs(exponent) <= MAX_EXPONENT:
        raise UndecidedError("too large an exponent")
    return exponent


BACK: Final = {sympy.pi: "pi", sympy.E: "e", sympy.I: "i", sympy.oo: "infinity"}
NAMES: Final = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "log": "ln", "Abs": "abs",
                "ceiling": "ceil", "gamma": "Gamma"}  # fmt: skip


def from_sympy(value: Any) -> Node:
    """A closed form as our expression; zeta at even integers and the like are closed by now."""
    if value in BACK:
        return Constant(BACK[value])  # type: ignore[arg-type]
    if value.is_Rational:
        numerator, denominator = int(value.p), int(value.q)
        if max(numerator.bit_length(), denominator.bit_length()) > MAX_EXACT_BITS:
            raise UndecidedError("a number of too many digits")
        return Number(Fraction(numerator, denominator) if denominator != 1 else numerator)
    if value.is_Symbol:
        return Symbol(value.name)
    parts = tuple(from_sympy(part) for part in value.args)
    if value.is_Add:
        return Sum(parts)
    if value.is_Mul:
        return Product(parts)
    if value.is_Pow:
        return Power(*parts)
    if isinstance(value, sympy.exp):
        return Power(Constant("e"), parts[0])
    name = type(value).__name__
    name = NAMES.get(name, name)
    if parts and (name in CALLS or name == "arctan"):
        return Call(name, parts)
    raise UndecidedError(f"no closed form: {name}")
