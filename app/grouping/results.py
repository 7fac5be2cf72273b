"""From a group's scores to what the answer says of it."""

from __future__ import annotations

from collections.abc import Sequence

from app.grouping import selection
from app.grouping.advantages import Advantage, advantages
from app.grouping.distribution import deviation, entropy, is_correct, mean, pass_at_k
from app.grouping.schemas import GroupResult, GroupStatistics, MajorityAnswer
from app.grouping.selection import Selection
from verifiers.answer_clusters import Labels, vote
from verifiers.base import Score
from verifiers.score import ScoreError

Ballots = Sequence[int | None]
"""For every completion, the first answer that says the same as its own; None without one."""


def group_result(
    name: str,
    scores: Sequence[Score],
    lengths: Sequence[int | None],
    labels: Labels | ScoreError,
    advantage: Advantage,
    select: Selection,
    ks: Sequence[int],
) -> GroupResult:
    """Everything about one group.

    Args:
        lengths: of the completions, in characters; None of those that could not be read.
        labels: of the answers that there are (see `cluster`), or why there are none.
    """
    rewards = [score.reward for score in scores]
    correct = [is_correct(score) for score in scores]
    error = labels if isinstance(labels, ScoreError) else None
    ballots = None if isinstance(labels, ScoreError) else ballots_of(scores, labels)
    majority = None if ballots is None else majority_of(scores, ballots)
    read = [length or 0 for length in lengths]  # what could not be read has no reward
    selected = {
        "best": selection.best(rewards, read),
        "shortest_correct": selection.shortest_correct(correct, read),
        "majority": majority.index if majority else None,
    }
    return GroupResult(
        id=name,
        scores=list(scores),
        advantages=advantages(rewards, advantage),
        selected=selected[select],
        majority=majority,
        comparison_error=error,
        statistics=statistics_of(rewards, correct, lengths, ballots, ks),
    )


def ballots_of(scores: Sequence[Score], labels: Labels) -> list[int | None]:
    remaining = iter(labels)
    return [None if score.answer is None else next(remaining) for score in scores]


def majority_of(scores: Sequence[Score], ballots: Ballots) -> MajorityAnswer | None:
    winner = vote(ballots)
    if winner is None:
        return None
    return MajorityAnswer(
        answer=scores[winner.index].answer or "",
        votes=winner.votes,
        index=winner.index,
        share=winner.votes / len(ballots),
    )


def statistics_of(
    rewards: Sequence[float | None],
    correct: Sequence[bool | None],
    lengths: Sequence[int | None],
    ballots: Ballots | None,
    ks: Sequence[int],
) -> GroupStatistics:
    scored = [reward for reward in rewards if reward is not None]
    known = [right for right in correct if right is not None]
    given = [ballot for ballot in ballots or () if ballot is not None]
    known_lengths = [length for length in lengths if length is not None]
    pairs = [*zip(lengths, correct, strict=True)]
    right = [length for length, is_right in pairs if length is not None and is_right]
    wrong = [length for length, is_right in pairs if length is not None and is_right is False]
    return GroupStatistics(
        mean=mean(scored),
        std=deviation(scored),
        min=min(scored, default=None),
        max=max(scored, default=None),
        pass_at_k={k: pass_at_k(len(known), sum(known), k) for k in ks},
        distinct_answers=None if ballots is None else len(set(given)),
        answer_entropy=entropy(given),
        length_mean=mean(known_lengths),
        length_std=deviation(known_lengths),
        length_correct=mean(right),
        length_wrong=mean(wrong),
    )
