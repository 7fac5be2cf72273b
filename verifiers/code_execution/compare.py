"""Is this output the expected one? Decided in the service, far from the program.

Outputs are hostile: every function here is linear in their size, and splits off no more lines
and words than are expected, and the rest.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from verifiers.sandbox import codec

Comparison = Literal["lines", "tokens", "token_set"]
"""`lines`: equal line by line, white space at line ends and empty lines at the end aside.
`tokens`: equal word by word, whatever white space is between. `token_set`: the same words,
each as often, in any order."""

INTEGER = re.compile(rb"[+-]?[0-9]+")
NUMBER = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
MAX_NUMBER_BYTES = 400
"""Longer digits are compared as text."""

INEXACT: tuple[set[type], ...] = ({float}, {int, float})
"""Types of two numbers that a tolerance is for."""

ENCODING_SLACK = 16
"""Encodings of equal values differ in length by tags and number formats, no more than this."""


def text_matcher(
    expected: str, how: Comparison, tolerance: float | None
) -> Callable[[bytes], bool]:
    """Whether an output equals `expected`.

    With a tolerance, words that are numbers, and not both integers, may differ by it,
    absolutely or relative to the expected one.
    """
    right = expected.encode(errors="surrogatepass")
    if how == "lines" and tolerance is None:
        lines = lines_of(right)
        return lambda output: output == right or lines_of(output, len(lines)) == lines
    words = right.split()
    if how == "token_set":
        counts = Counter(words)
        return lambda output: Counter(output.split(None, len(words))) == counts
    line_words = [line.split() for line in lines_of(right)]

    def matches(output: bytes) -> bool:
        if how == "tokens":
            return same_words(output.split(None, len(words)), words, tolerance)
        lines = lines_of(output, len(line_words))
        return len(lines) == len(line_words) and all(
            same_words(ours.split(None, len(theirs)), theirs, tolerance)
            for ours, theirs in zip(lines, line_words, strict=True)
        )

    return matches


def lines_of(text: bytes, count: int = -1) -> list[bytes]:
    """The lines of `text` without white space at their ends, and no empty ones at the end.

    With `count`, what follows so many lines is one line more.
    """
    return [line.rstrip() for line in text.rstrip().split(b"\n", count)]


def same_words(ours: list[bytes], theirs: list[bytes], tolerance: float | None) -> bool:
    return len(ours) == len(theirs) and all(
        a == b or (tolerance is not None and close(a, b, tolerance))
        for a, b in zip(ours, theirs, strict=True)
    )


def close(ours: bytes, theirs: bytes, tolerance: float) -> bool:
    """Both are numbers, not both integers, and within the tolerance of each other.

    A number that is no finite float is only equal to its own digits.
    """
    if max(len(ours), len(theirs)) > MAX_NUMBER_BYTES:
        return False
    if not (NUMBER.fullmatch(ours) and NUMBER.fullmatch(theirs)):
        return False
    if INTEGER.fullmatch(ours) and INTEGER.fullmatch(theirs):
        return int(ours) == int(theirs)
    numbers = float(ours), float(theirs)
    return all(map(math.isfinite, numbers)) and near(*numbers, tolerance)


def near(ours: float | Decimal | Fraction, theirs: float, tolerance: float) -> bool:
    """Infinities and NaN are near nothing; numbers too large for a float only their equals."""
    try:
        distance = abs(float(ours) - theirs)
        return ours == theirs or (
            distance < math.inf and distance <= tolerance * max(1.0, abs(theirs))
        )
    except OverflowError:
        return ours == theirs


def value_matcher(expected: Any, tolerance: float | None) -> Callable[[bytes], bool]:
    """Whether an encoded result equals the JSON value `expected`, as Python compares.

    Tuples, ranges, views, deques and iterators equal lists of their items, and keys equal
    their JSON form, since JSON has none of these and no keys but strings. Sets equal nothing:
    their order would be a matter of luck.
    """
    encoded = codec.encode(expected)

    def matches(output: bytes) -> bool:
        if output == encoded:
            return True
        if len(output) > ENCODING_SLACK * len(encoded) + 1024:
            return False
        try:
            return equal(codec.decode(output, key=json_key), expected, tolerance)
        except (codec.CodecError, OverflowError):  # the length of a range may be one
            return False

    return matches


def equal(ours: Any, theirs: Any, tolerance: float | None) -> bool:
    if isinstance(theirs, list):
        return (
            isinstance(ours, list | tuple | range)
            and len(ours) == len(theirs)
            and all(equal(a, b, tolerance) for a, b in zip(ours, theirs, strict=True))
        )
    if isinstance(theirs, dict):
        return (
            isinstance(ours, dict)
            and ours.keys() == theirs.keys()
            and all(equal(value, theirs[key], tolerance) for key, value in ours.items())
        )
    if tolerance is not None and isinstance(ours, Decimal | Fraction):
        return isinstance(theirs, int | float) and near(ours, theirs, tolerance)
    if tolerance is not None and {type(ours), type(theirs)} in INEXACT:
        return near(ours, theirs, tolerance)
    return bool(ours == theirs)


def json_key(key: Any) -> str:
    """A dictionary's key as JSON writes it.

    Raises:
        ValueError: JSON has no such keys, or Python writes no integer of that length.
    """
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float):
        return repr(key)
    raise ValueError("no key of JSON")
