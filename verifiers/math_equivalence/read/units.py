"""Units of measurement: reading, converting, comparing.

A unit is a factor to SI and the exponents of base dimensions, so `km/h` and `m/s` convert
and `cm` and `cm^2` do not. A word that is no known unit is a noun: 12 apples. Factors are
exact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

from verifiers.math_equivalence.read.unit_table import (
    BASE,
    OTHERS,
    PREFIXED_WORDS,
    PREFIXES,
    WORD_PREFIXES,
)

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` of it make one SI unit of `dimensions`. `nouns` is what is counted, if anything."""

    factor: Fraction
    dimensions: Dimensions
    nouns: tuple[str, ...] = ()


SINGLE_LETTERS: Final = frozenset("mgsAKLNJWCVFTHhlBdM")
"""Letters that are units where they follow a number after white space."""

NOT_COUNTED: Final = frozenset(
    "not or and if than more less minus plus times over but factorial squared cubed percent "
    "half halve third quarter fifth sixth seventh eighth ninth tenth hundredth thousandth "
    "hundred thousand million billion trillion dozen maybe unless except possibly no none "
    "below above negative point base mod is are was isn't without even odd either incorrect "
    "wrong false approximately about choose to from through between pi root square cubic sqrt "
    "fold gross score lakh crore myriad googol infinity tenths doubled tripled prime double twice "
    "otherwise".split()
)
"""Words after a number that change its value or doubt it."""

PART: Final = re.compile(
    r"\s*(?:(?P<divide>/|per\b|a\b(?=\s+\w))|(?P<multiply>[*·.])"
    r"|\^?\s*\{?\s*(?P<exponent>-?[0-9]+)\s*\}?|(?P<power>squared|cubed)"
    r"|(?P<shape>square|cubic|sq\.?|cu\.?)\b|(?P<name>[^\W\d_]+))"
)
CHINESE_CHANGES: Final = frozenset("百千万亿半分之倍多不非或约以折成负")
"""Characters in Chinese nouns that change the number before it."""

POWERS: Final = {"squared": 2, "cubed": 3}
MAX_EXPONENT: Final = 8


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    """The unit or noun that `text` names, or None where it is neither."""
    reader = UnitReader()
    text = text.strip(" .()")
    position = 0
    while position < len(text):
        match = PART.match(text, position)
        if match is None or match.end() == position or not reader.take(match):
            return None
        position = match.end()
    return reader.unit()


class UnitReader:
    """Multiplies up the parts of a unit such as `kg m/s^2` or `square inches`."""

    def __init__(self) -> None:
        self.factor = Fraction(1)
        self.dimensions: dict[str, int] = {}
        self.nouns: list[str] = []
        self.sign = 1
        """-1 after "per" and "/"."""
        self.shape = 1
        """2 after "square", 3 after "cubic"."""
        self.last: tuple[Fraction, dict[str, int]] | None = None

    def take(self, part: re.Match[str]) -> bool:
        """Whether the part fits here."""
        if part["divide"]:
            self.sign, self.last = -1, None
        elif part["shape"]:
            self.shape = 2 if part["shape"].startswith("s") else 3
        elif part["exponent"] or part["power"]:
            return self.raise_last(int(part["exponent"] or POWERS[part["power"]]))
        elif part["name"]:
            return self.multiply(part["name"])
        return True

    def raise_last(self, exponent: int) -> bool:
        if self.last is None or abs(exponent) > MAX_EXPONENT:
            return False
        self.include(self.last, exponent - 1)
        self.last = None
        return True

    def multiply(self, name: str) -> bool:
        known = named(name)
        if known is None:
            noun = singular(name.lower())
            self.nouns.append(noun if self.sign > 0 else f"/{noun}")
            return self.sign > 0 or len(self.nouns) > 1 or bool(self.dimensions)
        size, dimensions = known
        exponent = self.sign * self.shape
        self.last = (
            power(size, exponent),
            {base: value * exponent for base, value in dimensions.items()},
        )
        self.include(self.last, 1)
        self.shape = 1
        return True

    def include(self, part: tuple[Fraction, dict[str, int]], times: int) -> None:
        self.factor *= power(part[0], times)
        for base, exponent in part[1].items():
            self.dimensions[base] = self.dimensions.get(base, 0) + exponent * times

    def unit(self) -> Unit | None:
        if not plausible_nouns(self.nouns):
            return None
        dimensions = sorted((base, value) for base, value in self.dimensions.items() if value)
        return Unit(self.factor, tuple(dimensions), tuple(self.nouns))


def power(size: Fraction, exponent: int) -> Fraction:
    return size**exponent if exponent >= 0 else 1 / size**-exponent


def named(name: str) -> tuple[Fraction, dict[str, int]] | None:
    """Size and dimensions of one unit's name, its SI prefix included."""
    if known := BASE.get(name) or OTHERS.get(name) or OTHERS.get(singular(name.lower())):
        return Fraction(known[0]), known[1]
    word = singular(name.lower())
    for prefix, size in (*WORD_PREFIXES.items(), ("", 1)):
        if word.startswith(prefix) and (symbol := PREFIXED_WORDS.get(word[len(prefix) :])):
            return Fraction(BASE[symbol][0]) * size, BASE[symbol][1]
    for prefix, size in PREFIXES.items():
        if name.startswith(prefix) and (known := BASE.get(name[len(prefix) :])):
            return Fraction(known[0]) * size, known[1]
    return None


def singular(word: str) -> str:
    if word in ("pennies", "cents"):
        return {"pennies": "penny", "cents": "cent"}[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("people"):
        return "person"
    return word[:-1] if word.endswith("s") and len(word) > 2 and not word.endswith("ss") else word


def plausible_nouns(nouns: list[str]) -> bool:
    """Few words, none of which changes the number before it."""
    words = [noun.lstrip("/") for noun in nouns]
    return len(words) <= 4 and not any(
        word in NOT_COUNTED
        or singular(word).endswith(("th", "illion"))
        or not CHINESE_CHANGES.isdisjoint(word)
        or singular(word) in NOT_COUNTED
        or (len(word) < 3 and word.isascii())
        for word in words
    )
