"""Is this output the expected one? Decided in the service, far from the program.

Outputs are hostile: every function here is linear in their size, and what is far longer
than the expected output is not looked at.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
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

ENCODING_SLACK = 8
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
        return lambda output: output == right or lines_of(output) == lines
    words = right.split()
    if how == "token_set":
        counts = Counter(words)
        return lambda output: Counter(output.split()) == counts
    line_words = [line.split() for line in lines_of(right)]

    def matches(output: bytes) -> bool:
        if how == "tokens":
            return same_words(output.split(), words, tolerance)
        lines = [line.split() for line in lines_of(output)]
        return len(lines) == len(line_words) and all(
            same_words(ours, theirs, tolerance)
            for ours, theirs in zip(lines, line_words, strict=True)
        )

    return matches


def lines_of(text: bytes) -> list[bytes]:
    """The lines of `text` without white space at their ends, and no empty ones at the end."""
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def same_words(ours: list[bytes], theirs: list[bytes], tolerance: float | None) -> bool:
    return len(ours) == len(theirs) and all(
        a == b or (tolerance is not None and close(a, b, tolerance))
        for a, b in zip(ours, theirs, strict=True)
    )


def close(ours: bytes, theirs: bytes, tolerance: float) -> bool:
    """Both are numbers, not both integers, and within the tolerance of each other."""
    if max(len(ours), len(theirs)) > MAX_NUMBER_BYTES:
        return False
    if not (NUMBER.fullmatch(ours) and NUMBER.fullmatch(theirs)):
        return False
    if INTEGER.fullmatch(ours) and INTEGER.fullmatch(theirs):
        return int(ours) == int(theirs)
    return near(float(ours), float(theirs), tolerance)


def near(ours: float, theirs: float, tolerance: float) -> bool:
    return ours == theirs or abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))


def value_matcher(expected: Any, tolerance: float | None) -> Callable[[bytes], bool]:
    """Whether an encoded result equals the JSON value `expected`, as Python compares.

    Tuples equal lists and keys equal their JSON form, since JSON has neither tuples nor
    keys that are no strings. Sets equal nothing: their order would be a matter of luck.
    """
    encoded = codec.encode(expected)

    def matches(output: bytes) -> bool:
        if output == encoded:
            return True
        if len(output) > ENCODING_SLACK * len(encoded) + 1024:
            return False
        try:
            return equal(codec.decode(output), expected, tolerance)
        except codec.CodecError:
            return False

    return matches


def equal(ours: Any, theirs: Any, tolerance: float | None) -> bool:
    if isinstance(theirs, list):
        return (
            isinstance(ours, list | tuple)
            and len(ours) == len(theirs)
            and all(equal(a, b, tolerance) for a, b in zip(ours, theirs, strict=True))
        )
    if isinstance(theirs, dict):
        if not isinstance(ours, dict) or len(ours) != len(theirs):
            return False
        named = {json_key(key): value for key, value in ours.items()}
        return named.keys() == theirs.keys() and all(
            equal(value, theirs[key], tolerance) for key, value in named.items()
        )
    if tolerance is not None and isinstance(theirs, int | float) and isinstance(ours, float):
        return math.isfinite(ours) and near(ours, theirs, tolerance)
    return bool(ours == theirs)


def json_key(key: Any) -> Any:
    """A dictionary's key as JSON writes it; others stay, and equal nothing."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return repr(key) if isinstance(key, int | float) else key
