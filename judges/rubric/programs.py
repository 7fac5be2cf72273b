"""The criteria of a rubric that programs decide: any scorer of the service.

A program where possible, a judge where not (RLCF, arXiv 2507.18624).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from judges.rubric.rubric import Criterion, Rubric
from verifiers.base import Score, Scorer, SpecError
from verifiers.sample import ScorerSpec
from verifiers.weighted import AT_FAULT

Build = Callable[[ScorerSpec], Scorer[Any]]


@dataclass(frozen=True, slots=True)
class Built:
    """A rubric, and the scorer of each of its criteria of kind verifier."""

    rubric: Rubric
    parts: Mapping[str, Scorer[Any]]

    @property
    def judged(self) -> list[Criterion]:
        return [criterion for criterion in self.rubric.criteria if criterion.kind == "judge"]


def built(rubric: Rubric, build: Build, mode: str, probabilities: bool) -> Built:
    """The rubric with its programs.

    Raises:
        SpecError: one does not build, or cannot be turned into a value in [0, 1]; or a
            criterion does not fit the mode, or verdicts by probabilities.
    """
    parts = {}
    for index, criterion in enumerate(rubric.criteria):
        try:
            if criterion.scorer is not None:
                parts[criterion.id] = part_of(criterion, criterion.scorer, build)
            elif probabilities and not criterion.form.options():
                raise SpecError([((), "has too many verdicts to ask for their probabilities")])
        except SpecError as error:
            raise error.below("criteria", index) from None
    if mode != "pointwise":
        try:
            rubric.demand_plain(f"the mode {mode}")
            if rubric.aggregation in ("all_pass", "min"):
                raise ValueError(f"the mode {mode} compares by all criteria together")
        except ValueError as error:
            raise SpecError([(("criteria",), str(error))]) from None
    return Built(rubric, parts)


def part_of(criterion: Criterion, spec: ScorerSpec, build: Build) -> Scorer[Any]:
    try:
        part = build(spec)
    except SpecError as error:
        raise error.below("scorer") from None
    lowest, highest = part.reward_range
    if criterion.at_least is None and not 0.0 < highest - lowest < math.inf:
        message = f"its rewards lie within [{lowest:g}, {highest:g}], so it needs at_least"
        raise SpecError([((), message)])
    return part


def program_value(criterion: Criterion, part: Scorer[Any], score: Score) -> float:
    """How far a program finds a criterion met.

    A completion at fault has committed whatever fault the criterion names: spoiling what would
    be punished must not pay.
    """
    assert score.reward is not None
    if criterion.worth < 0 and score.outcome in AT_FAULT:
        return 1.0
    if criterion.at_least is not None:
        return float(score.reward >= criterion.at_least)
    lowest, highest = part.reward_range
    return (score.reward - lowest) / (highest - lowest)
