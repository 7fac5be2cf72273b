"""The value of an expression at a point: exact where it is rational, else to many digits.

Exact values are `int` and `Fraction`, others mpmath's real and complex numbers in a
context of our own. Sizes are checked before anything is computed. mpmath keeps constants
in module state that threads would race for, so `numerics` is a lock that whoever
evaluates holds.

Conventions: roots and fractional powers of negative numbers are real where the degree is
odd, otherwise principal; 0^0 is 1; `\\log` without a base takes `log_base`.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from verifiers.math_equivalence.limits import MAX_STEPS, MAX_TERMS, TooLargeError
from verifiers.math_equivalence.numbers.functions import FUNCTIONS
from verifiers.math_equivalence.numbers.values import (
    CONTEXT,
    NeedsAlgebraError,
    NotNumericError,
    UndefinedError,
    Value,
    add,
    divide,
    exponential,
    is_exact,
    is_real,
    magnitude_bits,
    multiply,
    power,
    root,
)  # fmt: skip
from verifiers.math_equivalence.read.expression import (
    Applied,
    BasedNumber,
    BigOperator,
    Call,
    Constant,
    Letters,
    Matrix,
    Node,
    Number,
    Piecewise,
    Power,
    Product,
    Quotient,
    Ratio,
    Relation,
    Root,
    Sum,
    Symbol,
    applied_name,
    free_symbols,
)  # fmt: skip

numerics: Final = threading.RLock()

CONSTANTS: Final[dict[str, Callable[[], Value]]] = {
    "pi": lambda: +CONTEXT.pi,
    "e": lambda: +CONTEXT.e,
    "i": lambda: CONTEXT.mpc(0, 1),
    "infinity": lambda: CONTEXT.inf,
}


ABSORBING: Final = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh coth sech csch arcsin arccos arctan arccot arcsec "
    "arccsc arcsinh arccosh arctanh log ln erf Gamma".split()
)
"""Functions that lose a small argument, or the difference between large ones."""
SATURATING: Final = frozenset(("tanh", "coth", "erf"))
ORDERS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
MAX_DETERMINANT: Final = 8
MAX_SPREAD: Final = 1_000_000


class Evaluator:
    """Evaluates expressions at one precision, within one budget of steps.

    Args:
        digits: decimal digits of what is not exact.
        log_base: the base of logarithms that state none; None for e.
        measures: whether to note `bits_lost`.
    """

    def __init__(self, digits: int, *, log_base: int | None = None, measures: bool = False) -> None:
        self.digits = digits
        self.log_base = log_base
        self.steps = 0
        self.infinite = False
        """Infinity was met on the way to the value."""
        self.measures = measures
        self.bits_lost = 0.0
        """Over how many bits summands are spread: 1 + e^{-500} is 1 to more than 700, and
        so are tanh 250 and cos 10^{-108}. To tell them from 1 takes more."""

    def value(self, node: Node, point: Mapping[str, Value]) -> Value:
        """The value of `node` where its variables are as in `point`.

        Raises:
            UndefinedError: it has none there.
            NotNumericError: it is not a number at all, or a variable is missing.
            TooLargeError: it, or the work, is beyond a limit.
        """
        with numerics:
            CONTEXT.dps = self.digits
            self.infinite = False
            value = checked(self._value(node, point))
            if self.infinite and (is_exact(value) or not CONTEXT.isinf(value)):
                raise UndefinedError("arithmetic with infinity")
            return value

    def _value(self, node: Node, point: Mapping[str, Value]) -> Value:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooLargeError("too many operations")
        rule = RULES.get(type(node))
        if rule is None:
            raise NotNumericError(type(node).__name__)
        return rule(self, node, point)

    def _number(self, node: Number, point: Mapping[str, Value]) -> Value:
        return node.value

    def _symbol(self, node: Symbol, point: Mapping[str, Value]) -> Value:
        try:
            return point[node.name]
        except KeyError:
            raise NotNumericError(node.name) from None

    def _applied(self, node: Applied, point: Mapping[str, Value]) -> Value:
        try:
            return point[applied_name(node)]
        except KeyError:
            raise NotNumericError(node.name) from None

    def _constant(self, node: Constant, point: Mapping[str, Value]) -> Value:
        self.infinite |= node.name == "infinity"
        try:
            return CONSTANTS[node.name]()
        except KeyError:
            raise UndefinedError(node.name) from None

    def _sum(self, node: Sum, point: Mapping[str, Value]) -> Value:
        values = [self._value(term, point) for term in node.terms]
        if self.measures:
            self.note(values)
        total: Value = 0
        for value in values:
            total = add(total, value)
        return total

    def _product(self, node: Product, point: Mapping[str, Value]) -> Value:
        total: Value = 1
        for factor in node.factors:
            total = multiply(total, self._value(factor, point))
        return total

    def _quotient(self, node: Quotient, point: Mapping[str, Value]) -> Value:
        return divide(self._value(node.numerator, point), self._value(node.denominator, point))

    def _ratio(self, node: Ratio, point: Mapping[str, Value]) -> Value:
        if len(node.terms) != 2:
            raise NotNumericError("a ratio of several")
        return divide(self._value(node.terms[0], point), self._value(node.terms[1], point))

    def _power(self, node: Power, point: Mapping[str, Value]) -> Value:
        exponent = self._value(node.exponent, point)
        if isinstance(node.base, Constant) and node.base.name == "e":
            return exponential(exponent)
        base = self._value(node.base, point)
        if base == 0 and point and free_symbols(node.exponent):
            raise UndefinedError("zero to a power that varies")
        return power(base, exponent)

    def _root(self, node: Root, point: Mapping[str, Value]) -> Value:
        return root(self._value(node.radicand, point), self._value(node.degree, point))

    def _call(self, node: Call, point: Mapping[str, Value]) -> Value:
        if node.name == "det" and isinstance(node.arguments[0], Matrix):
            return self._determinant(node.arguments[0], point)
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise NotNumericError(node.name)
        arguments = [self._value(argument, point) for argument in node.arguments]
        if node.name == "log" and len(arguments) == 1 and self.log_base:
            arguments.append(self.log_base)
        if not function.takes(len(arguments)):
            raise NotNumericError(f"{node.name} of {len(arguments)}")
        if self.measures and node.name in ABSORBING:
            size = abs(arguments[0])
            saturates = node.name in SATURATING and size > 1
            self.note([1, size])
            if saturates:
                self.bits_lost = max(self.bits_lost, 3 * float(min(size, MAX_SPREAD)))
        return function.apply(*arguments)

    def _piecewise(self, node: Piecewise, point: Mapping[str, Value]) -> Value:
        for value, condition in zip(node.values, node.conditions, strict=True):
            if condition is None or self.holds(condition, point):
                return self._value(value, point)
        raise UndefinedError("no piece")

    def holds(self, condition: Node, point: Mapping[str, Value]) -> bool:
        """Whether a chain of equations and inequalities is true."""
        if not (isinstance(condition, Relation) and set(condition.signs) <= set(ORDERS)):
            raise NotNumericError("a condition in words")
        values = [self._value(operand, point) for operand in condition.operands]
        if not all(map(is_real, values)):
            raise UndefinedError("complex numbers have no order")
        return all(
            ORDERS[sign](left, right)
            for left, sign, right in zip(values, condition.signs, values[1:], strict=False)
        )

    def _determinant(self, matrix: Matrix, point: Mapping[str, Value]) -> Value:
        """By elimination, which is exact where the entries are."""
        rows = [[self._value(entry, point) for entry in row] for row in matrix.rows]
        size = len(rows)
        if any(len(row) != size for row in rows) or size > MAX_DETERMINANT:
            raise NotNumericError("the determinant of no square matrix")
        result: Value = 1
        for column in range(size):
            pivot = max(range(column, size), key=lambda index: abs(rows[index][column]))
            if rows[pivot][column] == 0:
                return 0
            if pivot != column:
                rows[column], rows[pivot] = rows[pivot], rows[column]
                result = multiply(result, -1)
            result = multiply(result, rows[column][column])
            for row in rows[column + 1 :]:
                factor = divide(row[column], rows[column][column])
                for index in range(column, size):
                    row[index] = add(row[index], multiply(-factor, rows[column][index]))
        return result

    def note(self, summands: list[Value]) -> None:
        sizes = [magnitude_bits(value) for value in summands if value != 0]
        if sizes:
            self.bits_lost = max(self.bits_lost, 2 * (max(sizes) - min(sizes)))

    def _big_operator(self, node: BigOperator, point: Mapping[str, Value]) -> Value:
        """Finite sums and products, term by term; the rest needs algebra."""
        if node.kind not in ("sum", "product") or node.lower is None or node.upper is None:
            raise NeedsAlgebraError(node.kind)
        lower, upper = self._value(node.lower, point), self._value(node.upper, point)
        if not (isinstance(lower, int) and isinstance(upper, int)):
            raise NeedsAlgebraError(node.kind)
        if upper - lower >= MAX_TERMS:
            raise TooLargeError(f"{node.kind} of {upper - lower + 1} terms")
        combine = add if node.kind == "sum" else multiply
        total: Value = 0 if node.kind == "sum" else 1
        for index in range(lower, upper + 1):
            total = combine(total, self._value(node.body, {**point, node.variable: index}))
        return total


RULES: Final[dict[type[Node], Callable[[Evaluator, Any, Mapping[str, Value]], Value]]] = {
    Number: Evaluator._number,
    BasedNumber: Evaluator._number,
    Symbol: Evaluator._symbol,
    Applied: Evaluator._applied,
    Constant: Evaluator._constant,
    Sum: Evaluator._sum,
    Product: Evaluator._product,
    Letters: Evaluator._product,
    Quotient: Evaluator._quotient,
    Ratio: Evaluator._ratio,
    Power: Evaluator._power,
    Root: Evaluator._root,
    Call: Evaluator._call,
    Piecewise: Evaluator._piecewise,
    BigOperator: Evaluator._big_operator,
}


def checked(value: Value) -> Value:
    """A value that is a number: exact ones in lowest form, no NaN, real where it can be."""
    if isinstance(value, int):
        return value
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else value
    if is_real(value):
        value = +value
        if CONTEXT.isnan(value):
            raise UndefinedError("not a number")
        return value
    if CONTEXT.isnan(value.real) or CONTEXT.isnan(value.imag):
        raise UndefinedError("not a number")
    return value.real if value.imag == 0 else value
