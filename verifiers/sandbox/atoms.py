"""Numbers and dates of the standard library as short texts, and back.

Only exact types are written, and only what is written here is read: a text that its own value
would write otherwise is refused, and so is what is expensive to have, such as a signalling
NaN or a gigantic exponent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_CHARACTERS = 2_000
"""Arithmetic with fractions takes a time that is quadratic in this."""

DECIMAL = re.compile(r"-?([0-9]+(\.[0-9]+)?(E[+-][0-9]{1,4})?|NaN|Infinity)", re.ASCII)
FRACTION = re.compile(r"(-?0x[0-9a-f]+)/(0x[0-9a-f]+)")
DURATION = re.compile(r"(-?[0-9]{1,9}) ([0-9]{1,5}) ([0-9]{1,6})", re.ASCII)


def fraction_text(value: Fraction) -> str:
    return f"{value.numerator:#x}/{value.denominator:#x}"


def duration_text(value: timedelta) -> str:
    return f"{value.days} {value.seconds} {value.microseconds}"


def decimal_of(text: str) -> Decimal | None:
    return Decimal(text) if DECIMAL.fullmatch(text) else None


def fraction_of(text: str) -> Fraction | None:
    match = FRACTION.fullmatch(text)
    return Fraction(int(match[1], 16), int(match[2], 16)) if match else None


def duration_of(text: str) -> timedelta | None:
    match = DURATION.fullmatch(text)
    return timedelta(int(match[1]), int(match[2]), int(match[3])) if match else None


ATOMS: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    Decimal: (Decimal.__str__, decimal_of),
    Fraction: (fraction_text, fraction_of),
    date: (date.isoformat, date.fromisoformat),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    time: (time.isoformat, time.fromisoformat),
    timedelta: (duration_text, duration_of),
}
"""How each type is written, and read."""

KINDS = {kind.__name__: kind for kind in ATOMS}


def written(value: object) -> list[str] | None:
    """The tag and the text of a value; None where it is of no such type, or too long."""
    kind = type(value)
    if kind not in ATOMS or type(getattr(value, "tzinfo", None)) not in (type(None), timezone):
        return None
    text = ATOMS[kind][0](value)
    return [kind.__name__, text] if len(text) <= MAX_CHARACTERS else None


def read(tag: str, text: str) -> Any:
    """The value that was written so.

    Raises:
        ValueError, ArithmeticError: none was.
    """
    write, parse = ATOMS[KINDS[tag]]
    value = parse(text) if len(text) <= MAX_CHARACTERS else None
    if value is None or write(value) != text:
        raise ValueError("not as it is written")
    return value
