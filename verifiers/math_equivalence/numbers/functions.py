"""Known functions of numbers: how many arguments they take, and their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from verifiers.math_equivalence.limits import (
    MAX_EXACT_BITS,
    MAX_FACTORIAL,
    MAX_TRIGONOMETRIC_BITS,
    TooLargeError,
)  # fmt: skip
from verifiers.math_equivalence.numbers.values import (
    CONTEXT,
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    bounded,
    divide,
    exponential,
    is_exact,
    is_real,
    magnitude_bits,
    multiply,
)  # fmt: skip

MAX_GAMMA_ARGUMENT: Final = 10_000
MAX_ZETA_ARGUMENT: Final = 100
POLE_BITS: Final = 24
"""A cosine this many bits above the rounding error is not a zero."""


class Function(NamedTuple):
    apply: Callable[..., Value]
    least: int = 1
    most: int = 1

    def takes(self, count: int) -> bool:
        return self.least <= count <= self.most


def angle(value: Value) -> Value:
    """`value` in floating point, if it is not too large to reduce."""
    if magnitude_bits(value) > MAX_TRIGONOMETRIC_BITS:
        raise TooLargeError("an angle of too many digits")
    return approximate(value)


def trigonometric(name: str) -> Function:
    function = getattr(CONTEXT, name)
    return Function(lambda value: function(angle(value)))


def ratio_of(upper: str | None, lower: str) -> Function:
    """upper(x)/lower(x), undefined where lower(x) vanishes within rounding."""

    def apply(value: Value) -> Value:
        argument = angle(value)
        denominator = getattr(CONTEXT, lower)(argument)
        if magnitude_bits(denominator) < POLE_BITS - CONTEXT.prec + max(0, magnitude_bits(value)):
            raise UndefinedError("a pole")
        numerator = getattr(CONTEXT, upper)(argument) if upper else CONTEXT.mpf(1)
        return numerator / denominator

    return Function(apply)


def inverse_of(name: str) -> Function:
    """arcsec x = arccos(1/x), and so on."""
    function = getattr(CONTEXT, name)
    return Function(lambda value: function(approximate(divide(1, value))))


def hyperbolic(name: str) -> Function:
    function = getattr(CONTEXT, name)

    def apply(value: Value) -> Value:
        exponential(value)  # checks the size
        return function(approximate(value))

    return Function(apply)


def inverse(name: str) -> Function:
    function = getattr(CONTEXT, name)
    return Function(lambda value: function(approximate(value)))


def logarithm(value: Value, base: Value | None = None) -> Value:
    if value == 0 or base in (0, 1):
        raise UndefinedError("a logarithm of zero")
    result = CONTEXT.log(approximate(value))
    return result if base is None else result / CONTEXT.log(approximate(base))


def absolute(value: Value) -> Value:
    return abs(value)


def rounded(function: Callable[[Value], int], name: str) -> Function:
    """floor and ceil; what is an integer but for rounding error counts as that integer."""

    def apply(value: Value) -> Value:
        if is_exact(value):
            return function(value)
        if not is_real(value) or magnitude_bits(value) > MAX_TRIGONOMETRIC_BITS:
            raise NotNumericError(name)
        nearest = CONTEXT.nint(value)
        if magnitude_bits(value - nearest) < POLE_BITS - CONTEXT.prec + magnitude_bits(value):
            return int(nearest)
        return int(getattr(CONTEXT, name)(value))

    return Function(apply)


def integers(*values: Value) -> tuple[int, ...]:
    if not all(isinstance(value, int) for value in values):
        raise UndefinedError("not integers")
    return values


def factorial(value: Value) -> Value:
    if isinstance(value, int):
        if value < 0:
            raise UndefinedError("the factorial of a negative integer")
        if value > MAX_FACTORIAL:
            raise TooLargeError(f"{value}!")
        return math.factorial(value)
    return gamma(approximate(value) + 1)


def double_factorial(value: Value) -> Value:
    (number,) = integers(value)
    if not 0 <= number <= MAX_FACTORIAL:
        raise TooLargeError(f"{number}!!")
    return math.prod(range(number, 0, -2))


def gamma(value: Value) -> Value:
    if isinstance(value, int):
        return factorial(value - 1)
    if abs(approximate(value)) > MAX_GAMMA_ARGUMENT:
        raise TooLargeError("gamma of too large a number")
    return CONTEXT.gamma(approximate(value))


def binomial(upper: Value, lower: Value) -> Value:
    if isinstance(upper, int) and isinstance(lower, int) and upper >= 0:
        if not 0 <= lower <= upper:
            return 0
        if min(lower, upper - lower) * upper.bit_length() > MAX_EXACT_BITS:
            raise TooLargeError("a binomial coefficient of too many digits")
        return math.comb(upper, lower)
    if isinstance(lower, int) and 0 <= lower <= 64:
        result: Value = 1
        for step in range(lower):
            result = divide(multiply(result, upper - step), step + 1)
        return result
    return factorial(upper) / (factorial(lower) * factorial(upper - lower))


def modulo(value: Value, divisor: Value) -> Value:
    if not (is_exact(value) and is_exact(divisor)):
        raise NotNumericError("mod")
    if divisor == 0:
        raise UndefinedError("modulo zero")
    return value % divisor


def extremum(function: Callable[..., Value]) -> Function:
    def apply(*values: Value) -> Value:
        if not all(map(is_real, values)):
            raise NotNumericError("complex numbers have no order")
        return function(values)

    return Function(apply, 1, 64)


def real(value: Value) -> Value:
    return value if is_real(value) else value.real


def imaginary(value: Value) -> Value:
    return 0 if is_real(value) else value.imag


def zeta(value: Value) -> Value:
    if value == 1:
        raise UndefinedError("zeta of 1")
    if not is_real(value) or abs(value) > MAX_ZETA_ARGUMENT:
        raise TooLargeError("zeta of too large a number")
    return CONTEXT.zeta(approximate(value))


def sign(value: Value) -> Value:
    if not is_real(value):
        raise NotNumericError("sign")
    return (value > 0) - (value < 0)


FUNCTIONS: Final[dict[str, Function]] = {
    "sin": trigonometric("sin"),
    "cos": trigonometric("cos"),
    "tan": ratio_of("sin", "cos"),
    "cot": ratio_of("cos", "sin"),
    "sec": ratio_of(None, "cos"),
    "csc": ratio_of(None, "sin"),
    "sinh": hyperbolic("sinh"),
    "cosh": hyperbolic("cosh"),
    "tanh": hyperbolic("tanh"),
    "coth": hyperbolic("coth"),
    "sech": hyperbolic("sech"),
    "csch": hyperbolic("csch"),
    "arcsin": inverse("asin"),
    "arccos": inverse("acos"),
    "arctan": inverse("atan"),
    "arccot": inverse_of("atan"),
    "arcsec": inverse_of("acos"),
    "arccsc": inverse_of("asin"),
    "arcsinh": inverse("asinh"),
    "arccosh": inverse("acosh"),
    "arctanh": inverse("atanh"),
    "log": Function(logarithm, 1, 2),
    "ln": Function(logarithm),
    "abs": Function(absolute),
    "floor": rounded(math.floor, "floor"),
    "ceil": rounded(math.ceil, "ceil"),
    "factorial": Function(factorial),
    "double_factorial": Function(double_factorial),
    "Gamma": Function(gamma),
    "binomial": Function(binomial, 2, 2),
    "gcd": Function(lambda *values: math.gcd(*integers(*values)), 1, 64),
    "lcm": Function(lambda *values: bounded(math.lcm(*integers(*values))), 1, 64),
    "mod": Function(modulo, 2, 2),
    "max": extremum(max),
    "min": extremum(min),
    "sign": Function(sign),
    "Re": Function(real),
    "Im": Function(imaginary),
    "conj": Function(lambda value: value if is_real(value) else CONTEXT.conj(value)),
    "arg": Function(lambda value: CONTEXT.arg(approximate(value))),
    "erf": Function(lambda value: CONTEXT.erf(angle(value))),
    "zeta": Function(zeta),
    "percent": Function(lambda value: divide(value, 100)),
    "degrees": Function(lambda value: multiply(value, CONTEXT.pi / 180)),
}
