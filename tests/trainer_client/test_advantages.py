"""Advantages by table: rewards in, advantages out."""

from __future__ import annotations

import math
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.advantages import EPSILON, Estimator, advantages, has_spread

HALF = 0.5 / (stdev([1.0, 0.0]) + EPSILON)

TABLE: list[tuple[str, Estimator, list[float | None], list[float]]] = [
    ("mean and sample deviation", "grpo", [1.0, 0.0], [HALF, -HALF]),
    ("the mean alone", "dr_grpo", [1.0, 0.0, 0.0, 1.0], [0.5, -0.5, -0.5, 0.5]),
    ("against the mean of the others", "rloo", [3.0, 0.0, 0.0], [3.0, -1.5, -1.5]),
    ("a group without spread", "grpo", [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
    ("a group without spread, of zeros", "rloo", [0.0, 0.0], [0.0, 0.0]),
    ("an unscored completion is not a zero", "dr_grpo", [1.0, None, 1.0], [0.0, 0.0, 0.0]),
    ("it is left out of the mean", "dr_grpo", [1.0, None, 0.0], [0.5, 0.0, -0.5]),
    ("and of the deviation", "grpo", [1.0, None, 0.0], [HALF, 0.0, -HALF]),
    ("and of the others", "rloo", [1.0, None, 0.0], [1.0, 0.0, -1.0]),
    ("only one was scored", "grpo", [None, 1.0, None], [0.0, 0.0, 0.0]),
    ("none was scored", "grpo", [None, None], [0.0, 0.0]),
    ("a single completion", "grpo", [1.0], [0.0]),
]


@pytest.mark.parametrize(
    ("estimator", "rewards", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_advantages_are_those_of_the_table(
    estimator: Estimator, rewards: list[float | None], expected: list[float]
) -> None:
    assert advantages(rewards, estimator) == pytest.approx(expected)


REWARDS = st.lists(st.none() | st.floats(-10, 10), min_size=1, max_size=16)
ESTIMATORS = st.sampled_from(["grpo", "dr_grpo", "rloo"])


@given(rewards=REWARDS, estimator=ESTIMATORS)
def test_advantages_sum_to_zero_and_are_zero_where_nothing_was_scored(
    rewards: list[float | None], estimator: Estimator
) -> None:
    found = advantages(rewards, estimator)
    assert len(found) == len(rewards)
    assert all(map(math.isfinite, found))
    assert math.fsum(found) == pytest.approx(0, abs=1e-6)
    assert all(a == 0 for a, reward in zip(found, rewards, strict=True) if reward is None)


@given(rewards=REWARDS, estimator=ESTIMATORS)
def test_unscored_completions_change_nothing_for_their_neighbours(
    rewards: list[float | None], estimator: Estimator
) -> None:
    scored = [reward for reward in rewards if reward is not None]
    kept = [
        a for a, r in zip(advantages(rewards, estimator), rewards, strict=True) if r is not None
    ]
    assert kept == advantages(scored, estimator)


def test_equal_rewards_have_no_spread_however_many_are_missing() -> None:
    assert not has_spread([0.5, None, 0.5])
    assert has_spread([0.5, None, 0.25])
