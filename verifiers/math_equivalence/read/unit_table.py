"""Units of measurement: how much of the SI unit each is, and of which dimensions. Exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

Units = dict[str, tuple[Fraction | int, dict[str, int]]]
"""Name: factor to SI, and the exponents of base dimensions."""

Factors = dict[str, Fraction | int]

FOOT, POUND = Fraction(3048, 10000), Fraction(45359237, 100000000)
MILE, INCH = 5280 * FOOT, FOOT / 12

BASE: Final[Units] = {
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
    "cal": (Fraction(4184, 1000), {"kg": 1, "m": 2, "s": -2}),
    "bar": (100000, {"kg": 1, "m": -1, "s": -2}),
    "B": (8, {"bit": 1}), "Wh": (3600, {"kg": 1, "m": 2, "s": -2}),
    "S": (1, {"kg": -1, "m": -2, "s": 3, "A": 2}),
    "M": (1000, {"mol": 1, "m": -3}), "Bq": (1, {"s": -1}), "lm": (1, {"lm": 1}),
}  # fmt: skip
PREFIXES: Final[Factors] = {
    "T": 10**12, "G": 10**9, "M": 10**6, "k": 1000, "h": 100, "d": Fraction(1, 10),
    "c": Fraction(1, 100), "m": Fraction(1, 1000), "mu": Fraction(1, 10**6),
    "u": Fraction(1, 10**6), "n": Fraction(1, 10**9), "p": Fraction(1, 10**12),
}  # fmt: skip
WORD_PREFIXES: Final[Factors] = {
    "kilo": 1000, "mega": 10**6, "giga": 10**9, "centi": Fraction(1, 100),
    "milli": Fraction(1, 1000), "micro": Fraction(1, 10**6), "nano": Fraction(1, 10**9),
    "deci": Fraction(1, 10),
}  # fmt: skip
PREFIXED_WORDS: Final = {"meter": "m", "metre": "m", "gram": "g", "second": "s", "liter": "L",
                         "litre": "L", "joule": "J", "newton": "N", "watt": "W", "volt": "V",
                         "pascal": "Pa", "hertz": "Hz", "ampere": "A", "amp": "A", "ohm": "Omega",
                         "mole": "mol", "calorie": "cal", "byte": "B", "coulomb": "C",
                         "kelvin": "K", "farad": "F", "tesla": "T"}  # fmt: skip
OTHERS: Final[Units] = {
    "in": (INCH, {"m": 1}), "inch": (INCH, {"m": 1}), "inche": (INCH, {"m": 1}),
    "ft": (FOOT, {"m": 1}), "foot": (FOOT, {"m": 1}), "feet": (FOOT, {"m": 1}),
    "yd": (3 * FOOT, {"m": 1}), "yard": (3 * FOOT, {"m": 1}), "mi": (MILE, {"m": 1}),
    "mile": (MILE, {"m": 1}), "mph": (MILE / 3600, {"m": 1, "s": -1}),
    "kph": (Fraction(1000, 3600), {"m": 1, "s": -1}), "acre": (43560 * FOOT**2, {"m": 2}),
    "hectare": (10000, {"m": 2}), "ha": (10000, {"m": 2}),
    "min": (60, {"s": 1}), "minute": (60, {"s": 1}), "sec": (1, {"s": 1}), "h": (3600, {"s": 1}),
    "hr": (3600, {"s": 1}), "hour": (3600, {"s": 1}), "day": (86400, {"s": 1}),
    "d": (86400, {"s": 1}),
    "week": (604800, {"s": 1}), "year": (1, {"year": 1}), "yr": (1, {"year": 1}),
    "month": (Fraction(1, 12), {"year": 1}), "decade": (10, {"year": 1}),
    "century": (100, {"year": 1}),
    "lb": (POUND, {"kg": 1}), "pound": (POUND, {"kg": 1}), "oz": (POUND / 16, {"kg": 1}),
    "ounce": (POUND / 16, {"kg": 1}), "ton": (2000 * POUND, {"kg": 1}), "tonne": (1000, {"kg": 1}),
    "cc": (Fraction(1, 10**6), {"m": 3}), "gallon": (231 * INCH**3, {"m": 3}),
    "quart": (231 * INCH**3 / 4, {"m": 3}), "pint": (231 * INCH**3 / 8, {"m": 3}),
    "cup": (231 * INCH**3 / 16, {"m": 3}), "atm": (101325, {"kg": 1, "m": -1, "s": -2}),
    "rpm": (Fraction(1, 60), {"revolution": 1, "s": -1}), "rad": (1, {}), "radian": (1, {}),
    "dollar": (1, {"usd": 1}), "usd": (1, {"usd": 1}), "buck": (1, {"usd": 1}),
    "cent": (Fraction(1, 100), {"usd": 1}), "penny": (Fraction(1, 100), {"usd": 1}),
    "euro": (1, {"eur": 1}), "rupee": (1, {"inr": 1}), "yuan": (1, {"cny": 1}),
    "元": (1, {"cny": 1}),
    "bit": (1, {"bit": 1}), "unit": (1, {}), "celsiu": (1, {"celsius": 1}),
    "fahrenheit": (1, {"fahrenheit": 1}),
    "厘米": (Fraction(1, 100), {"m": 1}), "毫米": (Fraction(1, 1000), {"m": 1}),
    "米": (1, {"m": 1}), "千米": (1000, {"m": 1}),
    "小时": (3600, {"s": 1}), "分钟": (60, {"s": 1}), "秒": (1, {"s": 1}), "天": (86400, {"s": 1}),
    "千克": (1, {"kg": 1}), "克": (Fraction(1, 1000), {"kg": 1}),
    "平方厘米": (Fraction(1, 10000), {"m": 2}),
    "平方米": (1, {"m": 2}), "立方厘米": (Fraction(1, 10**6), {"m": 3}), "立方米": (1, {"m": 3}),
}  # fmt: skip
