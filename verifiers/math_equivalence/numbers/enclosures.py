"""Interval arithmetic over expressions: what a function can be for its variable in an interval.

An enclosure holds every value that the expression has there, and perhaps more; where it has none,
nothing is lost by leaving that out. Ends may be infinite.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from mpmath.ctx_iv import MPIntervalContext

from verifiers.math_equivalence.numbers.evaluate import Evaluator
from verifiers.math_equivalence.numbers.polynomials import (
    NotRationalError,
    rational_function,
)  # fmt: skip
from verifiers.math_equivalence.numbers.values import (
    NotNumericError,
    UndefinedError,
    is_exact,
)  # fmt: skip
from verifiers.math_equivalence.read.expression import (
    ONE,
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

INTERVALS: Final = MPIntervalContext()
INTERVALS.dps = 30

DIGITS: Final = 50

POSITIVE_ONLY: Final = frozenset(("ln", "log"))


class UnprovenError(Exception):
    """Nothing can be told with certainty."""


def enclosure(node: Node, name: str, x: Any) -> Any:
    """An interval that holds every value of `node` for the variable in `x`, where it has one.

    Raises:
        UnprovenError: none is known.
    """
    if isinstance(node, Number):
        value = node.value
        return INTERVALS.mpf(value.numerator) / value.denominator
    if isinstance(node, Symbol):
        if node.name != name:
            raise UnprovenError(node.name)
        return x
    if isinstance(node, Constant) and node.name in ("pi", "e"):
        return +getattr(INTERVALS, node.name)
    if isinstance(node, Sum):
        return total([enclosure(term, name, x) for term in node.terms])
    if isinstance(node, Product):
        result = INTERVALS.mpf(1)
        for factor in node.factors:
            result = multiplied(result, enclosure(factor, name, x))
        return result
    if isinstance(node, Quotient):
        upper, lower = (enclosure(part, name, x) for part in (node.numerator, node.denominator))
        return multiplied(upper, inverted(lower))
    if isinstance(node, Root):
        return powered(enclosure(node.radicand, name, x), divided_exponent(ONE, node.degree))
    if isinstance(node, Power):
        if name not in free_symbols(node.exponent):
            return powered(enclosure(node.base, name, x), node.exponent)
        base = enclosure(node.base, name, x)
        if not base.a > 0:
            raise UnprovenError("a power of what is not positive")
        return exponential(multiplied(enclosure(node.exponent, name, x), INTERVALS.log(base)))
    if isinstance(node, Call):
        arguments = [enclosure(argument, name, x) for argument in node.arguments]
        return applied(node.name, arguments)
    raise UnprovenError(type(node).__name__)


def growth(node: Node, name: str) -> tuple[Any, Any] | None:
    """(c, r) where `node` is c·e^(r x), as intervals; None where it is not of this form."""
    if name not in free_symbols(node):
        return enclosure(node, name, INTERVALS.mpf(0)), INTERVALS.mpf(0)
    if isinstance(node, Product):
        size, rate = INTERVALS.mpf(1), INTERVALS.mpf(0)
        for factor in node.factors:
            found = growth(factor, name)
            if found is None:
                return None
            size, rate = multiplied(size, found[0]), rate + found[1]
        return size, rate
    if isinstance(node, Power) and name not in free_symbols(node.base):
        base = enclosure(node.base, name, INTERVALS.mpf(0))
        try:
            upper, lower = rational_function(node.exponent, name)
        except NotRationalError:
            return None
        if not base.a > 0 or len(lower) != 1 or len(upper) != 2:
            return None
        constant, slope = (
            INTERVALS.mpf(each.numerator)
            / each.denominator
            / INTERVALS.mpf(lower[0].numerator)
            * lower[0].denominator
            for each in upper
        )
        scale = INTERVALS.log(base)
        return exponential(multiplied(constant, scale)), multiplied(slope, scale)
    return None


def whole() -> Any:
    return INTERVALS.mpf([-INTERVALS.inf, INTERVALS.inf])


def total(terms: list[Any]) -> Any:
    result = INTERVALS.mpf(0)
    for term in terms:
        result = result + term
        if is_lost(result):
            return whole()
    return result


def is_lost(interval: Any) -> bool:
    """Arithmetic with infinities has left nothing known."""
    return bool(interval.a != interval.a or interval.b != interval.b)


def multiplied(left: Any, right: Any) -> Any:
    result = left * right
    return whole() if is_lost(result) else result


def inverted(value: Any) -> Any:
    if value.a > 0 or value.b < 0:
        return 1 / value
    if value.a == 0 and value.b > 0:
        return INTERVALS.mpf([(1 / INTERVALS.mpf(value.b)).a, INTERVALS.inf])
    if value.b == 0 and value.a < 0:
        return INTERVALS.mpf([-INTERVALS.inf, (1 / INTERVALS.mpf(value.a)).b])
    return whole()


def exponential(value: Any) -> Any:
    return INTERVALS.exp(value)


def divided_exponent(numerator: Node, denominator: Node) -> Node:
    if isinstance(denominator, Number):
        return Number(Fraction(1) / Fraction(denominator.value))
    return Quotient(numerator, denominator)


def exact_exponent(node: Node) -> Fraction | None:
    """The value of a constant exponent, where it is rational."""
    try:
        value = Evaluator(DIGITS).value(node, {})
    except (UndefinedError, NotNumericError):
        raise UnprovenError("an exponent without a value") from None
    return Fraction(value) if is_exact(value) else None


def powered(base: Any, exponent: Node) -> Any:
    """base to a constant exponent, by the conventions of `evaluate`: odd roots of negatives are
    real. What lies outside the domain of an even root is left out: nothing is defined there."""
    power = exact_exponent(exponent)
    if power is not None and power.denominator == 1:
        count = int(power)
        if count < 0:
            return inverted(powered(base, Number(-count)))
        return base**count
    if power is not None and power.denominator % 2 and not base.a >= 0:
        size = positive_power(abs(base), power)
        if base.b <= 0:
            return -size if power.numerator % 2 else size
        least = positive_power(INTERVALS.mpf([0, -base.a]), power)
        most = positive_power(INTERVALS.mpf([0, base.b]), power)
        if power < 0:
            return whole()
        return INTERVALS.mpf([-least.b if power.numerator % 2 else 0, max(least.b, most.b)])
    if base.b < 0:
        raise UnprovenError("an even root of a negative number")
    base = INTERVALS.mpf([max(base.a, INTERVALS.mpf(0).a), base.b])
    if power is not None:
        return positive_power(base, power)
    return exponential(multiplied(enclosure(exponent, "", INTERVALS.mpf(0)), logarithm(base)))


def positive_power(base: Any, power: Fraction) -> Any:
    """A power of what is not negative: monotone, so its ends decide."""
    if power < 0:
        return inverted(positive_power(base, -power))
    if power == Fraction(1, 2):
        return INTERVALS.sqrt(base)
    ends = []
    for end in (base.a, base.b):
        point = INTERVALS.mpf(end)
        if end == 0 or end == INTERVALS.inf:
            ends.append(point)
        else:
            exponent = INTERVALS.mpf(power.numerator) / power.denominator
            ends.append(INTERVALS.exp(INTERVALS.log(point) * exponent))
    return INTERVALS.mpf([ends[0].a, ends[1].b])


def logarithm(value: Any) -> Any:
    if value.b <= 0:
        raise UnprovenError("the logarithm of a negative number")
    if value.a <= 0:
        return INTERVALS.mpf([-INTERVALS.inf, INTERVALS.log(INTERVALS.mpf(value.b)).b])
    return INTERVALS.log(value)


def applied(name: str, arguments: list[Any]) -> Any:
    first = arguments[0]
    if name in POSITIVE_ONLY:
        result = logarithm(first)
        return (
            result if len(arguments) == 1 else multiplied(result, inverted(logarithm(arguments[1])))
        )
    if name in ("sin", "cos"):
        if not (abs(first).b < 1e9):
            return INTERVALS.mpf([-1, 1])
        return getattr(INTERVALS, name)(first)
    if name == "sinh":
        return multiplied(total([exponential(first), -exponential(-first)]), INTERVALS.mpf(0.5))
    if name == "cosh":
        return multiplied(total([exponential(first), exponential(-first)]), INTERVALS.mpf(0.5))
    if name == "tanh":
        ends = [
            total([INTERVALS.mpf(1), -2 * inverted(exponential(2 * INTERVALS.mpf(end)) + 1)])
            for end in (first.a, first.b)
        ]
        return INTERVALS.mpf([ends[0].a, ends[1].b])
    if name == "percent":
        return first / 100
    if name == "degrees":
        return first * INTERVALS.pi / 180
    raise UnprovenError(name)
