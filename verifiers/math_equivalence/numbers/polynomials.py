"""Rational functions of one variable with rational coefficients, and their real roots, exactly.

Roots are isolated by Sturm's theorem: the sign variations of the chain

    p, p', -rem(p, p'), …

at two numbers differ by how many roots of a square-free p lie between them. So every root is
found, and each is known to any precision; a rational root is known exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, zip_longest
from typing import Final

from verifiers.math_equivalence.numbers.values import CONTEXT, Value
from verifiers.math_equivalence.read.expression import (
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Symbol,
)  # fmt: skip

MAX_DEGREE: Final = 40
"""Sturm's chain of a polynomial of this degree takes some milliseconds."""

MAX_COEFFICIENT_BITS: Final = 2_000

ROOT_BITS: Final = 220
"""To which irrational roots are refined: more than the digits that endpoints are compared to."""

Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first and the last not zero; empty for zero."""

RationalFunction = tuple[Polynomial, Polynomial]
"""Numerator and denominator, which may have common factors: where those vanish it is undefined."""


class NotRationalError(Exception):
    """The expression is no rational function with rational coefficients, or is too large."""


ONE: Final[Polynomial] = (Fraction(1),)


def trimmed(coefficients: list[Fraction]) -> Polynomial:
    while coefficients and not coefficients[-1]:
        coefficients.pop()
    if len(coefficients) > MAX_DEGREE + 1:
        raise NotRationalError("too high a degree")
    return tuple(coefficients)


def plus(left: Polynomial, right: Polynomial) -> Polynomial:
    return trimmed([a + b for a, b in zip_longest(left, right, fillvalue=Fraction(0))])


def times(left: Polynomial, right: Polynomial) -> Polynomial:
    if not left or not right:
        return ()
    result = [Fraction(0)] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            result[i + j] += a * b
    return trimmed(result)


def rational_function(node: Node, name: str) -> RationalFunction:
    """`node` as a function of the variable `name`.

    Raises:
        NotRationalError: it is none.
    """
    if isinstance(node, Number):
        value = Fraction(node.value)
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_COEFFICIENT_BITS:
            raise NotRationalError("too large a coefficient")
        return trimmed([value]), ONE
    if isinstance(node, Symbol) and node.name == name:
        return (Fraction(0), Fraction(1)), ONE
    if isinstance(node, Sum):
        upper, lower = (), ONE  # type: tuple[Polynomial, Polynomial]
        for term in node.terms:
            p, q = rational_function(term, name)
            upper, lower = (
                (plus(upper, p), lower)
                if lower == q
                else (plus(times(upper, q), times(p, lower)), times(lower, q))
            )
        return upper, lower
    if isinstance(node, Product):
        upper, lower = ONE, ONE
        for factor in node.factors:
            p, q = rational_function(factor, name)
            upper, lower = times(upper, p), times(lower, q)
        return upper, lower
    if isinstance(node, Quotient):
        p, q = rational_function(node.numerator, name)
        r, s = rational_function(node.denominator, name)
        return times(p, s), times(q, r)
    if isinstance(node, Power) and isinstance(node.exponent, Number):
        exponent = node.exponent.value
        if not isinstance(exponent, int) or abs(exponent) > MAX_DEGREE:
            raise NotRationalError("a power that is no small integer")
        p, q = rational_function(node.base, name)
        if exponent < 0:
            p, q = q, p
        upper, lower = ONE, ONE
        for _ in range(abs(exponent)):
            upper, lower = times(upper, p), times(lower, q)
        return upper, lower
    raise NotRationalError(type(node).__name__)


def real_roots(polynomial: Polynomial) -> list[Value]:
    """Every real root once, in order: exact where it is rational. Of zero, none is told apart.

    Raises:
        NotRationalError: the polynomial is zero, so that every number is a root.
    """
    if not polynomial:
        raise NotRationalError("zero everywhere")
    if len(polynomial) == 1:
        return []
    chain = sturm_chain(square_free(polynomial))
    return [refined(chain[0], low, high) for low, high in isolated(chain)]


def square_free(polynomial: Polynomial) -> Polynomial:
    """A polynomial with the same roots, each of them once."""
    left, right = integral(polynomial), integral(derivative(polynomial))
    while right:
        left, right = right, integral(remainder(left, right))
    quotient, _ = divided(polynomial, left)
    return integral(quotient)


def derivative(polynomial: Polynomial) -> Polynomial:
    return tuple(power * coefficient for power, coefficient in enumerate(polynomial))[1:]


def divided(dividend: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder."""
    rest, quotient = list(dividend), [Fraction(0)] * max(0, len(dividend) - len(divisor) + 1)
    for power in reversed(range(len(quotient))):
        factor = rest[power + len(divisor) - 1] / divisor[-1]
        quotient[power] = factor
        for index, coefficient in enumerate(divisor):
            rest[power + index] -= factor * coefficient
    return trimmed(quotient), trimmed(rest[: len(divisor) - 1])


def remainder(dividend: Polynomial, divisor: Polynomial) -> Polynomial:
    return divided(dividend, divisor)[1]


def integral(polynomial: Polynomial) -> Polynomial:
    """A positive multiple with integers without a common factor, so that chains stay small."""
    if not polynomial:
        return ()
    scale = math.lcm(*(coefficient.denominator for coefficient in polynomial))
    numerators = [int(coefficient * scale) for coefficient in polynomial]
    common = math.gcd(*numerators)
    return tuple(Fraction(numerator // common) for numerator in numerators)


def sturm_chain(polynomial: Polynomial) -> list[Polynomial]:
    chain = [polynomial, integral(derivative(polynomial))]
    while len(chain[-1]) > 1:
        rest = remainder(chain[-2], chain[-1])
        if not rest:
            break
        chain.append(integral(tuple(-coefficient for coefficient in rest)))
    return chain


def at(polynomial: Polynomial, x: Fraction) -> Fraction:
    result = Fraction(0)
    for coefficient in reversed(polynomial):
        result = result * x + coefficient
    return result


def variations(chain: list[Polynomial], x: Fraction) -> int:
    signs = [value > 0 for polynomial in chain if (value := at(polynomial, x))]
    return sum(a != b for a, b in pairwise(signs))


def isolated(chain: list[Polynomial]) -> Iterator[tuple[Fraction, Fraction]]:
    """Intervals (low, high], each with one root, in order."""
    polynomial = chain[0]
    # Cauchy: every root lies within 1 + max |a_i / a_n|.
    bound = 1 + max(abs(coefficient / polynomial[-1]) for coefficient in polynomial)
    stack = [(-bound, bound, variations(chain, -bound), variations(chain, bound))]
    while stack:
        low, high, below, above = stack.pop()
        if below - above == 1:
            yield low, high
        elif below - above > 1:
            middle = (low + high) / 2
            count = variations(chain, middle)
            stack += [(middle, high, count, above), (low, middle, below, count)]


def refined(polynomial: Polynomial, low: Fraction, high: Fraction) -> Value:
    """The root in (low, high]."""
    if not (value := at(polynomial, high)):
        return whole_where_it_is(high)
    ends_above = value > 0
    largest = abs(int(polynomial[-1]))
    for bits in range(ROOT_BITS):
        if bits % 32 == 31:  # a rational root has a denominator that divides the last coefficient
            candidate = ((low + high) / 2).limit_denominator(largest)
            if low < candidate <= high and not at(polynomial, candidate):
                return whole_where_it_is(candidate)
        middle = (low + high) / 2
        value = at(polynomial, middle)
        if not value:
            return whole_where_it_is(middle)
        low, high = (low, middle) if (value > 0) == ends_above else (middle, high)
    return CONTEXT.mpf(low.numerator) / low.denominator


def whole_where_it_is(value: Fraction) -> int | Fraction:
    return value.numerator if value.denominator == 1 else value
