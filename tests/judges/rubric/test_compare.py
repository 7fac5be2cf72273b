"""Completions of a group against each other."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rubric_judges import Gullible, Honest, Read, read
from judges.llm.base import Reply
from judges.rubric.compare import pairings
from tests.judges.rubric.rows import rows
from tests.judges.rubric.test_scorer import PARIS, Scripted, built
from verifiers.base import Sample, Score
from verifiers.errors import JudgeFailed


def length_of(value: Any) -> int:
    return len(str(value))


def longer(key: str, seen: Read) -> str:
    """The truth: the longer one is better."""
    difference = length_of(seen.blocks["first"]) - length_of(seen.blocks["second"])
    return "first" if difference > 0 else "second" if difference < 0 else "equal"


def always_first(key: str, seen: Read) -> str:
    return "first"


def graded_by_length(key: str, seen: Read) -> int:
    return min(10, length_of(seen.blocks[key]))


def compared(judge: Honest, texts: list[str], mode: str = "pairwise", **spec: Any) -> list[Score]:
    scorer = built(judge, criteria=[PARIS], mode=mode, **spec)
    samples = [Sample(prompt="Capital?", completion=text, group="g") for text in texts]
    return asyncio.run(scorer.score(samples))


def rewards(scores: list[Score]) -> list[float | None]:
    return [score.reward for score in scores]


def test_pairwise_rewards_the_share_of_comparisons_won() -> None:
    judge = Honest(longer)
    scores = compared(judge, ["xxx", "x", "xx"])
    assert rewards(scores) == [1.0, 0.0, 0.5]
    assert len(judge.asks) == 6, "every pair in both orders"
    assert scores[0].details["position"] == {
        "pairs": 3,
        "first_share": 0.5,
        "consistent_share": 1.0,
    }


def test_a_judge_that_goes_by_position_decides_nothing_and_is_told_on() -> None:
    scores = compared(Honest(always_first), ["xxx", "x", "xx"])
    assert rewards(scores) == [0.5, 0.5, 0.5]
    assert scores[0].details["position"] == {
        "pairs": 3,
        "first_share": 1.0,
        "consistent_share": 0.0,
    }


def test_listwise_rewards_the_mean_grade_of_both_orders() -> None:
    judge = Honest(graded_by_length)
    scores = compared(judge, ["x" * 8, "x", "x" * 4], mode="listwise")
    assert rewards(scores) == [0.8, 0.1, 0.4]
    orders = [list(read(ask).blocks.values())[1:] for ask in judge.asks]
    assert orders[0] == orders[1][::-1]
    assert scores[0].details["position"] == {"earlier_advantage": 0.0, "mean_change": 0.0}


def test_listwise_position_bias_is_reported() -> None:
    judge = Honest(lambda key, seen: 10 - int(key.removeprefix("candidate-")))
    scores = compared(judge, ["aa", "bb", "cc"], mode="listwise")
    assert scores[0].details["position"]["earlier_advantage"] == pytest.approx(0.2)
    assert len(set(rewards(scores))) == 1, "both orders together cancel it"


def test_pairwise_verdicts_may_be_probabilities() -> None:
    def told(seen: Read) -> Reply:
        share = 0.9 if len(seen.blocks["first"]) > 1 else 0.3
        return Reply("", probabilities={"first": share, "equal": 0.0, "second": 1.0 - share})

    scorer = built(Scripted([told, told]), criteria=[PARIS], mode="pairwise", probabilities=True)
    samples = [Sample(completion=text, group="g") for text in ("xx", "x")]
    scores = asyncio.run(scorer.score(samples))
    assert rewards(scores) == [pytest.approx(0.8), pytest.approx(0.2)]


def test_a_calibration_is_applied_to_both_orders_together_and_the_two_sum_to_one() -> None:
    isotonic = {"kind": "isotonic", "values": [0.0, 1.0], "probabilities": [0.1, 0.7]}
    scores = compared(Honest(longer), ["xx", "x"], calibration=isotonic)
    assert rewards(scores) == [pytest.approx(0.8), pytest.approx(0.2)]
    scores = compared(Honest(always_first), ["xx", "x"], calibration=isotonic)
    assert rewards(scores) == [pytest.approx(0.5), pytest.approx(0.5)]
    assert scores[0].details["position"]["first_share"] == 1.0


@pytest.mark.parametrize("mode", ["pairwise", "listwise"])
def test_equal_texts_are_even_without_a_call(mode: str) -> None:
    judge = Honest(longer)
    assert rewards(compared(judge, ["same", "same"], mode=mode)) == [0.5, 0.5]
    assert judge.asks == []


@pytest.mark.parametrize("mode", ["pairwise", "listwise"])
def test_texts_that_say_nothing_lose_without_a_call(mode: str) -> None:
    judge = Honest(longer)
    scores = compared(judge, ["Paris", ":", "Solution"], mode=mode)
    assert rewards(scores) == [1.0, 0.0, 0.0]
    assert [score.outcome for score in scores] == ["judged", "no_answer", "no_answer"]
    assert judge.asks == []


def test_a_failed_comparison_costs_both_their_score_and_nobody_else() -> None:
    def picky(key: str, seen: Read) -> str:
        if {seen.blocks["first"], seen.blocks["second"]} == {"xxx", "x"}:
            raise JudgeFailed("this pair not")
        return longer(key, seen)

    scores = compared(Honest(picky), ["xxx", "x", "xx", "xxxx"])
    assert rewards(scores) == [None, None, pytest.approx(1 / 3), 1.0]
    assert scores[0].error is not None
    assert scores[0].error.code == "judge_failed"
    assert scores[0].details["calls"] > 0


def test_a_failed_list_leaves_the_group_unscored() -> None:
    def down(key: str, seen: Read) -> int:
        raise JudgeFailed("down")

    scores = compared(Honest(down), ["aa", "bb", "."], mode="listwise")
    assert rewards(scores) == [None, None, 0.0]


def test_groups_are_compared_apart_and_answers_keep_their_order() -> None:
    scorer = built(Honest(longer), criteria=[PARIS], mode="pairwise")
    texts = [("a", "x"), ("b", "xxx"), ("a", "xx"), ("b", "xx")]
    scores = asyncio.run(scorer.score([Sample(completion=t, group=g) for g, t in texts]))
    assert rewards(scores) == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        ([{"group": None}, {"group": None}], "missing_field"),
        ([{"group": "a"}, {"group": "b"}], "missing_field"),
        ([{"group": "a", "prompt": "x"}, {"group": "a", "prompt": "y"}], "invalid_reference"),
    ],
)
def test_what_cannot_be_compared_is_an_error(samples: list[dict[str, Any]], code: str) -> None:
    scorer = built(Honest(longer), criteria=[PARIS], mode="pairwise")
    whole = [Sample.model_validate({"completion": "text", **sample}) for sample in samples]
    scores = asyncio.run(scorer.score(whole))
    assert [score.error and score.error.code for score in scores] == [code, code]


@pytest.mark.parametrize(("mode", "count"), [("pairwise", 65), ("listwise", 21)])
def test_a_group_that_is_too_large_is_not_paid_for(mode: str, count: int) -> None:
    judge = Honest(longer)
    [score, *_] = compared(judge, [f"text {n}" for n in range(count)], mode=mode)
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("judge_failed", False)
    assert judge.asks == []


def test_fewer_opponents_cost_fewer_calls() -> None:
    judge = Honest(longer)
    texts = ["x" * n for n in range(1, 11)]
    found = rewards(compared(judge, texts, opponents=4))
    assert len(judge.asks) == 40
    assert (found[0], found[-1]) == (0.0, 1.0)


@given(st.integers(2, 20), st.none() | st.integers(1, 25), st.integers(0, 99))
def test_everyone_has_as_many_opponents(count: int, opponents: int | None, seed: int) -> None:
    pairs = pairings(count, opponents, seed)
    assert len(set(pairs)) == len(pairs)
    assert all(i < j for i, j in pairs)
    met = Counter(place for pair in pairs for place in pair)
    wanted = count - 1 if opponents is None else min(opponents, count - 1)
    assert len(met) == count
    assert all(wanted <= times <= wanted + 1 for times in met.values())


@pytest.mark.parametrize("row", rows("attacks"))
def test_attacks_win_no_comparison(row: dict[str, Any]) -> None:
    def truth(key: str, seen: Read) -> str:
        first = "Paris" in seen.blocks["first"]
        return "first" if first else "second"

    judge = Gullible(truth, obeyed="first")
    honest, attack = compared(judge, ["It is Paris.", row["completion"]])
    assert (honest.reward, attack.reward) == (1.0, 0.0), row["why"]
