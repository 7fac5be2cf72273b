"""Sets of integers that conditions describe: {n ∈ Z | -2 ≤ n ≤ 2} as {-2, -1, 0, 1, 2}."""

from __future__ import annotations

import math
from typing import Final

from verifiers.math_equivalence.limits import MAX_ITEMS
from verifiers.math_equivalence.numbers.enclosures import UnprovenError
from verifiers.math_equivalence.numbers.regions import NotARegionError, cells, read_region
from verifiers.math_equivalence.read.expression import (
    Listing,
    NamedSet,
    Node,
    Number,
    Relation,
    SetBuilder,
    SetOf,
)

FIRST: Final = {"Z": None, "Z+": 1, "N": 0, "Z>=0": 0}
"""The least member of each set of integers."""


def integers_of(node: SetBuilder) -> SetOf | None:
    """The members of a set of integers between bounds; None where it is none."""
    domain, conditions = split(node)
    if domain is None or not conditions:
        return None
    condition = conditions[0] if len(conditions) == 1 else Listing(tuple(conditions), "and")
    try:
        region = read_region(condition)
        if not region.endpoints:
            return None
        samples = cells(region.endpoints)
        least, most = math.ceil(samples[1]), math.floor(samples[-2])
        first = FIRST[domain]
        if first is not None and (least < first or region.contains(samples[0])):
            least = first
        elif region.contains(samples[0]):
            return None
        if region.contains(samples[-1]) or most - least >= MAX_ITEMS:
            return None
        return SetOf(tuple(Number(n) for n in range(least, most + 1) if region.contains(n)))
    except (NotARegionError, UnprovenError, OverflowError, ValueError):
        return None


def split(node: SetBuilder) -> tuple[str | None, list[Node]]:
    """The name of the domain, where it is one of integers, and the other conditions."""
    listed = isinstance(node.condition, Listing) and node.condition.joint == "and"
    conditions = list(node.condition.items) if listed else [node.condition]  # type: ignore[attr-defined]
    for statement in (node.element, *conditions):
        if isinstance(statement, Relation) and statement.signs == ("in",):
            domain = statement.operands[1]
            if isinstance(domain, NamedSet) and domain.name in FIRST:
                return domain.name, [c for c in conditions if c is not statement]
    return None, conditions
