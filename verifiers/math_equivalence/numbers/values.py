"""Arithmetic on values: exact where both are rational, else in mpmath, sizes bounded.

`CONTEXT` is this package's own mpmath context; its precision is set under the lock in
`evaluate`. Every operation knows from logarithms how large its result would be, and
refuses before computing what is beyond the limits.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

import mpmath

from verifiers.math_equivalence.limits import (
    MAX_EXACT_BITS,
    MAX_EXPONENT_BITS,
    TooLargeError,
)  # fmt: skip

CONTEXT: Final = mpmath.MPContext()

Value = Any
"""int, Fraction, mpf or mpc."""

MAX_FLOAT_BITS: Final = 1_024
"""Powers too large to be exact are only approximated up to 2^1024: beyond, an integer and
its successor would look equal."""


class UndefinedError(ArithmeticError):
    """Division by zero, the logarithm of zero, a pole."""


class NotNumericError(Exception):
    """The expression holds something that has no number for a value."""


class NeedsAlgebraError(NotNumericError):
    """An integral, limit, derivative or infinite sum."""


def is_exact(value: Value) -> bool:
    return isinstance(value, int | Fraction)


def approximate(value: Value) -> Value:
    """`value` in floating point."""
    if isinstance(value, Fraction):
        return CONTEXT.mpf(value.numerator) / value.denominator
    return CONTEXT.mpf(value) if isinstance(value, int) else value


def bits(value: Value) -> int:
    """How many bits an exact value takes."""
    if isinstance(value, int):
        return value.bit_length()
    return int(value.numerator.bit_length() + value.denominator.bit_length())


def bounded(value: Value) -> Value:
    if bits(value) > MAX_EXACT_BITS:
        raise TooLargeError("a number of too many digits")
    return value


def add(left: Value, right: Value) -> Value:
    if is_exact(left) and is_exact(right):
        return bounded(left + right)
    return approximate(left) + approximate(right)


def multiply(left: Value, right: Value) -> Value:
    if is_exact(left) and is_exact(right):
        return bounded(left * right)
    return approximate(left) * approximate(right)


def divide(left: Value, right: Value) -> Value:
    if right == 0:
        raise UndefinedError("division by zero")
    if is_exact(left) and is_exact(right):
        quotient = Fraction(left) / right
        return bounded(quotient.numerator if quotient.denominator == 1 else quotient)
    return approximate(left) / approximate(right)


def real_part(value: Value) -> Value:
    return value if is_exact(value) else value.real


def is_real(value: Value) -> bool:
    return is_exact(value) or not isinstance(value, CONTEXT.mpc)


def magnitude_bits(value: Value) -> float:
    """log2 |value|, roughly; -inf for zero."""
    if value == 0:
        return -math.inf
    if isinstance(value, int):
        return value.bit_length()
    if isinstance(value, Fraction):
        return value.numerator.bit_length() - value.denominator.bit_length()
    if isinstance(value, CONTEXT.mpc):
        return max(magnitude_bits(value.real), magnitude_bits(value.imag))
    return math.inf if CONTEXT.isinf(value) else float(CONTEXT.mag(value))


def exponential(exponent: Value) -> Value:
    """e^exponent."""
    exponent = approximate(exponent)
    if CONTEXT.isinf(exponent):
        raise UndefinedError("e to the infinity")
    if magnitude_bits(exponent) > MAX_EXPONENT_BITS:
        raise TooLargeError("an exponent of too many digits")
    return CONTEXT.exp(exponent)


def power(base: Value, exponent: Value) -> Value:
    """base^exponent; the real root where base is negative and the root's degree is odd."""
    if exponent == 0:
        return 1
    if base == 0:
        if not is_real(exponent) or exponent < 0:
            raise UndefinedError("a negative power of zero")
        return 0
    if isinstance(exponent, int):
        return integer_power(base, exponent)
    if isinstance(exponent, Fraction) and is_real(base) and base < 0 and exponent.denominator % 2:
        size = fractional_power(-base, exponent)
        return -size if exponent.numerator % 2 else size
    return fractional_power(base, exponent)


def integer_power(base: Value, exponent: int) -> Value:
    size = magnitude_bits(base)
    if is_exact(base):
        if base in (1, -1):
            return base if exponent % 2 else 1
        if bits(base) * abs(exponent) <= MAX_EXACT_BITS:
            return Fraction(base) ** exponent if exponent < 0 else base**exponent
        if (abs(size) + 1) * abs(exponent) > MAX_FLOAT_BITS and abs(size) > 0:
            raise TooLargeError("a power of too many digits")
    if exponent.bit_length() > MAX_EXPONENT_BITS:
        raise TooLargeError("an exponent of too many digits")
    if (abs(size) + 1) * abs(exponent) > 2.0**MAX_EXPONENT_BITS:
        raise TooLargeError("a power of too many digits")
    return approximate(base) ** exponent


def fractional_power(base: Value, exponent: Value) -> Value:
    size = abs(magnitude_bits(base)) + 1
    if magnitude_bits(exponent) + math.log2(size) > MAX_EXPONENT_BITS:
        raise TooLargeError("a power of too many digits")
    if exponent == Fraction(1, 2):
        return root(base, 2)
    return CONTEXT.power(approximate(base), approximate(exponent))


def root(radicand: Value, degree: Value) -> Value:
    """The real root where there is one, exact where it is rational; else the principal one."""
    if not isinstance(degree, int):
        return power(radicand, divide(1, degree))
    if degree == 0:
        raise UndefinedError("a root of degree zero")
    if degree < 0:
        return divide(1, root(radicand, -degree))
    if is_real(radicand) and radicand < 0 and degree % 2:
        return -root(-radicand, degree)
    if degree == 2:
        return square_root(radicand)
    if degree.bit_length() > MAX_EXPONENT_BITS:
        raise TooLargeError("a root of too high a degree")
    if radicand == 0:
        return 0
    return CONTEXT.power(approximate(radicand), CONTEXT.mpf(1) / degree)


def square_root(radicand: Value) -> Value:
    if is_exact(radicand) and radicand >= 0:
        numerator, denominator = radicand.numerator, radicand.denominator
        upper, lower = math.isqrt(numerator), math.isqrt(denominator)
        if upper * upper == numerator and lower * lower == denominator:
            return upper if lower == 1 else Fraction(upper, lower)
    return CONTEXT.sqrt(approximate(radicand))
