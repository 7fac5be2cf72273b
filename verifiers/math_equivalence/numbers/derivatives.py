"""Derivatives of expressions, as expressions."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from verifiers.math_equivalence.numbers.enclosures import (
    UnprovenError,
    divided_exponent,
    exact_exponent,
)  # fmt: skip
from verifiers.math_equivalence.read.expression import (
    MINUS_ONE,
    ONE,
    ZERO,
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
    free_symbols,
)  # fmt: skip

E: Final = Constant("e")


def plus(*terms: Node) -> Node:
    kept = tuple(term for term in terms if term != ZERO)
    return ZERO if not kept else kept[0] if len(kept) == 1 else Sum(kept)


def times(*factors: Node) -> Node:
    if ZERO in factors:
        return ZERO
    kept = tuple(factor for factor in factors if factor != ONE)
    return ONE if not kept else kept[0] if len(kept) == 1 else Product(kept)


def derivative(node: Node, name: str) -> Node:
    """d node / d name.

    Raises:
        UnprovenError: it is not known.
    """
    if name not in free_symbols(node):
        return ZERO
    if isinstance(node, Symbol):
        return ONE
    if isinstance(node, Sum):
        return plus(*(derivative(term, name) for term in node.terms))
    if isinstance(node, Product):
        return plus(
            *(
                times(derivative(factor, name), *node.factors[:index], *node.factors[index + 1 :])
                for index, factor in enumerate(node.factors)
            )
        )
    if isinstance(node, Quotient):
        upper, lower = node.numerator, node.denominator
        if name not in free_symbols(lower):
            return Quotient(derivative(upper, name), lower)
        falls = Quotient(derivative(lower, name), Power(lower, Number(2)))
        rises = Quotient(derivative(upper, name), lower) if name in free_symbols(upper) else ZERO
        return plus(rises, times(MINUS_ONE, upper, falls))
    if isinstance(node, Root):
        node = Power(node.radicand, divided_exponent(ONE, node.degree))
    if isinstance(node, Power):
        base, exponent = node.base, node.exponent
        if name not in free_symbols(exponent):
            exact = exact_exponent(exponent)
            less = plus(exponent, MINUS_ONE) if exact is None else Number(exact - 1)
            lowered = ONE if less == ZERO else base if less == ONE else Power(base, less)
            return times(exponent, lowered, derivative(base, name))
        logarithmic = times(derivative(exponent, name), Call("ln", (base,)))
        if name in free_symbols(base):
            growth = Quotient(derivative(base, name), base)
            logarithmic = plus(logarithmic, times(exponent, growth))
        elif base == E:
            logarithmic = derivative(exponent, name)
        return times(node, logarithmic)
    if isinstance(node, Call):
        first = node.arguments[0]
        outer = outer_derivative(node.name, first, node)
        if any(name in free_symbols(other) for other in node.arguments[1:]):
            raise UnprovenError(node.name)
        return times(outer, derivative(first, name))
    raise UnprovenError(type(node).__name__)


def outer_derivative(function: str, x: Node, node: Call) -> Node:
    """f'(x)."""
    square = times(x, x)
    if function == "ln" or (function == "log" and len(node.arguments) == 1):
        return Quotient(ONE, x)
    if function == "log":
        return Quotient(ONE, times(x, Call("ln", (node.arguments[1],))))
    if function == "sin":
        return Call("cos", (x,))
    if function == "cos":
        return times(MINUS_ONE, Call("sin", (x,)))
    if function == "sinh":
        return Call("cosh", (x,))
    if function == "cosh":
        return Call("sinh", (x,))
    if function == "tanh":
        return plus(ONE, times(MINUS_ONE, node, node))
    if function == "arctan":
        return Quotient(ONE, plus(ONE, square))
    if function == "percent":
        return Number(Fraction(1, 100))
    raise UnprovenError(function)
