"""Sets of real numbers: intervals, unions, inequalities, R without points.

Two regions are compared cell by cell: at every endpoint of either, and between neighbouring
endpoints. A solved side names its endpoints; those of an unsolved relation, such as x^2 < 4, are
found by `zeros`, all of them or none. So agreement is a proof. Endpoints are values, and
`(0, √2/2)` equals `0 < x < 1/√2`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cmp_to_key
from typing import Final

from verifiers.math_equivalence.limits import TooLargeError
from verifiers.math_equivalence.numbers.evaluate import Evaluator, numerics
from verifiers.math_equivalence.numbers.values import (
    CONTEXT,
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    is_exact,
    is_real,
)  # fmt: skip
from verifiers.math_equivalence.numbers.zeros import compare, critical_points
from verifiers.math_equivalence.read.expression import (
    Conditional,
    Group,
    Listing,
    NamedSet,
    Node,
    Number,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Symbol,
    free_symbols,
)  # fmt: skip

Contains = Callable[[Value], bool]

DIGITS: Final = 50
EDGE: Final = 1e-20
"""Of the imaginary part of a square root that rounding has left the real numbers with."""
MAX_ENDPOINTS: Final = 128
"""Comparing cells takes the square of it."""
NAMED: Final = {"R+": "0<", "R-": "<0", "R<0": "<0", "R>=0": "0<=", "R<=0": "<=0",
                "R!=0": "!0", "R*": "!0"}  # fmt: skip
FLIPPED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


class NotARegionError(Exception):
    """Not a set of real numbers that can be told from its endpoints."""


class Region:
    """A set of real numbers as a test of membership, and all numbers where it may change."""

    def __init__(self, contains: Contains, endpoints: list[Value]) -> None:
        if len(endpoints) > MAX_ENDPOINTS:
            raise TooLargeError("too many intervals")
        self.contains = contains
        self.endpoints = endpoints


def read_region(node: Node) -> Region:
    """The region that `node` describes.

    Raises:
        NotARegionError: it describes none, or one with symbolic endpoints.
    """
    with numerics:
        return region(node)


def region(node: Node) -> Region:
    if isinstance(node, Group):
        return interval(node)
    if isinstance(node, SetOf):
        return finite(node.items)
    if isinstance(node, SetOperation):
        return combined(node)
    if isinstance(node, NamedSet):
        return named(node.name)
    if isinstance(node, Relation):
        return inequality(node)
    if isinstance(node, SetBuilder):
        return set_builder(node)
    if isinstance(node, Listing):
        return several(node)
    if isinstance(node, Conditional) and isinstance(node.condition, Relation | NamedSet):
        return region(node.statement)
    raise NotARegionError(type(node).__name__)


def endpoint(node: Node) -> Value:
    try:
        value = Evaluator(DIGITS).value(node, {})
    except (NotNumericError, UndefinedError):
        raise NotARegionError("an endpoint without a value") from None
    if not is_real(value):
        raise NotARegionError("a complex endpoint")
    return value


def interval(node: Group) -> Region:
    if len(node.items) != 2 or node.opening == "<":
        raise NotARegionError("not an interval")
    low, high = endpoint(node.items[0]), endpoint(node.items[1])
    if compare(low, high) > 0:
        raise NotARegionError("endpoints in the wrong order")
    if compare(low, high) == 0 and (node.opening, node.closing) != ("[", "]"):
        raise NotARegionError("a point in the plane: nobody writes the empty set so")
    least = 0 if node.opening == "[" else 1
    most = 0 if node.closing == "]" else -1
    return Region(
        lambda x: compare(x, low) >= least and compare(x, high) <= most, finite_ones(low, high)
    )


def finite_ones(*values: Value) -> list[Value]:
    return [value for value in values if is_exact(value) or not CONTEXT.isinf(value)]


def finite(items: tuple[Node, ...]) -> Region:
    members = [endpoint(item) for item in items]
    return Region(lambda x: any(compare(x, member) == 0 for member in members), members)


def joined(parts: list[Region], contains: Contains) -> Region:
    endpoints = [value for part in parts for value in part.endpoints]
    return Region(contains, endpoints)


def combined(node: SetOperation) -> Region:
    parts = [finite((p,)) if isinstance(p, Number) else region(p) for p in node.parts]
    if node.kind == "union":
        return joined(parts, lambda x: any(part.contains(x) for part in parts))
    if node.kind == "intersection":
        return joined(parts, lambda x: all(part.contains(x) for part in parts))
    first, *others = parts
    return joined(
        parts, lambda x: first.contains(x) and not any(part.contains(x) for part in others)
    )


def named(name: str) -> Region:
    if name == "empty":
        return Region(lambda x: False, [])
    if name == "R":
        return Region(lambda x: True, [])
    sign = NAMED.get(name)
    if sign is None:
        raise NotARegionError(name)
    if sign == "!0":
        return Region(lambda x: x != 0, [0])
    positive = sign.startswith("0")
    closed = "=" in sign
    return Region(lambda x: (x > 0 if positive else x < 0) or (closed and x == 0), [0])


def inequality(node: Relation, *, equations: bool = False) -> Region:
    """A chain in one variable such as 1 < x ≤ 5, x ≠ 2 or x ∈ (0, 1)."""
    if node.signs == ("in",) and isinstance(node.operands[0], Symbol):
        return region(node.operands[1])
    if node.signs == ("notin",) and isinstance(node.operands[0], Symbol):
        excluded = region(node.operands[1])
        return Region(lambda x: not excluded.contains(x), excluded.endpoints)
    if (set(node.signs) == {"="} and not equations) or not set(node.signs) <= set(FLIPPED):
        raise NotARegionError("an equation")
    if len(free_symbols(node)) == 1 and not all(map(is_simple, node.operands)):
        return unsolved(node)
    tests, endpoints = [], []
    for left, sign, right in zip(node.operands, node.signs, node.operands[1:], strict=False):
        if isinstance(left, Symbol) and not free_symbols(right):
            bound = endpoint(right)
        elif isinstance(right, Symbol) and not free_symbols(left):
            bound, sign = endpoint(left), FLIPPED[sign]
        else:
            raise NotARegionError("an inequality that is not solved")
        tests.append(comparison(sign, bound))
        endpoints.extend(finite_ones(bound))
    return Region(lambda x: all(test(x) for test in tests), endpoints)


def is_simple(side: Node) -> bool:
    """The variable itself, or a bound without it."""
    return isinstance(side, Symbol) or not free_symbols(side)


def unsolved(node: Relation) -> Region:
    """x^2 < 4: true or false at a number, and never changing but at its critical points.

    Raises:
        UnprovenError: those are not all known.
    """
    (name,) = free_symbols(node)
    evaluator = Evaluator(DIGITS)

    def contains(x: Value) -> bool:
        try:
            values = [real_at_an_edge(evaluator.value(side, {name: x})) for side in node.operands]
        except UndefinedError:
            return False
        except NotNumericError:
            raise NotARegionError("no inequality between numbers") from None
        if not all(map(is_real, values)):
            return False
        return all(
            comparison(sign, right)(left)
            for left, sign, right in zip(values, node.signs, values[1:], strict=False)
        )

    return Region(contains, critical_points(node.operands, name))


def real_at_an_edge(value: Value) -> Value:
    """At an endpoint that is known to many digits, what is under a root may be less than zero by
    rounding, and the root a little off the real numbers."""
    return value if is_real(value) or abs(value.imag) > EDGE else value.real


def comparison(sign: str, bound: Value) -> Contains:
    allowed = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1), "=": (0,), "!=": (-1, 1)}[sign]
    return lambda x: compare(x, bound) in allowed


def set_builder(node: SetBuilder) -> Region:
    element = node.element
    if isinstance(element, Relation) and element.signs == ("in",):
        domain, element = element.operands[1], element.operands[0]
        if not (isinstance(domain, NamedSet) and domain.name == "R"):
            raise NotARegionError("a set of other numbers")
    if not isinstance(element, Symbol) or free_symbols(node.condition) - {element.name}:
        raise NotARegionError("a set of expressions")
    return region(node.condition)


def several(node: Listing) -> Region:
    """Relations in one variable: "or" unites; "and" and commas intersect.

    A comma between relations that exclude each other means "or": x < 1, x > 3.
    """
    symbols = {name for item in node.items for name in free_symbols(item)}
    if len(symbols) > 1:
        raise NotARegionError("several variables")
    related = all(isinstance(item, Relation) for item in node.items)
    if not related and any(isinstance(item, Relation) for item in node.items):
        raise NotARegionError("a mixed list")
    kind = "union" if node.joint == "or" or not related else "intersection"
    whole = listed(node, kind)
    if node.joint == "," and related and is_empty(whole):
        return listed(node, "union")
    return whole


def listed(node: Listing, kind: str) -> Region:
    """Members united or intersected; beside an inequality, `x = 1` is the set of 1."""
    parts = [
        inequality(item, equations=True) if isinstance(item, Relation) else region(item)
        for item in node.items
    ]
    combine = any if kind == "union" else all
    return joined(parts, lambda x: combine(part.contains(x) for part in parts))


def cells(endpoints: list[Value]) -> list[Value]:
    """Every endpoint, a number between each two neighbours, and one beyond either end."""
    if not endpoints:
        return [0]
    ordered = sorted(endpoints, key=cmp_to_key(compare))
    samples = [middle(ordered[0], None, -1)]
    for index, value in enumerate(ordered):
        samples.append(value)
        following = ordered[index + 1] if index + 1 < len(ordered) else None
        if following is None or compare(value, following):
            samples.append(middle(value, following, 1))
    return samples


def middle(value: Value, following: Value | None, step: int) -> Value:
    if following is None:
        return value + step
    if is_exact(value) and is_exact(following):
        return Fraction(value + following) / 2
    return (approximate(value) + approximate(following)) / 2


def is_empty(whole: Region) -> bool:
    return not any(whole.contains(x) for x in cells(whole.endpoints))


def first_difference(left: Region, right: Region) -> Value | None:
    """A number that only one of the two contains."""
    with numerics:
        CONTEXT.dps = DIGITS
        for x in cells([*left.endpoints, *right.endpoints]):
            if left.contains(x) != right.contains(x):
                return x
    return None
