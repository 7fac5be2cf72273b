"""Advantages: by hand for small groups, and by their defining properties for any."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.grouping.advantages import PRESETS
from app.grouping.advantages import advantages as served
from trainer_client.train.algorithms.advantages import EPSILON, Estimator, advantages, has_spread

E = EPSILON
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)

CASES: list[tuple[Estimator, list[float | None], list[float]]] = [
    # One right of four: mean 1/4, sample deviation 1/2.
    ("grpo", [1, 0, 0, 0], [0.75 / (0.5 + E)] + [-0.25 / (0.5 + E)] * 3),
    ("dr_grpo", [1, 0, 0, 0], [0.75, -0.25, -0.25, -0.25]),
    ("rloo", [1, 0, 0, 0], [1, -1 / 3, -1 / 3, -1 / 3]),
    # Partial credit: mean 0.5, sample deviation 0.5.
    ("grpo", [0, 0.5, 1], [-0.5 / (0.5 + E), 0, 0.5 / (0.5 + E)]),
    ("dr_grpo", [0, 0.5, 1], [-0.5, 0, 0.5]),
    ("rloo", [0, 0.5, 1], [-0.75, 0, 0.75]),
    # Unscored ones are in neither the mean, nor the deviation, nor the number of others.
    ("grpo", [1, None, 0], [0.5 / (sqrt(0.5) + E), 0, -0.5 / (sqrt(0.5) + E)]),
    ("dr_grpo", [None, 1, None, 0], [0, 0.5, 0, -0.5]),
    ("rloo", [1, None, 0], [1, 0, -1]),
    # Rewards below zero.
    ("dr_grpo", [-1, -3], [1, -1]),
    ("rloo", [-1, -3], [2, -2]),
]


@pytest.mark.parametrize(("estimator", "rewards", "expected"), CASES)
def test_advantages_by_hand(
    estimator: Estimator, rewards: list[float | None], expected: list[float]
) -> None:
    assert advantages(rewards, estimator) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "rewards",
    [[], [1.0], [None], [None, None], [0.3, 0.3, 0.3], [None, 0.7, None], [0.0, -0.0]],
    ids=str,
)
def test_a_group_without_spread_teaches_nothing(
    rewards: list[float | None], estimator: Estimator
) -> None:
    assert not has_spread(rewards)
    assert advantages(rewards, estimator) == [0.0] * len(rewards)


def test_nearly_equal_rewards_are_not_blown_up_to_unit_deviation() -> None:
    assert max(advantages([0.5, 0.5 + 1e-6], "grpo")) < 0.01


rewards_of_groups = st.lists(
    st.none() | st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=1, max_size=12
)
estimators = st.sampled_from(ESTIMATORS)


@given(rewards_of_groups, estimators)
def test_the_scored_ones_have_mean_zero_and_the_others_are_zero(
    rewards: list[float | None], estimator: Estimator
) -> None:
    values = advantages(rewards, estimator)
    assert len(values) == len(rewards)
    assert sum(values) == pytest.approx(0, abs=1e-8)
    assert all(v == 0 for v, reward in zip(values, rewards, strict=True) if reward is None)


@given(rewards_of_groups, estimators)
def test_the_scored_ones_are_compared_as_if_the_others_had_not_been(
    rewards: list[float | None], estimator: Estimator
) -> None:
    values = advantages(rewards, estimator)
    scored = [reward for reward in rewards if reward is not None]
    kept = [v for v, reward in zip(values, rewards, strict=True) if reward is not None]
    assert kept == pytest.approx(advantages(scored, estimator))


@given(rewards_of_groups, estimators)
def test_of_two_completions_the_better_one_has_the_greater_advantage(
    rewards: list[float | None], estimator: Estimator
) -> None:
    values = advantages(rewards, estimator)
    pairs = sorted(
        (reward, v) for reward, v in zip(rewards, values, strict=True) if reward is not None
    )
    for (worse, low), (better, high) in pairwise(pairs):
        assert low < high if worse < better else low == high


@given(st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=2, max_size=12))
def test_rloo_compares_each_reward_with_the_mean_of_the_others(rewards: list[float]) -> None:
    expected = [reward - (sum(rewards) - reward) / (len(rewards) - 1) for reward in rewards]
    assert advantages(list(rewards), "rloo") == pytest.approx(expected, abs=1e-8)


@given(rewards_of_groups, estimators)
def test_the_service_computes_the_same(rewards: list[float | None], estimator: Estimator) -> None:
    """Neither package may import the other, so each has its own."""
    theirs = [0.0 if value is None else value for value in served(rewards, PRESETS[estimator])]
    assert advantages(rewards, estimator) == pytest.approx(theirs, abs=1e-9)
