"""Advantages: by hand for small groups, and by their defining properties for any."""

from __future__ import annotations

from math import sqrt
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.grouping.advantages import PRESETS, Advantage, Preset, advantages

BY_HAND: list[tuple[Preset, list[float | None], list[float | None]]] = [
    # One right of four: mean 1/4, sample deviation 1/2, population deviation sqrt(3)/4.
    ("trl", [1, 0, 0, 0], [0.75 / 0.5001] + [-0.25 / 0.5001] * 3),
    ("verl", [1, 0, 0, 0], [0.75 / 0.500001] + [-0.25 / 0.500001] * 3),
    ("trl_async", [1, 0, 0, 0], [0.75 / (sqrt(3) / 4 + 1e-8)] + [-0.25 / (sqrt(3) / 4 + 1e-8)] * 3),
    ("dr_grpo", [1, 0, 0, 0], [0.75, -0.25, -0.25, -0.25]),
    ("rloo", [1, 0, 0, 0], [1, -1 / 3, -1 / 3, -1 / 3]),
    ("none", [1, 0, 0.5, -2], [1, 0, 0.5, -2]),
    # Unscored ones are in neither the mean, nor the deviation, nor the number of others.
    ("trl", [1, None, 0], [0.5 / (sqrt(0.5) + 1e-4), None, -0.5 / (sqrt(0.5) + 1e-4)]),
    ("dr_grpo", [None, 1, None, 0], [None, 0.5, None, -0.5]),
    ("rloo", [1, None, 0], [1, None, -1]),
    ("none", [None, 3], [None, 3]),
    # Without spread.
    ("trl", [0.3, 0.3, 0.3], [0, 0, 0]),
    ("trl", [0.7], [0]),
    ("trl_async", [0.1] * 7, [0] * 7),
    ("rloo", [2], [0]),
    ("dr_grpo", [None, 5, None], [None, 0, None]),
    ("trl", [None, None], [None, None]),
    # verl takes a lone completion's reward for its advantage, where it is lone from the start.
    ("verl", [0.7], [0.7 / 1.000001]),
    ("verl", [None, 0.7], [None, 0]),
    ("verl", [None], [None]),
]


@pytest.mark.parametrize(("preset", "rewards", "expected"), BY_HAND)
def test_advantages_by_hand(
    preset: Preset, rewards: list[float | None], expected: list[float | None]
) -> None:
    found = advantages(rewards, PRESETS[preset])
    assert [value is None for value in found] == [value is None for value in expected]
    assert [value or 0 for value in found] == pytest.approx([v or 0 for v in expected], abs=1e-12)


def test_every_preset_of_the_wire_is_there_and_states_its_constants() -> None:
    assert set(PRESETS) == set(get_args(Preset))
    constants = {name: (a.estimator, a.ddof, a.eps) for name, a in PRESETS.items()}
    assert constants == {
        "trl": ("grpo", 1, 1e-4),
        "grpo": ("grpo", 1, 1e-4),
        "trl_async": ("grpo", 0, 1e-8),
        "verl": ("verl", 1, 1e-6),
        "dr_grpo": ("dr_grpo", None, None),
        "rloo": ("rloo", None, None),
        "none": ("none", None, None),
    }


def test_what_is_repeated_to_the_caller_means_the_same_when_sent_again() -> None:
    for advantage in PRESETS.values():
        assert Advantage.model_validate(advantage.model_dump()) == advantage


@pytest.mark.parametrize(
    "given",
    [
        {"estimator": "ppo"},
        {"estimator": "grpo", "ddof": 2},
        {"estimator": "grpo", "eps": -1e-4},
        {"estimator": "grpo", "eps": float("nan")},
        {"estimator": "grpo", "eps": float("inf")},
        {"estimator": "grpo", "eps": "1e-4"},
        {"estimator": "grpo", "scale": 1},
        {},
    ],
    ids=str,
)
def test_an_estimator_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Advantage.model_validate(given)


rewards_of_groups = st.lists(
    st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=16
)
own = st.builds(
    Advantage,
    estimator=st.sampled_from(["grpo", "verl", "dr_grpo", "rloo"]),
    ddof=st.sampled_from([0, 1]),
    eps=st.sampled_from([0.0, 1e-8, 1e-4, 1.0]),
)


@given(rewards_of_groups, own, st.randoms())
def test_the_order_of_a_group_does_not_matter(
    rewards: list[float | None], advantage: Advantage, dice: Any
) -> None:
    order = list(range(len(rewards)))
    dice.shuffle(order)
    shuffled = advantages([rewards[i] for i in order], advantage)
    assert shuffled == [advantages(rewards, advantage)[i] for i in order]


@given(rewards_of_groups, own)
def test_the_scored_have_mean_zero_and_the_unscored_have_none(
    rewards: list[float | None], advantage: Advantage
) -> None:
    found = advantages(rewards, advantage)
    assert [v is None for v in found] == [reward is None for reward in rewards]
    scored = [value for value in found if value is not None]
    if len(rewards) > 1:
        assert sum(scored) == pytest.approx(0, abs=1e-9 * (1 + sum(map(abs, scored))))


@given(rewards_of_groups.filter(lambda rewards: len(rewards) > 1), own)
def test_neighbours_are_compared_as_if_the_unscored_had_not_been(
    rewards: list[float | None], advantage: Advantage
) -> None:
    found = [value for value in advantages(rewards, advantage) if value is not None]
    scored = [reward for reward in rewards if reward is not None]
    if len(scored) > 1:
        assert found == advantages(scored, advantage)


@given(rewards_of_groups, st.sampled_from([0, 1]), st.sampled_from([0.0, 1e-8, 1e-4]))
def test_normalized_advantages_are_bounded_by_the_size_of_the_group(
    rewards: list[float | None], ddof: int, eps: float
) -> None:
    """No z-score of n values exceeds sqrt(n - 1), whatever the values (Samuelson 1968)."""
    found = advantages(rewards, Advantage(estimator="grpo", ddof=ddof, eps=eps))
    bound = sqrt(max(1, len(rewards) - 1)) * (1 + 1e-6)
    assert all(abs(value) <= bound for value in found if value is not None)
