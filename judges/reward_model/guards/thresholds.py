"""Where each guard's threshold lies, so that all together flag a stated share of natural texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from judges.reward_model.guards.guards import GuardName, Measures

BEYOND = 0.3
"""Where nothing degenerate tells how far a threshold may lie above the largest natural measure,
it is so far, as a share of that one's distance from the median."""

UNSEEN = 1.0
"""A threshold at one of n natural measures flags one text more of n others than it did of these."""

UNSEEN_BEYOND = 0.5
"""The same, for one that lies beyond them all."""


@dataclass(frozen=True, slots=True)
class Level:
    """A threshold that a guard might have, and whom it flags: sets as the bits of integers."""

    limit: float
    alarms: int
    finds: int
    unseen: float
    """How many further texts it is expected to flag, of as many as it was fitted to."""


Levels = dict[GuardName, Level]


def choose_thresholds(
    natural: Sequence[Measures], degenerate: Sequence[Measures], rate: float
) -> dict[GuardName, float]:
    """Thresholds that flag at most `rate` of the natural texts, all together.

    They start where no natural text is flagged. Then, step by step, that guard is made stricter
    which finds most further degenerate texts for each further false alarm.
    """
    permitted = rate * len(natural)
    levels = {
        name: levels_of([m[name] for m in natural], [m[name] for m in degenerate], int(permitted))
        for name in natural[0]
    }
    chosen = {name: each[0] for name, each in levels.items()}
    while step := best_step(levels, chosen, permitted):
        chosen = step
    return {name: level.limit for name, level in chosen.items()}


def levels_of(natural: Sequence[float], degenerate: Sequence[float], most: int) -> list[Level]:
    """A level for each number of natural texts that a guard may flag, 0 first.

    Each lies as far above the natural texts that it lets pass as it can without missing what
    it would find right above them.
    """
    ordered = sorted(natural, reverse=True)
    top, median = ordered[0], ordered[len(ordered) // 2]
    levels = []
    for count, low in enumerate(ordered[: most + 1]):
        higher = [value for value in degenerate if value > low]
        nearest = min(higher, default=low + 2 * BEYOND * (top - median))
        if count:
            nearest = min(nearest, ordered[count - 1])
        limit = low + (nearest - low) / 2
        flagged, found = above(natural, limit), above(degenerate, limit)
        levels.append(Level(limit, flagged, found, UNSEEN if count else UNSEEN_BEYOND))
    return levels


def above(values: Sequence[float], limit: float) -> int:
    """The positions of the values above `limit`, as the bits of an integer."""
    return sum(1 << position for position, value in enumerate(values) if value > limit)


def expected_of(most: float) -> float:
    """So many alarms may be expected that one standard deviation more, by Poisson, are `most`."""
    return ((math.sqrt(1 + 4 * most) - 1) / 2) ** 2


def expected_alarms(chosen: Levels) -> float:
    """Among as many natural texts as the thresholds were fitted to, but others."""
    flagged = reduce(or_, (level.alarms for level in chosen.values()), 0)
    return flagged.bit_count() + sum(level.unseen for level in chosen.values())


def found_by(chosen: Levels) -> int:
    return reduce(or_, (level.finds for level in chosen.values()), 0).bit_count()


def best_step(
    levels: dict[GuardName, list[Level]], chosen: Levels, permitted: float
) -> Levels | None:
    """The change of one guard that finds most for each false alarm; None where none helps."""
    alarms, found = expected_alarms(chosen), found_by(chosen)
    best, best_worth = None, 0.0
    for name, candidates in levels.items():
        for level in candidates:
            changed = {**chosen, name: level}
            gain, more = found_by(changed) - found, expected_alarms(changed) - alarms
            worth = gain / max(more, UNSEEN_BEYOND)
            if worth > best_worth and alarms + more <= permitted:
                best, best_worth = changed, worth
    return best
