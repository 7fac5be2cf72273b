"""Votes on answers: which completions of a group say the same, and what most of them say.

Comparing answers may take long, so it runs where it can be killed: a group's answers are one
sample of the part `answer_clusters`, in the lane `cpu`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from verifiers.base import Parameters, Run, Sample, Score, Verifier
from verifiers.math_equivalence.clusters import clusters
from verifiers.math_equivalence.scorer import PLAIN
from verifiers.score import ScoreError

MAX_QUICK_ANSWERS = 256
"""Plain numbers that are sorted within a millisecond or two."""


class AnswerClustersParameters(Parameters):
    in_pairs: bool = Field(True, description="Compare what is written differently.")


class AnswerClusters(Verifier[AnswerClustersParameters]):
    """Sorts answers, the reference, by what they say mathematically: a part, no scorer.

    `details.clusters` holds, for every answer, the position of the first that says the same.
    """

    name = "answer_clusters"
    version = "1"
    lane = "cpu"
    parameters_type = AnswerClustersParameters
    reference_type = list[str]
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "completion": "",
        "reference": ["1/2", "0.5", "2"],
        "scorer": {"type": "answer_clusters"},
    }

    def is_quick(self, sample: Sample) -> bool:
        """They are few plain numbers, of which no pair needs comparing."""
        answers = sample.reference
        return (
            isinstance(answers, list)
            and len(answers) <= MAX_QUICK_ANSWERS
            and all(PLAIN.fullmatch(str(answer)) for answer in answers)
        )

    def score_one(self, sample: Sample) -> Score:
        labels = clusters(self.reference_of(sample), in_pairs=self.parameters.in_pairs)
        return Score(reward=1.0, outcome="correct", details={"clusters": labels})


IN_PAIRS = AnswerClusters(AnswerClustersParameters())
AS_WRITTEN = AnswerClusters(AnswerClustersParameters(in_pairs=False))

Labels = list[int]
"""For every answer, the position of the first one that says the same."""


async def cluster(groups: Sequence[Sequence[str]], run: Run) -> list[Labels | ScoreError]:
    """The answers of each group by what they say mathematically.

    Answers that take longer to compare than a sample may are compared as they are written:
    whoever wrote them is at fault, and their neighbours still have their votes. A fault of
    ours is an error.
    """
    results: list[Labels | ScoreError] = [by_text(answers) for answers in groups]
    still_open = [i for i, answers in enumerate(groups) if len(set(answers)) > 1]
    for part in (IN_PAIRS, AS_WRITTEN):
        if not still_open:
            break
        samples = [Sample(completion="", reference=list(groups[i])) for i in still_open]
        scores = dict(zip(still_open, await run(part, samples), strict=True))
        for i, score in scores.items():
            results[i] = score.error or score.details.get("clusters") or results[i]
        still_open = [i for i, score in scores.items() if score.outcome == "time_limit"]
    return results


def by_text(answers: Sequence[str]) -> Labels:
    """The same for answers that are texts, where every character counts."""
    first: dict[str, int] = {}
    return [first.setdefault(text, index) for index, text in enumerate(answers)]


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer that most completions of a group gave."""

    index: int
    """The earliest completion that gave it."""
    votes: int
    tied: bool
    """Another answer has as many votes. Then the earlier of them is meant."""


def vote(labels: Sequence[int | None]) -> Vote | None:
    """Counts `labels`, which are None where a completion gave no answer."""
    counts = Counter(label for label in labels if label is not None)
    if not counts:
        return None
    votes = max(counts.values())
    winners = [label for label in counts if counts[label] == votes]
    return Vote(min(labels.index(label) for label in winners), votes, len(winners) > 1)
