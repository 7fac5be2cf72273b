"""Reads the notations of a single rational number. Exact, and most of all answers.

Integers, thousands, decimals, repeating decimals, fractions, mixed numbers, scientific
notation and percentages. What is not exactly one of these is left to the parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from verifiers.math_equivalence.limits import MAX_EXACT_BITS, TooLargeError

Exact = int | Fraction

PLAIN_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
NUMBER: Final = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<currency>\\?\$)?\s*"
    r"(?:"
    r"\\frac\s*(?:\{\s*(?P<upper>-?[0-9]+)\s*\}|(?P<upper_digit>[0-9]))"
    r"\s*(?:\{\s*(?P<lower>-?[0-9]+)\s*\}|(?P<lower_digit>[0-9]))"
    r"|(?P<numerator>[0-9]+)\s*/\s*(?P<denominator>[0-9]+)"
    r"|(?P<whole>[0-9]+)(?:\s*\\frac\s*\{\s*(?P<mixed_upper>[0-9]+)\s*\}\s*\{\s*(?P<mixed_lower>[0-9]+)\s*\}"
    r"|\s*\\frac\s*(?P<mixed_upper_digit>[0-9])(?P<mixed_lower_digit>[0-9])"
    r"|\s+(?P<mixed_numerator>[0-9]+)\s*/\s*(?P<mixed_denominator>[0-9]+))"
    r"|(?P<decimal>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:\\overline\s*\{\s*(?P<period>[0-9]+)\s*\}|(?P<ellipsis>\.\.\.|\\ldots))?"
    r"(?:[eE](?P<exponent>[-+]?[0-9]{1,9})"
    r"|\s*\*\s*10\s*\^\s*(?:\{\s*(?P<power>[-+]?\s*[0-9]{1,9})\s*\}|(?P<power_digit>[0-9]{1,9})))?"
    r")\s*(?P<percent>\\?%)?"
)
LEADING_ZEROS: Final = re.compile(r"0*\.?0*")


@dataclass(frozen=True, slots=True)
class Literal:
    """A number as it was written.

    `places` is the power of ten of the last stated digit, as in 6.02e23 (21) or 0.50 (-2);
    None where the notation states an exact value: an integer or a fraction.
    """

    value: Exact
    places: int | None = None
    digits: int = 0
    """Significant digits stated, of a decimal."""
    percent: bool = False
    currency: bool = False


def read_number(cleaned: str) -> Literal | None:
    """The number that `cleaned` is, or None where it is something else.

    Raises:
        TooLargeError: a number of more digits than are computed with.
    """
    if PLAIN_INTEGER.fullmatch(cleaned):
        return Literal(integer(cleaned))
    match = NUMBER.fullmatch(cleaned)
    if match is None:
        return None
    literal = decimal_literal(match) if match["decimal"] else fraction_literal(match)
    if literal is None or (match["sign"] != "-" and match["currency"] is None):
        return literal
    if match["currency"] and literal.percent:
        return None
    value = -literal.value if match["sign"] == "-" else literal.value
    return replace(literal, value=value, currency=match["currency"] is not None)


def integer(digits: str) -> int:
    """`int`, refusing what Python would take quadratic time for."""
    if len(digits) > MAX_EXACT_BITS // 16:
        raise TooLargeError(f"an integer of {len(digits)} digits")
    return int(digits)


def fraction_literal(match: re.Match[str]) -> Literal | None:
    """Fractions and mixed numbers; None for a zero denominator or an improper mixed part."""
    percent = match["percent"] is not None
    if match["whole"] is None:
        upper = match["upper"] or match["upper_digit"] or match["numerator"]
        lower = match["lower"] or match["lower_digit"] or match["denominator"]
        whole = 0
    else:
        upper = match["mixed_upper"] or match["mixed_upper_digit"] or match["mixed_numerator"]
        lower = match["mixed_lower"] or match["mixed_lower_digit"] or match["mixed_denominator"]
        whole = integer(match["whole"])
    numerator, denominator = integer(upper), integer(lower)
    if denominator == 0 or (match["whole"] is not None and not 0 < numerator < denominator):
        return None
    value = whole + Fraction(numerator, denominator)
    return Literal(value / 100 if percent else value, percent=percent)


def decimal_literal(match: re.Match[str]) -> Literal | None:
    """Integers and decimals, with a period, an exponent or a percent sign."""
    text = match["decimal"].replace(",", "")
    exponent = int(
        match["exponent"] or (match["power"] or "").replace(" ", "") or match["power_digit"] or 0
    )
    if abs(exponent) > MAX_EXACT_BITS // 4:
        raise TooLargeError(f"10^{exponent}")
    point = text.find(".")
    decimals = len(text) - point - 1 if point >= 0 else 0
    value = scaled(integer(text.replace(".", "") or "0"), exponent - decimals)
    percent = match["percent"] is not None
    if match["period"] or match["ellipsis"]:
        tail = repeating_tail(text, decimals, match["period"])
        if tail is None or exponent:
            return None
        return Literal((value + tail) / 100 if percent else value + tail, percent=percent)
    places = exponent - decimals
    literal = Literal(value)
    if point >= 0 or exponent:
        digits = len(LEADING_ZEROS.sub("", text, count=1).replace(".", ""))
        literal = Literal(value, places, digits)
    if not percent:
        return literal
    shifted = None if literal.places is None else literal.places - 2
    return Literal(scaled(literal.value, -2), shifted, literal.digits, percent=True)


def repeating_tail(text: str, decimals: int, period: str | None) -> Fraction | None:
    """What an overlined period, or an ellipsis after three equal digits, adds."""
    if "." not in text:
        return None
    if period is None and (period := repeated_block(text, decimals)) is None:
        return None
    return Fraction(integer(period), (10 ** len(period) - 1) * 10**decimals)


def repeated_block(text: str, decimals: int) -> str | None:
    """The shortest block that ends `text` three times over, within its decimals."""
    for length in range(1, decimals // 3 + 1):
        block = text[-length:]
        if text.endswith(block * 3):
            return block
    return None


def scaled(value: Exact, exponent: int) -> Exact:
    """value * 10^exponent, an int where it is one."""
    if exponent >= 0:
        return value * int(10**exponent)
    return simplified(Fraction(value) / 10**-exponent)


def simplified(value: Exact) -> Exact:
    """An int where `value` is one."""
    return value.numerator if value.denominator == 1 else value
