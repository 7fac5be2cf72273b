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

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` of it make one SI unit of `dimensions`. `nouns` is what is counted, if anything."""

    factor: Fraction
    dimensions: Dimensions
    nouns: tuple[str, ...] = ()


FOOT, POUND = Fraction(3048, 10000), Fraction(45359237, 100000000)
MILE, INCH = 5280 * FOOT, FOOT / 12

BASE: Final[dict[str, tuple[Fraction | int, dict[str, int]]]] = {
    # Symbols that take SI prefixes.
    "m": (1, {"m": 1}), "g": (Fraction(1, 1000), {"kg": 1}), "s": (1, {"s": 1}),
    "A": (1, {"A": 1}), "K": (1, {"K": 1}), "mol": (1, {"mol": 1}), "cd": (1, {"cd": 1}),
    "L": (Fraction(1, 1000), {"m": 3}), "l": (Fraction(1, 1000), {"m": 3}),
    "N": (1, {"kg": 1, "m": 1, "s": -2}), "J": (1, {"kg": 1, "m": 2, "s": -2}),
    "W": (1, {"kg": 1, "m": 2, "s": -3}), "Pa": (1, {"kg": 1, "m": -1, "s": -2}),
    "Hz": (1, {"s": -1}), "C": (1, {"A": 1, "s": 1}),
    "V": (1, {"kg": 1, "m": 2, "s": -3, "A": -1}), "F": (1, {"kg": -1, "m": -2, "s": 4, "A": 2}),
    "Omega": (1, {"kg": 1, "m": 2, "s": -3, "A": -2}), "T": (1, {"kg": 1, "s": -2, "A": -1}),
    "H": (1, {"kg": 1, "m": 2, "s": -2, "A": -2}), "Wb": (1, {"kg": 1, "m": 2, "s": -2, "A": -1}),
    "eV": (Fraction(1602176634, 10**28), {"kg": 1, "m": 2, "s": -2}),
    "cal": (Fraction(4184, 1000), {"kg": 1, "m": 2, "s": -2}), "bar": (100000, {"kg": 1, "m": -1, "s": -2}),
    "B": (8, {"bit": 1}), "Wh": (3600, {"kg": 1, "m": 2, "s": -2}), "S": (1, {"kg": -1, "m": -2, "s": 3, "A": 2}),
    "M": (1000, {"mol": 1, "m": -3}), "Bq": (1, {"s": -1}), "lm": (1, {"lm": 1}),
}  # fmt: skip
PREFIXES: Final[dict[str, Fraction | int]] = {"T": 10**12, "G": 10**9, "M": 10**6, "k": 1000, "h": 100, "d": Fraction(1, 10),
                   "c": Fraction(1, 100), "m": Fraction(1, 1000), "mu": Fraction(1, 10**6),
                   "u": Fraction(1, 10**6), "n": Fraction(1, 10**9), "p": Fraction(1, 10**12)}  # fmt: skip
WORD_PREFIXES: Final[dict[str, Fraction | int]] = {"kilo": 1000, "mega": 10**6, "giga": 10**9, "centi": Fraction(1, 100),
                        "milli": Fraction(1, 1000), "micro": Fraction(1, 10**6),
                        "nano": Fraction(1, 10**9), "deci": Fraction(1, 10)}  # fmt: skip
PREFIXED_WORDS: Final = {"meter": "m", "metre": "m", "gram": "g", "second": "s", "liter": "L",
                         "litre": "L", "joule": "J", "newton": "N", "watt": "W", "volt": "V",
                         "pascal": "Pa", "hertz": "Hz", "ampere": "A", "amp": "A", "ohm": "Omega",
                         "mole": "mol", "calorie": "cal", "byte": "B", "coulomb": "C",
                         "kelvin": "K", "farad": "F", "tesla": "T"}  # fmt: skip
OTHERS: Final[dict[str, tuple[Fraction | int, dict[str, int]]]] = {
    "in": (INCH, {"m": 1}), "inch": (INCH, {"m": 1}), "inche": (INCH, {"m": 1}),
    "ft": (FOOT, {"m": 1}), "foot": (FOOT, {"m": 1}), "feet": (FOOT, {"m": 1}),
    "yd": (3 * FOOT, {"m": 1}), "yard": (3 * FOOT, {"m": 1}), "mi": (MILE, {"m": 1}),
    "mile": (MILE, {"m": 1}), "mph": (MILE / 3600, {"m": 1, "s": -1}),
    "kph": (Fraction(1000, 3600), {"m": 1, "s": -1}), "acre": (43560 * FOOT**2, {"m": 2}),
    "hectare": (10000, {"m": 2}), "ha": (10000, {"m": 2}),
    "min": (60, {"s": 1}), "minute": (60, {"s": 1}), "sec": (1, {"s": 1}), "h": (3600, {"s": 1}),
    "hr": (3600, {"s": 1}), "hour": (3600, {"s": 1}), "day": (86400, {"s": 1}), "d": (86400, {"s": 1}),
    "week": (604800, {"s": 1}), "year": (1, {"year": 1}), "yr": (1, {"year": 1}),
    "month": (Fraction(1, 12), {"year": 1}), "decade": (10, {"year": 1}), "century": (100, {"year": 1}),
    "lb": (POUND, {"kg": 1}), "pound": (POUND, {"kg": 1}), "oz": (POUND / 16, {"kg": 1}),
    "ounce": (POUND / 16, {"kg": 1}), "ton": (2000 * POUND, {"kg": 1}), "tonne": (1000, {"kg": 1}),
    "cc": (Fraction(1, 10**6), {"m": 3}), "gallon": (231 * INCH**3, {"m": 3}),
    "quart": (231 * INCH**3 / 4, {"m": 3}), "pint": (231 * INCH**3 / 8, {"m": 3}),
    "cup": (231 * INCH**3 / 16, {"m": 3}), "atm": (101325, {"kg": 1, "m": -1, "s": -2}),
    "rpm": (Fraction(1, 60), {"revolution": 1, "s": -1}), "rad": (1, {}), "radian": (1, {}),
    "dollar": (1, {"usd": 1}), "usd": (1, {"usd": 1}), "buck": (1, {"usd": 1}),
    "cent": (Fraction(1, 100), {"usd": 1}), "penny": (Fraction(1, 100), {"usd": 1}),
    "euro": (1, {"eur": 1}), "rupee": (1, {"inr": 1}), "yuan": (1, {"cny": 1}), "元": (1, {"cny": 1}),
    "bit": (1, {"bit": 1}), "unit": (1, {}), "celsiu": (1, {"celsius": 1}), "fahrenheit": (1, {"fahrenheit": 1}),
    "厘米": (Fraction(1, 100), {"m": 1}), "毫米": (Fraction(1, 1000), {"m": 1}), "米": (1, {"m": 1}), "千米": (1000, {"m": 1}),
    "小时": (3600, {"s": 1}), "分钟": (60, {"s": 1}), "秒": (1, {"s": 1}), "天": (86400, {"s": 1}),
    "千克": (1, {"kg": 1}), "克": (Fraction(1, 1000), {"kg": 1}), "平方厘米": (Fraction(1, 10000), {"m": 2}),
    "平方米": (1, {"m": 2}), "立方厘米": (Fraction(1, 10**6), {"m": 3}), "立方米": (1, {"m": 3}),
}  # fmt: skip
SINGLE_LETTERS: Final = frozenset("mgsAKLNJWCVFTHhlBd")
"""Letters that are units where they follow a number after white space."""

NOT_COUNTED: Final = frozenset(
    "not or and if than more less minus plus times over but factorial squared cubed percent "
    "half halve third quarter fifth sixth seventh eighth ninth tenth hundredth thousandth "
    "hundred thousand million billion trillion dozen maybe unless except possibly no none "
    "below above negative point base mod is are was isn't without even odd either incorrect "
    "wrong false approximately about choose to from through between pi root square cubic sqrt "
    "fold gross score lakh crore myriad googol infinity tenths doubled tripled prime double twice otherwise".split()
)
"""Words after a number that change its value or doubt it."""

PART: Final = re.compile(
    r"\s*(?:(?P<divide>/|per\b|a\b(?=\s+\w))|(?P<multiply>[*·.])|\^?\s*\{?\s*(?P<exponent>-?[0-9]+)\s*\}?"
    r"|(?P<power>squared|cubed)|(?P<shape>square|cubic|sq\.?|cu\.?)\b|(?P<name>[^\W\d_]+))"
)


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    """The unit or noun that `text` names, or None where it is neither."""
    factor = Fraction(1)
    dimensions: dict[str, int] = {}
    nouns: list[str] = []
    sign, shape, position = 1, 1, 0
    last: tuple[Fraction, dict[str, int]] | None = None
    text = text.strip(" .()")
    while position < len(text):
        match = PART.match(text, position)
        if match is None or match.end() == position:
            return None
        position = match.end()
        if match["divide"]:
            sign, last = -1, None
        elif match["shape"]:
            shape = 2 if match["shape"].startswith("s") else 3
        elif match["exponent"] or match["power"]:
            exponent = int(match["exponent"] or {"squared": 2, "cubed": 3}[match["power"]])
            if last is None or not -9 < exponent < 9:
                return None
            factor *= power(last[0], exponent - 1)
            merge(dimensions, last[1], exponent - 1)
            last = None
        elif match["name"]:
            known = named(match["name"])
            if known is None:
                if sign < 0 and nouns == [] and dimensions == {}:
                    return None
                nouns.append(
                    singular(match["name"].lower())
                    if sign > 0
                    else "/" + singular(match["name"].lower())
                )
                continue
            size, exponents = known
            last = (
                power(size, sign * shape),
                {k: v * sign * shape for k, v in exponents.items()},
            )
            factor *= last[0]
            merge(dimensions, last[1], 1)
            shape = 1
    if not plausible_nouns(nouns):
        return None
    return Unit(factor, tuple(sorted((k, v) for k, v in dimensions.items() if v)), tuple(nouns))


def power(size: Fraction, exponent: int) -> Fraction:
    return size**exponent if exponent >= 0 else 1 / size**-exponent


def merge(total: dict[str, int], part: dict[str, int], times: int) -> None:
    for name, exponent in part.items():
        total[name] = total.get(name, 0) + exponent * times


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
        or singular(word) in NOT_COUNTED
        or (len(word) < 3 and word.isascii())
        for word in words
    )
