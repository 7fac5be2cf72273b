"""Measuring a policy: shares of what was scored, and nothing assumed of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.trainer_client.tiny import small_run, tiny_policy
from trainer_client.data import Problem
from trainer_client.evaluate import any_correct, measure, share_correct
from trainer_client.types import Score, ScoreError


def score(outcome: str | None) -> Score:
    if outcome is None:
        return Score(id="0", error=ScoreError("internal", "broken", False))
    return Score(id="0", reward=float(outcome == "correct"), outcome=outcome)


TABLE = [
    (["correct", "incorrect"], 0.5, 1.0, "one of two"),
    (["incorrect", "partial"], 0.0, 0.0, "partly right is not right"),
    (["correct", None], 1.0, 1.0, "a right one is enough to know that one is right"),
    (["incorrect", None], 0.0, None, "the one that failed might have been right"),
    ([None, None], None, None, "nothing is known"),
]


@pytest.mark.parametrize(("outcomes", "share", "any_right"), [row[:3] for row in TABLE],
                         ids=[row[3] for row in TABLE])  # fmt: skip
def test_shares_are_over_what_was_scored(
    outcomes: list[str | None], share: float | None, any_right: float | None
) -> None:
    scores = [score(outcome) for outcome in outcomes]
    assert share_correct(scores) == share
    assert any_correct(scores) == any_right


def test_every_problem_is_asked_with_its_own_reference() -> None:
    problems = [Problem(f"p{n}", f"r{n}") for n in range(5)]
    asked: list[Mapping[str, Any]] = []

    def judge(samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        asked.extend(samples)
        return [score("correct" if sample["prompt"] == "p1" else "incorrect") for sample in samples]

    result = measure(tiny_policy(), problems, judge, small_run())
    assert (result.greedy, result.sampled, result.pass_at_k) == (0.2, 0.2, 0.2)
    assert len(asked) == 5 + 5 * result.k
    assert all(sample["reference"][1:] == sample["prompt"][1:] for sample in asked)
    assert [example["prompt"] for example in result.examples] == [p.prompt for p in problems]


def test_a_measurement_comes_out_the_same_again() -> None:
    problems = [Problem("abc", "abc"), Problem("de", "de")]

    def judge(samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        return [
            score("correct" if len(sample["completion"]) % 2 else "incorrect") for sample in samples
        ]

    first, again = (measure(tiny_policy(), problems, judge, small_run()) for _ in range(2))
    assert first == again


def test_what_could_not_be_scored_is_counted_and_said() -> None:
    result = measure(
        tiny_policy(),
        [Problem("a", "a")],
        lambda samples: [score(None)] * len(samples),
        small_run(),
    )
    assert result.greedy is None
    assert result.unscored == 1 + result.k
    assert str(result) == f"{result.unscored} unscored"
