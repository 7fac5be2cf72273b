"""From a value for each criterion to one reward in [0, 1]. Pure.

A value v is 1 where a criterion is met and 0 where it is not, or what lies between; w is its
weight, P the sum of the positive weights and N that of the negative ones' sizes.

    explicit, positive    clip(sum of w v / P, 0, 1); without positive weights, 1 + sum of w v / N
    explicit, range       (sum of w v + N) / (P + N)
    all_pass              1 if every criterion passes, else 0
    min                   the least of v, or of 1 - v where w is negative

`positive` is Rubrics as Rewards' equation 1 and HealthBench's score, clipped for each sample and
not only for their mean. It is flat where faults outweigh merits, and `range` is not. A rubric of
nothing but faults starts at 1 either way.

A criterion passes with v >= 1/2, and with a negative weight otherwise. One that is `required` and
does not pass makes the reward 0. One whose prerequisites are not all met is itself not met; the
denominators stay, so failing a prerequisite never pays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from judges.rubric.rubric import Criterion, Rubric

MET = 0.5


def passes(criterion: Criterion, value: float) -> bool:
    return (value >= MET) == (criterion.worth > 0)


def resolved(rubric: Rubric, values: Mapping[str, float]) -> dict[str, float]:
    """The values that count: 0 for whatever lacks a prerequisite.

    Args:
        values: of the criteria known so far. Only these, and those that depend on one of
            them that is not met, have a value in what is returned.
    """
    by_id = {criterion.id: criterion for criterion in rubric.criteria}
    known: dict[str, float | None] = {}

    def value_of(id_: str) -> float | None:
        if id_ not in known:
            needed = [value_of(other) for other in by_id[id_].depends_on]
            blocked = any(value is not None and value < MET for value in needed)
            waiting = any(value is None for value in needed)
            known[id_] = 0.0 if blocked else None if waiting else values.get(id_)
        return known[id_]

    return {id_: value for id_ in by_id if (value := value_of(id_)) is not None}


def is_lost(rubric: Rubric, values: Mapping[str, float]) -> bool:
    """Whether the reward is 0 whatever the criteria that are still open turn out to be."""
    needs_all = rubric.aggregation == "all_pass"
    return any(
        not passes(criterion, values[criterion.id])
        for criterion in rubric.criteria
        if criterion.id in values and (criterion.required or needs_all)
    )


def reward(rubric: Rubric, values: Mapping[str, float]) -> float:
    """The reward for values of all criteria, already `resolved`."""
    if is_lost(rubric, values):
        return 0.0
    if rubric.aggregation == "all_pass":
        return 1.0
    weighted = [(criterion.worth, values[criterion.id]) for criterion in rubric.criteria]
    if rubric.aggregation == "min":
        return min(value if weight > 0 else 1.0 - value for weight, value in weighted)
    positive = math.fsum(weight for weight, _ in weighted if weight > 0)
    negative = math.fsum(-weight for weight, _ in weighted if weight < 0)
    total = math.fsum(weight * value for weight, value in weighted)
    if rubric.normalise == "range" or positive == 0.0:
        return clipped((total + negative) / (positive + negative))
    return clipped(total / positive)


def clipped(value: float) -> float:
    return min(1.0, max(0.0, value))
