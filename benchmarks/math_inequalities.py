"""Inequalities with their solutions, and with solutions that are wrong, made without a solver.

Each kind starts from the solution: endpoints are drawn, and an inequality is written that has
them. So nothing here asks the verifier, or any algebra system, what is right. Wrong solutions
have an endpoint moved by 0.003 to 0.9, one that is open where it is closed, a piece left out, or
are the complement.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

Endpoint = tuple[float, str]
"""A number, and how it is written."""


@dataclass(frozen=True)
class Interval:
    low: Endpoint | None
    high: Endpoint | None
    low_closed: bool = False
    high_closed: bool = False

    def written(self) -> str:
        if self.low is not None and self.low == self.high:
            return f"\\{{{self.low[1]}\\}}"
        low = "(-\\infty" if self.low is None else f"{'[' if self.low_closed else '('}{self.low[1]}"
        high = (
            "\\infty)" if self.high is None else f"{self.high[1]}{']' if self.high_closed else ')'}"
        )
        return f"{low}, {high}"


Region = list[Interval]


@dataclass(frozen=True)
class Inequality:
    kind: str
    text: str
    solution: str
    wrong: tuple[str, ...]


def written(region: Region) -> str:
    return "\\cup".join(each.written() for each in region) if region else "\\emptyset"


def rational(value: Fraction) -> Endpoint:
    if value.denominator == 1:
        return float(value), str(value.numerator)
    sign = "-" if value < 0 else ""
    return float(value), f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def plain(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else rational(value)[1]


def term(value: Fraction) -> str:
    """`value` as a summand behind another."""
    return f"{'-' if value < 0 else '+'}{plain(abs(value))}" if value else ""


def moved(end: Endpoint, by: float) -> Endpoint:
    return end[0] + by, f"{end[0] + by:.4f}"


def mistakes(region: Region, draw: random.Random) -> Iterator[str]:
    """Other regions."""
    for index, each in enumerate(region):
        size = draw.choice((-1, 1)) * draw.choice(
            (draw.uniform(0.003, 0.05), draw.uniform(0.05, 0.9))
        )
        others = region[:index], region[index + 1 :]
        for side in ("low", "high"):
            end = getattr(each, side)
            if end is None:
                continue
            changed = {**each.__dict__, side: moved(end, size)}
            low, high = changed["low"], changed["high"]
            if low is None or high is None or low[0] < high[0]:
                yield written([*others[0], Interval(**changed), *others[1]])
            closed = f"{side}_closed"
            flipped = {**each.__dict__, closed: not getattr(each, closed)}
            yield written([*others[0], Interval(**flipped), *others[1]])
        if len(region) > 1:
            yield written([*others[0], *others[1]])
    yield written(complement(region))


def complement(region: Region) -> Region:
    pieces: Region = []
    start: Endpoint | None = None
    open_start, unbounded = True, True
    for each in region:
        if each.low is not None:
            pieces.append(
                Interval(start, each.low, not unbounded and open_start, not each.low_closed)
            )
        start, open_start, unbounded = each.high, not each.high_closed, False
        if each.high is None:
            return pieces
    return [*pieces, Interval(start, None, not unbounded and open_start)]


def holds(sign: str, value: float) -> bool:
    return {"<": value < 0, "\\le": value <= 0, ">": value > 0, "\\ge": value >= 0}[sign]


def by_signs(
    ends: list[Endpoint], signs: list[int], sign: str, undefined: frozenset[int]
) -> Region:
    """The region where a function whose signs between `ends` are given fulfils `sign` 0."""
    strict = sign in ("<", ">")
    included = [holds(sign, float(each)) for each in signs]
    closed = [not strict and index not in undefined for index in range(len(ends))]
    region: Region = []
    bounds: list[Endpoint | None] = [None, *ends, None]
    for index, inside in enumerate(included):
        low, high = bounds[index], bounds[index + 1]
        if inside:
            low_closed = index > 0 and closed[index - 1]
            high_closed = index < len(ends) and closed[index]
            if region and region[-1].high == low and region[-1].high_closed and low_closed:
                last = region.pop()
                region.append(Interval(last.low, high, last.low_closed, high_closed))
            else:
                region.append(Interval(low, high, low_closed, high_closed))
        elif index < len(ends) and closed[index] and not included[index + 1]:
            end = ends[index]  # an isolated zero
            region.append(Interval(end, end, True, True))
    return region


def roots(draw: random.Random, count: int) -> list[Fraction]:
    found: set[Fraction] = set()
    while len(found) < count:
        found.add(Fraction(draw.randint(-12, 12), draw.choice((1, 1, 1, 2, 3, 4))))
    return sorted(found)


def some_sign(draw: random.Random) -> str:
    return draw.choice(("<", "\\le", ">", "\\ge"))


# --- kinds ------------------------------------------------------------------------------


def linear(draw: random.Random) -> tuple[str, Region]:
    [root] = roots(draw, 1)
    slope = draw.choice((-5, -3, -2, -1, 1, 2, 3, 7))
    shift = Fraction(draw.randint(-9, 9))
    sign = some_sign(draw)
    text = f"{slope}x{term(shift)} {sign} {plain(slope * root + shift)}"
    signs = [-1, 1] if slope > 0 else [1, -1]
    return text, by_signs([rational(root)], signs, sign, frozenset())


def factored(draw: random.Random) -> tuple[str, Region]:
    zeros = roots(draw, draw.randint(2, 4))
    powers = [draw.choice((1, 1, 1, 2, 3)) for _ in zeros]
    sign = some_sign(draw)
    text = "".join(
        f"(x{term(-zero)}){'' if power == 1 else f'^{power}'}"
        for zero, power in zip(zeros, powers, strict=True)
    )
    return f"{text} {sign} 0", by_signs(
        [*map(rational, zeros)], alternating(powers), sign, frozenset()
    )


def alternating(powers: list[int]) -> list[int]:
    """The signs of a product of powers between its zeros; positive far right."""
    signs = [1]
    for power in reversed(powers):
        signs.append(signs[-1] * (-1 if power % 2 else 1))
    return signs[::-1]


def expanded(draw: random.Random) -> tuple[str, Region]:
    zeros = roots(draw, draw.randint(2, 3))
    coefficients = [Fraction(1)]
    for zero in zeros:
        shifted = [Fraction(0), *coefficients]
        for index, coefficient in enumerate(coefficients):
            shifted[index] -= zero * coefficient
        coefficients = shifted
    names = ["", "x", "x^2", "x^3"]
    text = ""
    for power in reversed(range(len(coefficients))):
        if coefficient := coefficients[power]:
            size = "" if abs(coefficient) == 1 and power else plain(abs(coefficient))
            text += ("-" if coefficient < 0 else "+" if text else "") + size + names[power]
    sign = some_sign(draw)
    return f"{text} {sign} 0", by_signs(
        [*map(rational, zeros)], alternating([1] * len(zeros)), sign, frozenset()
    )


def irrational(draw: random.Random) -> tuple[str, Region]:
    middle, square = draw.randint(-5, 5), draw.choice((2, 3, 5, 6, 7, 10, 11))
    ends = [
        (middle + s * square**0.5, f"{middle}{'-' if s < 0 else '+'}\\sqrt{{{square}}}")
        for s in (-1, 1)
    ]
    sign = some_sign(draw)
    linear_part, constant = Fraction(-2 * middle), Fraction(middle**2 - square)
    text = f"x^2{'' if not linear_part else f'{term(linear_part)}x'} {sign} {plain(-constant)}"
    return text, by_signs(ends, [1, -1, 1], sign, frozenset())


def absolute(draw: random.Random) -> tuple[str, Region]:
    low, high = roots(draw, 2)
    middle, radius = (low + high) / 2, (high - low) / 2
    scale = draw.choice((1, 1, 2, 3))
    inner = f"{'' if scale == 1 else scale}x{term(-scale * middle)}"
    sign = some_sign(draw)
    text = f"|{inner}| {sign} {plain(scale * radius)}"
    return text, by_signs([rational(low), rational(high)], [1, -1, 1], sign, frozenset())


def two_absolutes(draw: random.Random) -> tuple[str, Region]:
    low, high = roots(draw, 2)
    beyond = Fraction(draw.randint(1, 6))
    sign = some_sign(draw)
    text = f"|x{term(-low)}|+|x{term(-high)}| {sign} {plain(high - low + 2 * beyond)}"
    return text, by_signs(
        [rational(low - beyond), rational(high + beyond)], [1, -1, 1], sign, frozenset()
    )


def exponential(draw: random.Random) -> tuple[str, Region]:
    base, sign = draw.choice((2, 3, 5, 10)), some_sign(draw)
    if draw.random() < 0.5:
        bound = draw.randint(2, 60)
        end = (math.log(bound), f"\\ln {bound}")
        return f"e^x {sign} {bound}", by_signs([end], [-1, 1], sign, frozenset())
    exponent = draw.randint(-3, 4)
    bound_text = str(base**exponent) if exponent >= 0 else f"\\frac{{1}}{{{base**-exponent}}}"
    shift = Fraction(draw.randint(-4, 4))
    text = f"{base}^{{x{term(shift)}}} {sign} {bound_text}"
    return text, by_signs([rational(exponent - shift)], [-1, 1], sign, frozenset())


def exponential_quadratic(draw: random.Random) -> tuple[str, Region]:
    low, high = sorted(draw.sample(range(0, 5), 2))
    total, product = 2**low + 2**high, 2 ** (low + high)
    sign = some_sign(draw)
    text = f"4^x - {total}\\cdot 2^x + {product} {sign} 0"
    ends = [rational(Fraction(low)), rational(Fraction(high))]
    return text, by_signs(ends, [1, -1, 1], sign, frozenset())


def logarithmic(draw: random.Random) -> tuple[str, Region]:
    base, exponent, shift = (
        draw.choice((2, 3, 10)),
        draw.randint(-1, 3),
        Fraction(draw.randint(-5, 5)),
    )
    sign = some_sign(draw)
    start, end = -shift, Fraction(base) ** exponent - shift
    text = f"\\log_{{{base}}}(x{term(shift)}) {sign} {exponent}"
    strict = sign in ("<", ">")
    if sign in ("<", "\\le"):
        return text, [Interval(rational(start), rational(end), False, not strict)]
    return text, [Interval(rational(end), None, not strict)]


def fraction(draw: random.Random) -> tuple[str, Region]:
    ends = roots(draw, draw.randint(2, 3))
    poles = frozenset(draw.sample(range(len(ends)), draw.randint(1, len(ends) - 1)))
    upper = "".join(f"(x{term(-end)})" for i, end in enumerate(ends) if i not in poles)
    lower = "".join(f"(x{term(-end)})" for i, end in enumerate(ends) if i in poles)
    sign = some_sign(draw)
    text = f"\\frac{{{upper}}}{{{lower}}} {sign} 0"
    return text, by_signs([*map(rational, ends)], alternating([1] * len(ends)), sign, poles)


def square_root(draw: random.Random) -> tuple[str, Region]:
    [start] = roots(draw, 1)
    bound, sign = draw.randint(1, 6), some_sign(draw)
    text = f"\\sqrt{{x{term(-start)}}} {sign} {bound}"
    end, strict = start + bound**2, sign in ("<", ">")
    if sign in ("<", "\\le"):
        return text, [Interval(rational(start), rational(end), True, not strict)]
    return text, [Interval(rational(end), None, not strict)]


def root_against_line(draw: random.Random) -> tuple[str, Region]:
    """√(x + a) > x - b, which the line meets once, at a chosen place."""
    height, start = draw.randint(1, 5), Fraction(draw.randint(-6, 6))
    meets = height**2 - start  # where √(x + start) = height
    shift = height - meets  # the line x + shift passes through it
    sign = draw.choice(("<", "\\le", ">", "\\ge"))
    text = f"\\sqrt{{x{term(start)}}} {sign} x{term(shift)}"
    # s - (s² - start + shift) with s = √(x + start): s² - s = start - shift has the root `height`.
    other = 1 - height
    if other >= 0 and other != height:
        low = other**2 - start
        ends = [rational(-start), rational(low), rational(meets)]
        if low == -start:
            ends = ends[1:]
            signs = [0, 1, -1]
        else:
            signs = [0, -1, 1, -1]
    else:
        ends, signs = [rational(-start), rational(meets)], [0, 1, -1]
    strict = sign in ("<", ">")
    wants = 1 if sign in (">", "\\ge") else -1
    region: Region = []
    bounds: list[Endpoint | None] = [*ends, None]
    for index, each in enumerate(signs[1:]):
        if each == wants:
            first = index == 0
            zero_at_start = first and len(signs) == 3 and other == 0
            low_closed = (first and not zero_at_start) or not strict
            high_closed = bounds[index + 1] is not None and not strict
            region.append(Interval(bounds[index], bounds[index + 1], low_closed, high_closed))
        elif first_isolated(index, signs, strict, other, wants):
            region.append(Interval(ends[0], ends[0], True, True))
    return text, region


def first_isolated(index: int, signs: list[int], strict: bool, other: int, wants: int) -> bool:
    """At the start of the domain the two are equal, and the wanted side does not follow."""
    return index == 0 and other == 0 and not strict and len(signs) == 3


KINDS: dict[str, Callable[[random.Random], tuple[str, Region]]] = {
    "linear": linear,
    "factored": factored,
    "expanded": expanded,
    "irrational": irrational,
    "absolute": absolute,
    "two absolutes": two_absolutes,
    "exponential": exponential,
    "exponential quadratic": exponential_quadratic,
    "logarithmic": logarithmic,
    "fraction": fraction,
    "square root": square_root,
    "root against line": root_against_line,
}


def inequalities(count: int, seed: int = 0) -> Iterator[Inequality]:
    """`count` of them, kind by kind in turn."""
    draw = random.Random(seed)
    names = list(KINDS)
    for index in range(count):
        kind = names[index % len(names)]
        text, region = KINDS[kind](draw)
        points = any(each.low is not None and each.low == each.high for each in region)
        wrong = () if points else tuple(dict.fromkeys(mistakes(region, draw)))
        yield Inequality(kind, text, written(region), wrong)
