"""Measurements: shares of what was scored, and draws that are the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trainer_client.train.config import Config, PolicyConfig
from trainer_client.train.evaluate import any_correct, mean, measure, share_correct
from trainer_client.train.policy import from_scratch
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import Score, ScoreError

UNSCORED = Score(id="0", error=ScoreError("timeout", "too slow", retryable=True))
RIGHT, WRONG = (
    Score(id="0", reward=reward, outcome=outcome)
    for reward, outcome in ((1.0, "correct"), (0.0, "wrong"))
)
RATED = Score(id="0", reward=0.7, outcome="judged")

PROBLEMS = [Problem(text, text[::-1]) for text in ("abc", "d", "Hello!")]
CONFIG = Config.model_validate({"evaluation": {"samples": 3, "max_new_tokens": 4}})
POLICY = from_scratch(
    PolicyConfig(hidden_size=16, layers=2, heads=2, kv_heads=1, head_dim=8, mlp_size=16), seed=0
)


@pytest.mark.parametrize(
    ("scores", "shared", "any_of_them"),
    [
        ([RIGHT, WRONG], 0.5, 1.0),
        ([WRONG, WRONG], 0.0, 0.0),
        ([RIGHT, UNSCORED], 1.0, 1.0),
        ([WRONG, UNSCORED], 0.0, None),  # the unscored one might have been right
        ([UNSCORED], None, None),
        ([RATED, RATED], None, None),  # a reward model says what is better, not what is right
    ],
)
def test_shares_are_of_what_was_scored(
    scores: list[Score], shared: float | None, any_of_them: float | None
) -> None:
    assert share_correct(scores) == shared
    assert any_correct(scores) == any_of_them


def test_the_mean_of_nothing_known_is_unknown() -> None:
    assert mean([]) is None
    assert mean([None]) is None
    assert mean([1.0, None, 0.0]) == 0.5


def test_a_measurement_by_hand() -> None:
    """Of the samples of each problem the first is right, and one problem goes unscored."""
    asked = list[Sequence[Mapping[str, Any]]]()

    def score(samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        asked.append(samples)
        if len(samples) == len(PROBLEMS):
            return [RIGHT, WRONG, UNSCORED]
        return [RIGHT, WRONG, WRONG, WRONG, WRONG, WRONG, UNSCORED, UNSCORED, UNSCORED]

    result = measure(POLICY, PROBLEMS, score, CONFIG)
    assert [len(samples) for samples in asked] == [3, 9]
    assert [s["reference"] for s in asked[1]] == [p.reference for p in PROBLEMS for _ in range(3)]
    assert (result.greedy, result.pass_at_k, result.unscored) == (0.5, 0.5, 4)
    assert result.sampled == result.reward == pytest.approx(1 / 6)


def test_a_judge_that_only_rates_is_told_by_its_reward() -> None:
    result = measure(POLICY, PROBLEMS, lambda samples: [RATED] * len(samples), CONFIG)
    assert (result.greedy, result.sampled, result.pass_at_k) == (None, None, None)
    assert str(result) == "reward 0.700"


def test_the_same_policy_is_asked_for_the_same_completions_every_time() -> None:
    asked = list[list[Mapping[str, Any]]]()

    def score(samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        asked.append(list(samples))
        return [WRONG] * len(samples)

    measure(POLICY, PROBLEMS, score, CONFIG)
    measure(POLICY, PROBLEMS, score, CONFIG)
    assert asked[:2] == asked[2:]
