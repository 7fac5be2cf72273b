"""Whether two scalar expressions have the same value: everywhere, or as closed forms.

Closed forms are evaluated twice, to 40 and to 100 digits: a true equality shrinks with the
precision, a difference stays. Expressions with variables are compared at fixed points,
negative and positive, rational and short enough to be shown as a witness. A single clear
mismatch decides for "different"; agreement at every point for "equal" (Schwartz and
Zippel for polynomials; beyond them it is overwhelmingly likely and never contradicted).
Where there are absolute values, extrema, floors or roots, integers, the literals of both
sides and numbers far out are points, too, since a piece may end there. Where summands
differ by many orders of magnitude, as in 1 + e^{-500}, precision rises until they count.

Only points where both sides are real are compared: elsewhere a branch was chosen, so that
2 ln x is ln x^2, as is written in solutions for positive x. If
there are none, the complex values are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from verifiers.math_equivalence.limits import TooLargeError
from verifiers.math_equivalence.numbers.evaluate import ABSORBING, Evaluator, numerics
from verifiers.math_equivalence.numbers.values import (
    CONTEXT,
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    bits,
    is_exact,
    is_real,
    magnitude_bits,
)  # fmt: skip
from verifiers.math_equivalence.read.expression import (
    BigOperator,
    Call,
    Node,
    Number,
    Piecewise,
    Power,
    Quotient,
    Root,
    free_symbols,
    walk,
)  # fmt: skip
from verifiers.math_equivalence.verdict import Verdict, different, equal

FEW_DIGITS: Final = 40
MANY_DIGITS: Final = 100
LONGEST_PRECISION: Final = 300
"""Digits of the longest literal that precision follows; see `working_digits`."""

DIGITS_PER_BIT: Final = 0.302
SLOW_FUNCTIONS: Final = frozenset({"factorial", "Gamma", "binomial", "erf", "zeta"})
"""Hundreds of digits of these, at arguments that are no integers, take seconds."""

MODEST_EXPONENT: Final = 24
MOST_DIGITS: Final = 1_200
"""Summands spread further are not compared."""
MOST_WORK: Final = 400_000
"""The same for digits times operations."""

NEARLY_ALL_DIGITS: Final = 25
CLEAR: Final = 1e-9
"""A relative difference above this at 40 digits is no rounding error."""

DENOMINATORS: Final = (101, 89, 113, 97)
COORDINATES: Final = tuple(
    Fraction(number, DENOMINATORS[index % 4])
    for index, number in enumerate(
        (137, 59, 1241, 83, -271, 313, -1167, 31, 2693, -43, 541, -727, 67, 353, -119, 17)
    )
)
"""On both sides of zero, near and far, so that no piece of |x - a| is missed, and on no
common grid, where sin(100πx) would vanish."""

STRIDES: Final = (0, 4, 8, 6, 7, 9, 5, 11, 2, 14, 1, 3, 12, 15, 13, 10)
"""Where in `COORDINATES` the first variable starts, point by point."""

INTEGER_POINTS: Final = (3, 4, 7, 10, 5, 8, 6, 9)
BOUNDS: Final = (4, 7, 1, 9, 3, 12, 6, 2, 10, 5, 8)
"""Integers for the variables that bound a sum."""
INTEGER_NAMES: Final = frozenset("nmkijlpqrNMK")
ENOUGH: Final = 3
ENOUGH_IN_PIECES: Final = 7
"""Points at which both sides must be real and equal; more of them for |x|, √ and floors."""

INTEGER_EDGES: Final = (0, 1, -1, -2)
ASIDE: Final = Fraction(3, 7)
FAR: Final = Fraction(10**6 * 7 + 1, 7)
MAX_EDGE: Final = 10**12
MAX_EDGES: Final = 8
MAX_EDGE_SYMBOLS: Final = 3

COMPLEX_PARTS: Final = frozenset("abs conj Re Im arg".split())
PIECEWISE: Final = frozenset("abs max min sign floor ceil mod Re Im conj arg".split())


def compare_scalars(reference: Node, answer: Node, *, log_base: int | None = None) -> Verdict:
    """Whether the two expressions are equal as numbers or as functions of their variables.

    Raises:
        NotNumericError: one of them is no scalar, or needs algebra.
        TooLargeError: beyond a limit.
        UndefinedError: never; a side without a value is "undefined".
    """
    if reference == answer:
        return equal("structure")
    symbols = sorted(free_symbols(reference) | free_symbols(answer))
    comparison = Comparison(reference, answer, log_base)
    with numerics:
        if not symbols:
            return comparison.closed_forms()
        verdict = comparison.functions(symbols)
        if verdict.equal or not comparison.may_be_integral(symbols):
            return verdict
        return comparison.integer_functions(symbols) or verdict


class Comparison:
    """Two scalars, evaluated to few digits first and to many where that is not enough."""

    def __init__(self, reference: Node, answer: Node, log_base: int | None) -> None:
        self.reference = reference
        self.answer = answer
        nodes = (*walk(reference), *walk(answer))
        self.edges = edges(nodes) if any(map(is_piecewise, nodes)) else ()
        self.integral = counted(nodes)
        self.complex = complex_names(nodes)
        self.enough = ENOUGH_IN_PIECES if self.edges or self.integral else ENOUGH
        self.spreads = any(map(may_be_tiny, nodes))
        extra = working_digits(reference, answer)
        self.few = Evaluator(FEW_DIGITS + extra, log_base=log_base)
        self.many = Evaluator(MANY_DIGITS + extra, log_base=log_base)

    def closed_forms(self) -> Verdict:
        try:
            left, right = self.values({})
        except UndefinedError as error:
            return different("numeric", "undefined", cause=str(error))
        if self.same({}, left, right):
            return equal("numeric")
        return different("numeric", reference=shown(left), answer=shown(right))

    def same(self, point: Mapping[str, Value], left: Value, right: Value) -> bool:
        """Whether two values computed to few digits are the same number."""
        if is_exact(left) and is_exact(right):
            return bool(left == right)
        if CONTEXT.isinf(left) or CONTEXT.isinf(right):
            return bool(left == right)
        left, right = approximate(left), approximate(right)
        gap, scale = abs(left - right), max(abs(left), abs(right))
        if scale > 10.0 ** (-self.few.digits // 2) and gap > scale * CLEAR:
            return False
        return self.shrinks(point, gap)

    def shrinks(self, point: Mapping[str, Value], gap: Value) -> bool:
        """Whether the gap between the two goes away with more digits."""
        spread = self.digits_lost(point)
        if spread > self.many.digits / 2:
            return self.agrees_to(point, spread)
        left = approximate(self.many.value(self.reference, point))
        right = approximate(self.many.value(self.answer, point))
        finer, scale = abs(left - right), max(abs(left), abs(right))
        if finer == 0:
            return True
        gained = (self.many.digits - self.few.digits) / 2
        bound = scale * CONTEXT.mpf(10) ** (-0.8 * self.many.digits)
        return bool(finer <= bound or finer <= gap * CONTEXT.mpf(10) ** -gained)

    def digits_lost(self, point: Mapping[str, Value]) -> float:
        """Digits over which the summands of either side are spread."""
        if not self.spreads:
            return 0
        meter = Evaluator(FEW_DIGITS, log_base=self.few.log_base, measures=True)
        for side in (self.reference, self.answer):
            meter.value(side, point)
        digits = meter.bits_lost * DIGITS_PER_BIT
        if digits > MOST_DIGITS or digits * meter.steps > MOST_WORK:
            raise TooLargeError("a difference of too many digits")
        return digits

    def agrees_to(self, point: Mapping[str, Value], spread: float) -> bool:
        """As `shrinks`, beyond `spread` digits, of which cancellation may take as many."""
        evaluator = Evaluator(int(self.many.digits + 2 * spread), log_base=self.few.log_base)
        left = approximate(evaluator.value(self.reference, point))
        right = approximate(evaluator.value(self.answer, point))
        gap, scale = abs(left - right), max(abs(left), abs(right))
        return bool(gap <= scale * CONTEXT.mpf(10) ** -(self.many.digits / 2 + spread))

    def functions(self, symbols: list[str]) -> Verdict:
        """Compares at real points; where there are none, in the complex plane."""
        agreed = complex_agreed = complex_differing = 0
        for point in points(symbols, self.integral):
            point.update({name: turned(point[name]) for name in self.complex})
            try:
                left, right = self.values(point)
            except UndefinedError:
                continue
            real = looks_real(left), looks_real(right)
            if self.complex and real[0] != real[1]:
                return different("identity", reference=shown(left), answer=shown(right))
            if all(real):
                left, right = real_part(left), real_part(right)
                if not self.agree(point, left, right, proven=agreed > 0):
                    return different_at(point, left, right)
                agreed += 1
                if agreed == self.enough:
                    return self.difference_at_edges(symbols) or equal("identity")
            elif not any(real):
                same = self.agree(point, left, right, proven=complex_agreed > 0)
                complex_agreed += same
                complex_differing += not same
        if agreed >= ENOUGH:
            return self.difference_at_edges(symbols) or equal("identity")
        if agreed == 0 and complex_agreed >= ENOUGH and not complex_differing:
            return equal("identity")
        return different("identity", "unproven")

    def difference_at_edges(self, symbols: list[str]) -> Verdict | None:
        """Where the two differ at an integer, a literal, or far out: pieces may end there."""
        usual = next(points(symbols, self.integral))
        for symbol in [name for name in symbols if name not in self.integral][:MAX_EDGE_SYMBOLS]:
            for edge in self.edges:
                point = {**usual, symbol: edge}
                try:
                    left, right = self.values(point)
                    if not (looks_real(left) and looks_real(right)):
                        continue
                    left, right = real_part(left), real_part(right)
                    if not self.agree(point, left, right, proven=True):
                        return different_at(point, left, right)
                except (UndefinedError, NotNumericError, TooLargeError):
                    continue
        return None

    def values(self, point: Mapping[str, Value]) -> tuple[Value, Value]:
        return self.few.value(self.reference, point), self.few.value(self.answer, point)

    def agree(self, point: Mapping[str, Value], left: Value, right: Value, *, proven: bool) -> bool:
        """As `same`; once another point has been checked to many digits, few are enough."""
        if proven and not is_exact(left) and abs(left) > CLEAR:
            return bool(abs(left - approximate(right)) <= abs(left) * 10.0**-NEARLY_ALL_DIGITS)
        return self.same(point, left, right)

    def may_be_integral(self, symbols: list[str]) -> bool:
        """Whether the variables look like integers and the expressions like depending on it."""
        if not all(symbol[:1] in INTEGER_NAMES for symbol in symbols):
            return False
        return any(
            is_discrete(node) for side in (self.reference, self.answer) for node in walk(side)
        )

    def integer_functions(self, symbols: list[str]) -> Verdict | None:
        agreed = 0
        for offset in range(len(INTEGER_POINTS)):
            point = {
                symbol: INTEGER_POINTS[(offset + 3 * index) % len(INTEGER_POINTS)]
                for index, symbol in enumerate(symbols)
            }
            try:
                left, right = self.values(point)
            except UndefinedError:
                continue
            if not self.same(point, left, right):
                return None
            agreed += 1
        return equal("identity") if agreed > ENOUGH else None


def working_digits(*nodes: Node) -> int:
    """Extra digits for long literals, so that a small term beside a large one still counts."""
    longest = 0.0
    for node in (inner for root in nodes for inner in walk(root)):
        if isinstance(node, Call) and node.name in SLOW_FUNCTIONS:
            return 0
        if isinstance(node, Number):
            longest = max(longest, abs(magnitude_bits(node.value)), bits(node.value))
        elif isinstance(node, Power) and isinstance(node.exponent, Number):
            size = magnitude_bits(node.base.value) if isinstance(node.base, Number) else 1
            longest = max(longest, size * abs(float(max(-1_000, min(node.exponent.value, 1_000)))))
    return int(min(longest * DIGITS_PER_BIT, LONGEST_PRECISION))


def points(symbols: list[str], integral: frozenset[str]) -> Iterator[dict[str, Value]]:
    """The fixed points of comparison. The first has all variables positive where few."""
    for number, start in enumerate(STRIDES):
        yield {
            symbol: BOUNDS[(number + 5 * index) % len(BOUNDS)]
            if symbol in integral
            else COORDINATES[(start + index * (1 + number % 3)) % len(COORDINATES)]
            for index, symbol in enumerate(symbols)
        }


def complex_names(nodes: Sequence[Node]) -> frozenset[str]:
    """z and w beside |z|, conjugates, real and imaginary parts: they are no real numbers."""
    parts = [node for node in nodes if isinstance(node, Call) and node.name in COMPLEX_PARTS]
    names = frozenset().union(*map(free_symbols, parts))
    return frozenset(name for name in names if name[0] in "zw")


def turned(value: Value) -> Value:
    """A real coordinate as a complex one, off both axes."""
    return CONTEXT.mpc(approximate(value), approximate(value) / 3 + 1)


def counted(nodes: Sequence[Node]) -> frozenset[str]:
    """Variables that bound a sum or product, which has a value for integers only."""
    bounds = [
        bound
        for node in nodes
        if isinstance(node, BigOperator) and node.kind in ("sum", "product")
        for bound in (node.lower, node.upper)
        if bound is not None
    ]
    return frozenset().union(*map(free_symbols, bounds))


def is_discrete(node: Node) -> bool:
    """Floors, factorials, and powers of -1: expressions that mean integers."""
    if isinstance(node, Call):
        return node.name in ("floor", "ceil", "factorial", "binomial", "mod", "sin", "cos", "tan",
                             "gcd", "lcm", "double_factorial")  # fmt: skip
    if isinstance(node, Power):
        base = node.base
        return isinstance(base, Number) and base.value < 0
    return isinstance(node, BigOperator)


def may_be_tiny(node: Node) -> bool:
    """Powers and functions whose value, or difference from 1, may have very many digits."""
    if isinstance(node, Power):
        exponent = node.exponent
        return not (
            isinstance(exponent, Number) and -MODEST_EXPONENT <= exponent.value <= MODEST_EXPONENT
        )
    return isinstance(node, Call) and node.name in ABSORBING


def is_piecewise(node: Node) -> bool:
    """|x|, floors and their like, and roots, which are |x| of squares."""
    if isinstance(node, Piecewise):
        return True
    if isinstance(node, Root):
        return bool(free_symbols(node.radicand))
    if isinstance(node, Power):
        return not isinstance(node.exponent, Number) or isinstance(node.exponent.value, Fraction)
    return isinstance(node, Call) and node.name in PIECEWISE


def edges(nodes: Sequence[Node]) -> tuple[Value, ...]:
    """Numbers around which pieces may end: integers, literals, and far beyond the largest.

    Far out only where nothing grows exponentially: differences of what does need digits.
    """
    literals: set[Value] = {node.value for node in nodes if isinstance(node, Number)}
    small = sorted(literals | {-value for value in literals}, key=abs)
    small = [value for value in small if abs(value) < MAX_EDGE][:MAX_EDGES]
    near = [value + step for value in small for step in (0, ASIDE, -ASIDE)]
    if any(isinstance(node, Call) and node.name in ABSORBING for node in nodes) or any(
        isinstance(node, Power) and not isinstance(node.exponent, Number | Quotient)
        for node in nodes
    ):
        return (*INTEGER_EDGES, *near)
    far = FAR * (1 + max(small, default=0))
    return (*INTEGER_EDGES, far, -far, *near)


def looks_real(value: Value) -> bool:
    if is_real(value):
        return True
    return bool(abs(value.imag) <= abs(value.real) * 1e-25)


def real_part(value: Value) -> Value:
    return value if is_real(value) else value.real


def different_at(point: Mapping[str, Value], left: Value, right: Value) -> Verdict:
    at = {
        symbol: str(float(value)) if is_real(value) else shown(value)
        for symbol, value in point.items()
    }
    return different("identity", at=at, reference=shown(left), answer=shown(right))


def shown(value: Value) -> str:
    """A value in at most a dozen digits."""
    if is_exact(value) and bits(value) <= 80:
        return str(value)
    return str(CONTEXT.nstr(approximate(value), 12))
