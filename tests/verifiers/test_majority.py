"""Votes on answers: groups apart, and the fate that the samples of one share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.answer_clusters import Vote, cluster, vote
from verifiers.base import InternalError, Sample, Score, Scorer, run_here
from verifiers.registry import Registry


def samples(*answers: str, group: str | None = "g") -> list[Sample]:
    return [Sample(completion=f"\\boxed{{{answer}}}", group=group) for answer in answers]


def scores(batch: list[Sample], run: Any = run_here) -> list[Score]:
    return asyncio.run(Registry(run=run).build("majority").score(batch))


def rewards(batch: list[Sample]) -> list[float | None]:
    return [score.reward for score in scores(batch)]


def test_each_group_has_a_majority_of_its_own_wherever_its_samples_stand() -> None:
    one, two = samples("1", "2", "1", group="one"), samples("2", "1", "2", group="two")
    mixed = [sample for pair in zip(one, two, strict=True) for sample in pair]
    assert rewards(mixed) == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]


def test_a_sample_without_a_group_is_an_error_and_votes_nowhere() -> None:
    batch = [*samples("2", "2", group=None), *samples("1", "1", "2")]
    found = scores(batch)
    assert [score.error and score.error.code for score in found[:2]] == ["missing_field"] * 2
    assert [score.reward for score in found[2:]] == [1.0, 1.0, 0.0]


def test_the_votes_are_told() -> None:
    first, _, third = scores(samples("1/2", "0.5", "3"))
    assert first.details == {"votes": 2, "share": 2 / 3, "tie": False}
    assert third.details == {"votes": 1, "share": 1 / 3, "tie": False}


def failing_on(name: str, position: int) -> Any:
    async def run(scorer: Scorer[Any], batch: Sequence[Sample]) -> list[Score]:
        found = await scorer.score(batch)
        if scorer.name == name:
            found[position] = Score.failed(InternalError("the process died", retryable=True))
        return found

    return run


@pytest.mark.parametrize(("part", "position"), [("final_answer", 1), ("answer_clusters", 0)])
def test_a_group_is_scored_as_a_whole_or_not_at_all(part: str, position: int) -> None:
    """One that is sent again alone would agree with itself."""
    batch = [*samples("1", "1", "2", group="one"), *samples("5", "5", "6", group="two")]
    found = scores(batch, failing_on(part, position))
    assert [score.error is not None for score in found] == [True] * 3 + [False] * 3
    assert all(score.error and score.error.retryable for score in found[:3])


def test_what_takes_too_long_to_compare_is_compared_as_it_is_written() -> None:
    async def run(scorer: Scorer[Any], batch: Sequence[Sample]) -> list[Score]:
        if scorer.parameters.in_pairs:
            return [scorer.lowest("time_limit") for _ in batch]
        return await scorer.score(batch)

    found = asyncio.run(cluster([["1/2", "0.5", "x+1", "1+x"], ["a", "a"]], run))
    assert found == [[0, 0, 2, 3], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([0, 0, 2], Vote(0, 2, tied=False)),
        ([0, 1, 1], Vote(1, 2, tied=False)),
        ([None, 0, 1], Vote(1, 1, tied=True)),
        ([0, 1, 1, 0], Vote(0, 2, tied=True)),
    ],
)
def test_counting(labels: list[int | None], expected: Vote | None) -> None:
    assert vote(labels) == expected


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(["1", "2", "1.0", "4/2", "x"]), min_size=1, max_size=9), st.randoms()
)
def test_nobody_is_rewarded_for_their_place(answers: list[str], dice: Any) -> None:
    order = list(range(len(answers)))
    dice.shuffle(order)
    assert rewards(samples(*(answers[i] for i in order))) == [
        rewards(samples(*answers))[i] for i in order
    ]
