"""The formats of JSON Schema that a string can be held to.

Each check takes any JSON value, as JSON Schema has it: a format says nothing about what is
no string. Where the standard leaves readers free to disagree, the stricter reading counts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from verifiers.regular_expression import engine

DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
"""RFC 3339's full-time, its offset required. Python knows no leap seconds, nor does this."""

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)

MAX_EMAIL_CHARACTERS = 254
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"{ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*")
"""RFC 5321's Mailbox without quoted names and address literals."""


def is_date(text: str) -> bool:
    return re.fullmatch(DATE, text) is not None and bool(date.fromisoformat(text))


def is_time(text: str) -> bool:
    return is_date_time(f"2000-01-01T{text}")


def is_date_time(text: str) -> bool:
    upper = text.upper()
    if re.fullmatch(f"{DATE}T{TIME}", upper) is None or not upper.isascii():
        return False
    whole = re.sub(r"\.[0-9]+", "", upper)  # Python reads six digits of a fraction
    return bool(datetime.fromisoformat(whole))


def is_ipv4(text: str) -> bool:
    return bool(ipaddress.IPv4Address(text))


def is_ipv6(text: str) -> bool:
    return "%" not in text and bool(ipaddress.IPv6Address(text))


def is_email(text: str) -> bool:
    return len(text) <= MAX_EMAIL_CHARACTERS and EMAIL.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    return UUID.fullmatch(text) is not None


def is_regex(text: str) -> bool:
    """Whether it is a pattern as this project has them: RE2's."""
    engine(text)
    return True


def of_strings(check: Callable[[str], bool]) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, str) or check(value)


FORMATS = {
    name: of_strings(check)
    for name, check in {
        "date": is_date,
        "time": is_time,
        "date-time": is_date_time,
        "ipv4": is_ipv4,
        "ipv6": is_ipv6,
        "email": is_email,
        "uuid": is_uuid,
        "regex": is_regex,
    }.items()
}
"""By name. A check returns False or raises ValueError for a string that is not of the format."""
