"""The formula of a `multi` grader: arithmetic over the grades of its parts.

Read by Python's own parser and evaluated by walking its tree, in which only what is listed
here may occur. `^` is a power, as in the guide, and binds as Python's `**` does.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

MAX_CHARACTERS = 1_000
"""Longer is no formula."""

MAX_KEPT = 256
"""Formulas kept read: a run grades all its samples by one."""

OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}

SIGNS: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}

Function = Callable[[list[float]], float]

FUNCTIONS: Mapping[str, Function] = {
    "min": min,
    "max": max,
    "abs": lambda values: abs(*values),
    "floor": lambda values: math.floor(*values),
    "ceil": lambda values: math.ceil(*values),
    "exp": lambda values: math.exp(*values),
    "sqrt": lambda values: math.sqrt(*values),
    "log": lambda values: math.log(*values),
}
"""`log` is natural."""

OF_MANY = ("min", "max")


class FormulaError(ValueError):
    """No formula, or one without a value for these grades."""


def parse(text: str, names: Collection[str]) -> ast.expr:
    """The formula's tree, in which every node is known to `evaluate`.

    Raises:
        FormulaError: it is no formula over `names`.
    """
    return parsed(text, frozenset(names))


@lru_cache(MAX_KEPT)
def parsed(text: str, names: frozenset[str]) -> ast.expr:
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"over {MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        check(tree, names)
    except FormulaError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError("not a formula") from None
    return tree


def check(node: ast.expr, names: Collection[str]) -> None:
    match node:
        case ast.Constant(value=int() | float() as number) if is_finite(number):
            pass
        case ast.Name(id=name):
            if name not in names:
                raise FormulaError(f"there is no grader {name!r}")
        case ast.UnaryOp(op=sign, operand=inner) if type(sign) in SIGNS:
            check(inner, names)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in OPERATORS:
            check(left, names)
            check(right, names)
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            if function not in FUNCTIONS:
                raise FormulaError(f"there is no function {function!r}")
            if len(arguments) != 1 and not (arguments and function in OF_MANY):
                raise FormulaError(f"{function} takes another number of values")
            for argument in arguments:
                check(argument, names)
        case _:
            allowed = "numbers, graders, + - * / ^ and functions"
            raise FormulaError(f"{type(node).__name__} has no place here: only {allowed}")


def is_finite(value: float) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond floats
        return False


def evaluate(tree: ast.expr, values: Mapping[str, float]) -> float:
    """The formula's value.

    Raises:
        FormulaError: it has none that is a finite number.
    """
    try:
        value = value_of(tree, values)
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise FormulaError(f"the formula has no value: {error}") from None
    if isinstance(value, complex) or not is_finite(value):
        raise FormulaError("the formula's value is not a finite number")
    return float(value)


def value_of(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=sign, operand=inner):
            return SIGNS[type(sign)](value_of(inner, values))
        case ast.BinOp(left=left, op=operation, right=right):
            return OPERATORS[type(operation)](value_of(left, values), value_of(right, values))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return FUNCTIONS[function]([value_of(argument, values) for argument in arguments])
    raise FormulaError("not checked")
