"""Rewards agreement with the majority answer of a group, for want of a reference.

Self-consistency (Wang et al. 2023) as a reward (Zuo et al. 2025, TTRL): what most completions
of a prompt conclude is taken for right. It teaches a policy to agree with itself, which is to
be right only while it mostly is; a policy that always gives one answer earns everything.

The samples of a group must come in one request, all with the same `group`. They share their
fate, too: where one cannot be scored, none is, because those that are tried again alone would
agree with themselves. One that holds nothing to read has no vote, and takes nobody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import Field
from typing_extensions import TypedDict

from verifiers.answer_clusters import Vote, cluster, vote
from verifiers.base import (
    LaneName,
    MissingField,
    Parameters,
    Place,
    Run,
    Sample,
    Score,
    Scorer,
    Services,
    Settle,
    Verifier,
)
from verifiers.errors import Unreadable
from verifiers.math_equivalence.find.extraction import extract, final_part
from verifiers.math_equivalence.policy import AnswerFrom
from verifiers.math_equivalence.scorer import MAX_QUICK_CHARACTERS
from verifiers.reasoning import further
from verifiers.score import ScoreError


class MajorityParameters(Parameters):
    answer_from: AnswerFrom = Field(
        "auto", description="Where the answer is read, as for the scorer `math`."
    )
    reasoning_tags: list[str] = Field(
        ["think"],
        max_length=8,
        description="Tags whose content is reasoning, in which no answer is read.",
    )


class FinalAnswer(Verifier[MajorityParameters]):
    """Finds a completion's final answer: a part, no scorer."""

    name = "final_answer"
    version = "1"
    lane = "cpu"
    parameters_type = MajorityParameters
    example: ClassVar[dict[str, Any]] = {
        "completion": "So it is \\boxed{42}.",
        "scorer": {"type": "final_answer"},
    }

    def is_quick(self, sample: Sample) -> bool:
        return len(sample.text) <= MAX_QUICK_CHARACTERS

    def score_one(self, sample: Sample) -> Score:
        final = final_part(sample, further(self.parameters.reasoning_tags))
        found = None if final is None else extract(final, self.parameters.answer_from)
        if found is None or not found.text.strip():
            return self.lowest("no_answer")
        return Score(reward=1.0, outcome="correct", answer=found.text)


class MajorityDetails(TypedDict, total=False):
    """`details` of a score of `majority`."""

    votes: int
    """Completions of the group with the same answer, this one included."""
    share: float
    """`votes` as a share of the group."""
    tie: bool
    """Several answers were equally common, so that none is the majority's."""


class Majority(Scorer[MajorityParameters]):
    """Rewards an answer that is mathematically the most common one of its group.

    1 or 0. In a tie nothing is the most common answer, and all earn 0; a group of one agrees
    with itself. `details` holds the `votes` of the completion's answer, their `share` of the
    group, and whether there was a `tie`.
    """

    name = "majority"
    version = "2"
    parameters_type = MajorityParameters
    details_type = MajorityDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "What is 6 times 7?",
        "completion": "6 * 7 = \\boxed{42}",
        "group": "p7",
        "scorer": {"type": "majority"},
    }

    def __init__(self, parameters: MajorityParameters, run: Run) -> None:
        super().__init__(parameters)
        self._final_answer = FinalAnswer(parameters)
        self._run = run

    @classmethod
    def create(cls, parameters: MajorityParameters, services: Services) -> Self:
        return cls(parameters, services.run)

    @cached_property
    def demand(self) -> Counter[LaneName]:
        """A place where answers are found; comparing a group's takes one of them again."""
        return self._final_answer.demand

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        found = await self._run(self._final_answer, samples)
        groups = by_group(samples)
        answers = [[answer for i in group if (answer := found[i].answer)] for group in groups]
        sorted_answers = await cluster(answers, self._run)
        for group, labels in zip(groups, sorted_answers, strict=True):
            members = scored([found[i] for i in group], labels)
            for i, score in zip(group, members, strict=True):
                settle(i, score)
        for i, sample in enumerate(samples):
            if sample.group is None:
                settle(i, Score.failed(NO_GROUP))


NO_GROUP = MissingField("majority compares the samples of one group, and this one names none")


def by_group(samples: Sequence[Sample]) -> list[list[int]]:
    """The positions of each group's samples. Those without a group are left out."""
    groups: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        if sample.group is not None:
            groups.setdefault(sample.group, []).append(index)
    return list(groups.values())


def scored(found: Sequence[Score], labels: Sequence[int] | ScoreError) -> list[Score]:
    """The scores of one group.

    Args:
        found: what `FinalAnswer` made of each completion.
        labels: the clusters of the answers that there are, in order.
    """
    error = next((s.error for s in found if s.error and s.error.code != Unreadable.code), None)
    if isinstance(labels, ScoreError):
        error, labels = error or labels, []
    if error is not None:
        return [Score(error=error) for _ in found]
    remaining = iter(labels)
    ballots = [None if score.answer is None else next(remaining) for score in found]
    winner, votes = vote(ballots), Counter(ballots)
    return [
        Score(error=score.error)
        if score.error is not None
        else Score(reward=0.0, outcome=score.outcome)
        if winner is None or ballot is None
        else agreement(score, votes[ballot], len(found), winner)
        for score, ballot in zip(found, ballots, strict=True)
    ]


def agreement(score: Score, votes: int, group_size: int, winner: Vote) -> Score:
    agrees = votes == winner.votes and not winner.tied
    return Score(
        reward=float(agrees),
        outcome="correct" if agrees else "incorrect",
        answer=score.answer,
        details={"votes": votes, "share": votes / group_size, "tie": winner.tied},
    )
