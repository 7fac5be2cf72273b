"""Where the truth of a relation in one real variable can change: all such numbers, or a refusal.

A relation f(x) < g(x) changes only where f - g vanishes or where one of them stops being
analytic. These *critical points* are found as follows, and nothing is taken from samples.

1. Breakpoints: zeros of denominators, of radicands, of the arguments of logarithms and absolute
   values, and so on, found by this same procedure. Between neighbours every function is analytic
   or undefined throughout, and absolute values and extrema have one branch, which is put in.
2. A rational function's zeros are isolated exactly: see `polynomials`.
3. Any other function is enclosed by interval arithmetic: where the enclosure of f leaves out zero
   there is none; where that of f' does, there is at most one, which the signs at the ends tell;
   where that of f'' does, f has one extremum at most, to whose either side f is monotone. Else the
   interval is halved, within a budget.
4. Towards infinity a sign is certain where an enclosure has it, or where f' keeps a sign for good
   and f has it already.
5. What the budget does not settle is `UnprovenError`, and never a guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cmp_to_key
from typing import Final

from verifiers.math_equivalence.numbers.derivatives import derivative, plus, times
from verifiers.math_equivalence.numbers.enclosures import (
    DIGITS,
    INTERVALS,
    POSITIVE_ONLY,
    UnprovenError,
    enclosure,
    exponential,
    growth,
    multiplied,
    total,
)  # fmt: skip
from verifiers.math_equivalence.numbers.evaluate import Evaluator
from verifiers.math_equivalence.numbers.polynomials import (
    NotRationalError,
    rational_function,
    real_roots,
)  # fmt: skip
from verifiers.math_equivalence.numbers.values import (
    CONTEXT,
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    is_exact,
    is_real,
)  # fmt: skip
from verifiers.math_equivalence.read.expression import (
    MINUS_ONE,
    Call,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Root,
    Sum,
    Symbol,
    children,
    free_symbols,
    rebuilt,
)  # fmt: skip

SAME: Final = 1e-30
"""Relative difference of values that differ by rounding alone."""

MAX_ENCLOSURES: Final = 1_500
"""Of a function over an interval, in finding one set of zeros: a fraction of a second."""

NARROWEST: Final = 1e-9
"""A narrower interval is not halved: functions that touch zero there are not told from others
that miss it."""

TAIL_STARTS: Final = tuple(4**power for power in range(1, 9))
TAIL_DERIVATIVES: Final = 4
CLOSER: Final = 64
CLOSER_STEPS: Final = 6
"""How an end where nothing is defined is approached, until the sign beside it is certain."""

REFINEMENTS: Final = 190
"""Halvings that bring a root from an interval's width to all digits."""


Cell = tuple[Value | None, Value | None]
"""An open interval; None for an end at infinity."""


def critical_points(operands: Sequence[Node], name: str) -> list[Value]:
    """Every number where a chain of relations between `operands` may change.

    Raises:
        UnprovenError: they are not all known.
        TooLargeError: beyond a limit.
    """
    points: list[Value] = []
    for left, right in itertools.pairwise(operands):
        points += zeros_and_breakpoints(plus(left, times(MINUS_ONE, right)), name)
    return in_order(points)


def zeros_and_breakpoints(function: Node, name: str) -> list[Value]:
    if name not in free_symbols(function):
        return []
    try:
        numerator, denominator = rational_function(function, name)
        roots = real_roots(denominator)
        return in_order([*roots, *(real_roots(numerator) if numerator else ())])
    except NotRationalError:
        pass
    points = in_order(breakpoints(function, name))
    found = list(points)
    for cell in cells(points):
        found += zeros_between(function, name, cell)
    return in_order(found)


def breakpoints(node: Node, name: str) -> list[Value]:
    """Where `node` may stop being analytic, or have another branch."""
    if name not in free_symbols(node):
        return []
    points = [point for child in children(node) for point in breakpoints(child, name)]
    for critical in vanishing(node, name):
        points += zeros_and_breakpoints(critical, name)
    return points


ANALYTIC: Final = frozenset("sin cos sinh cosh tanh arctan arcsinh percent degrees".split())
WITHIN_ONE: Final = frozenset(("arcsin", "arccos", "arctanh"))


def vanishing(node: Node, name: str) -> list[Node]:
    """The functions at whose zeros `node` itself breaks."""
    if isinstance(node, Sum | Product | Symbol | Number):
        return []
    if isinstance(node, Quotient):
        return [node.denominator]
    if isinstance(node, Root) and name not in free_symbols(node.degree):
        return [node.radicand]
    if isinstance(node, Power):
        if name in free_symbols(node.exponent):
            return [node.base]  # a base that is negative is refused where it is enclosed
        exponent = node.exponent
        whole = isinstance(exponent, Number) and isinstance(exponent.value, int)
        return [] if whole and exponent.value >= 0 else [node.base]  # type: ignore[attr-defined]
    if isinstance(node, Call):
        first = node.arguments[0]
        if node.name in ANALYTIC:
            return []
        if node.name in ("abs", "sign"):
            return [first]
        if node.name in POSITIVE_ONLY:
            return [first, *(plus(base, MINUS_ONE) for base in node.arguments[1:])]
        if node.name in WITHIN_ONE:
            return [plus(times(first, first), MINUS_ONE)]
        if node.name in ("max", "min"):
            return [
                plus(one, times(MINUS_ONE, other))
                for index, one in enumerate(node.arguments)
                for other in node.arguments[:index]
            ]
    raise UnprovenError(type(node).__name__)


def in_order(points: Sequence[Value]) -> list[Value]:
    """Each once, in ascending order."""
    ordered: list[Value] = []
    for point in sorted(points, key=cmp_to_key(compare)):
        if not ordered or compare(ordered[-1], point):
            ordered.append(point)
    return ordered


def compare(left: Value, right: Value) -> int:
    """-1, 0 or 1; values that differ by rounding alone are equal."""
    if is_exact(left) and is_exact(right):
        return int(left > right) - int(left < right)
    left, right = approximate(left), approximate(right)
    if CONTEXT.isinf(left) or CONTEXT.isinf(right):
        return int(left > right) - int(left < right)
    gap = left - right
    if abs(gap) <= SAME * max(1, abs(left), abs(right)):
        return 0
    return 1 if gap > 0 else -1


def cells(points: Sequence[Value]) -> list[Cell]:
    ends = [None, *points, None]
    return list(itertools.pairwise(ends))


def inside(cell: Cell) -> Value:
    """A number in the cell, short where it can be."""
    low, high = cell
    if low is None:
        return 0 if high is None else high - 1
    if high is None:
        return low + 1
    if is_exact(low) and is_exact(high):
        return Fraction(low + high) / 2
    return (approximate(low) + approximate(high)) / 2


# --- the zeros of a function that is analytic, or undefined, in a cell --------------------


def zeros_between(function: Node, name: str, cell: Cell) -> list[Value]:
    point = {name: inside(cell)}
    evaluator = Evaluator(DIGITS)
    try:
        if not is_real(evaluator.value(function, point)):
            return []  # undefined here, and so in the whole cell
    except UndefinedError:
        return []
    except NotNumericError as error:
        raise UnprovenError(str(error)) from None
    branch = on_branch(function, point, evaluator)
    if name not in free_symbols(branch):
        return []  # constant here: its sign is that at any point
    try:
        numerator, _ = rational_function(branch, name)
        if not numerator:
            return []
        return [root for root in real_roots(numerator) if lies_in(root, cell)]
    except NotRationalError:
        pass
    if isinstance(branch, Product):  # where it is defined, so are its factors
        return [zero for part in branch.factors for zero in zeros_between(part, name, cell)]
    if isinstance(branch, Quotient):
        return zeros_between(branch.numerator, name, cell)
    if isinstance(branch, Root):
        return []  # the zeros of its radicand are breakpoints
    if isinstance(branch, Power) and name not in free_symbols(branch.exponent):
        return zeros_between(branch.base, name, cell)
    if isinstance(branch, Power) and name not in free_symbols(branch.base):
        return []
    return Search(branch, name).zeros(cell)


def lies_in(x: Value, cell: Cell) -> bool:
    low, high = cell
    return (low is None or compare(low, x) < 0) and (high is None or compare(x, high) < 0)


def on_branch(node: Node, point: dict[str, Value], evaluator: Evaluator) -> Node:
    """`node` with absolute values, signs and extrema as they are around `point`."""
    node = rebuilt(node, lambda child: on_branch(child, point, evaluator))
    if isinstance(node, Call) and node.name in ("abs", "sign", "max", "min"):
        values = [evaluator.value(argument, point) for argument in node.arguments]
        if not all(map(is_real, values)):
            raise UnprovenError("complex")
        if node.name == "abs":
            return node.arguments[0] if values[0] > 0 else times(MINUS_ONE, node.arguments[0])
        if node.name == "sign":
            return Number(int(values[0] > 0) - int(values[0] < 0))
        chosen = max(values) if node.name == "max" else min(values)
        return node.arguments[values.index(chosen)]
    return node


class Search:
    """Finds the zeros of one function, within one budget."""

    def __init__(self, function: Node, name: str) -> None:
        self.name = name
        self.derivatives = [function]
        self.budget = MAX_ENCLOSURES
        self.evaluator = Evaluator(DIGITS)

    def derivative(self, order: int) -> Node:
        while len(self.derivatives) <= order:
            self.derivatives.append(derivative(self.derivatives[-1], self.name))
        return self.derivatives[order]

    def zeros(self, cell: Cell) -> list[Value]:
        low, high = cell
        if low is None:
            low = self.tail(high, -1)
        if high is None:
            high = self.tail(low, 1)
        return self.within(approximate(low), approximate(high), lambda x: lies_in(x, cell))

    def tail(self, other_end: Value | None, direction: int) -> Value:
        """A number beyond which, to infinity, the function keeps its sign."""
        offset = 0 if other_end is None else approximate(other_end)
        for start in TAIL_STARTS:
            edge = CONTEXT.floor(offset) + direction * start
            if self.sign_beyond(0, edge, direction):
                return edge
        raise UnprovenError("the sign towards infinity")

    def sign_beyond(self, order: int, edge: Value, direction: int) -> int:
        """The sign that a derivative has from `edge` on to infinity; 0 where it is not certain."""
        beyond = (edge, INTERVALS.inf) if direction > 0 else (-INTERVALS.inf, edge)
        if sign := self.sign(order, *beyond) or self.dominant_sign(order, *beyond, direction):
            return sign
        if order == TAIL_DERIVATIVES:
            return 0
        grows = self.sign_beyond(order + 1, edge, direction) * direction
        return grows if grows and grows == self.sign(order, edge, edge) else 0

    def dominant_sign(self, order: int, low: Value, high: Value, direction: int) -> int:
        """The sign on [low, high] of a sum of exponentials, over the one that grows fastest: of
        4^x - 5·2^x, that of 1 - 5·2^{-x}."""
        node = self.derivative(order)
        growths = [growth(term, self.name) for term in node.terms] if isinstance(node, Sum) else []
        known = [each for each in growths if each is not None]
        if not known or len(known) < len(growths):
            return 0
        x = INTERVALS.mpf([low, high])
        first, rate = max(known, key=lambda each: direction * each[1].mid)
        others = [
            multiplied(size, exponential(multiplied(other - rate, x)))
            for size, other in known
            if other is not rate
        ]
        value = total([first, *others])
        return 1 if value.a > 0 else -1 if value.b < 0 else 0

    def sign(self, order: int, low: Value, high: Value) -> int:
        """The sign of a derivative on [low, high]; 0 where its enclosure holds zero."""
        self.budget -= 1
        if self.budget < 0:
            raise UnprovenError("too many intervals")
        value = enclosure(self.derivative(order), self.name, INTERVALS.mpf([low, high]))
        return 1 if value.a > 0 else -1 if value.b < 0 else 0

    def within(self, low: Value, high: Value, wanted: Callable[[Value], bool]) -> list[Value]:
        """The zeros in (low, high) that are `wanted`, which those at an end are not."""
        found: list[Value] = []
        stack = [(low, high)]
        while stack:
            a, b = stack.pop()
            if self.sign(0, a, b):
                continue
            if self.sign(1, a, b):
                found += self.zero_of(0, a, b)
            elif self.sign(2, a, b) and (extremum := self.extremum(a, b)) is not None:
                left, middle, right = extremum
                if middle:
                    found.append(middle[0])
                else:
                    stack += [(left, b), (a, right)] if left > a and right < b else []
                    if not (left > a and right < b):
                        raise UnprovenError("an extremum at an end")
            elif b - a <= NARROWEST * max(1, abs(a), abs(b)):
                raise UnprovenError("a function that nearly touches zero")
            else:
                m = (a + b) / 2
                stack += [(a, m), (m, b)]
                if self.is_zero(m):
                    found.append(m)
        return [zero for zero in in_order(found) if wanted(zero)]

    def is_zero(self, x: Value) -> bool:
        try:
            value = self.evaluator.value(self.derivative(0), {self.name: x})
        except (UndefinedError, NotNumericError):
            return False
        return bool(abs(value) <= SAME)

    def defined_within(self, order: int, low: Value, high: Value) -> tuple[Value, Value]:
        """The interval without an end at which a derivative is not defined, if it keeps its sign
        from there on to the end that is left."""
        function, ends = self.derivative(order), [low, high]
        for index, (end, other) in enumerate(((low, high), (high, low))):
            try:
                self.evaluator.value(function, {self.name: end})
            except UndefinedError:
                step = other - end
                for _ in range(CLOSER_STEPS):
                    step /= CLOSER
                    if self.sign(order, *sorted((end, end + step))):
                        break
                else:
                    raise UnprovenError("no limit where it is not defined") from None
                ends[index] = end + step
        return ends[0], ends[1]

    def zero_of(self, order: int, low: Value, high: Value) -> list[Value]:
        """The zero of a derivative that is monotone in [low, high], if it has one."""
        function, ends = self.derivative(order), []
        low, high = self.defined_within(order, low, high)
        for end in (low, high):
            value = self.evaluator.value(function, {self.name: end})
            if not is_real(value):
                value = value.real
            if abs(value) <= SAME:
                return [end]
            ends.append(value > 0)
        if ends[0] == ends[1]:
            return []
        for _ in range(REFINEMENTS):
            middle = (low + high) / 2
            value = self.evaluator.value(function, {self.name: middle})
            if value == 0:
                return [middle]
            low, high = (low, middle) if (value > 0) == ends[1] else (middle, high)
        return [(low + high) / 2]

    def extremum(self, low: Value, high: Value) -> tuple[Value, list[Value], Value] | None:
        """Where a function that is convex, or concave, in [low, high] turns; and the zero there.

        Returns:
            Numbers just right and left of the turn, and between them the turn itself where the
            function vanishes there to all digits: then it has no other zero. None where it does
            not turn inside.
        """
        turns = self.zero_of(1, low, high)
        if not turns:
            return None
        [turn] = turns
        if self.is_zero(turn):
            return turn, [turn], turn
        width = (high - low) / 64
        while width > NARROWEST * (high - low):
            left, right = max(low, turn - width), min(high, turn + width)
            if self.sign(0, left, right):
                return right, [], left
            width /= 8
        return None
