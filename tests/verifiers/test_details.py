"""What scorers say beside the reward, so that people can see why it is what it is."""

from __future__ import annotations

from typing import Any

import pytest

from verifiers.base import Sample, Score
from verifiers.boundary import attempt
from verifiers.registry import Registry

LENGTH = {"type": "length", "max_length": 10, "buffer": 4}
REPETITION = {"type": "repetition", "n": 2}
OPENED = {"reasoning": "required", "opened_by_prompt": True}
NO_BOX = "not exactly one box in the final part"
NO_ANSWER = "not exactly one <result> … </result>"


@pytest.mark.parametrize(
    ("scorer", "completion", "details"),
    [
        pytest.param(LENGTH, "a" * 6, {"length": 6}, id="length-free"),
        pytest.param(LENGTH, "a" * 8, {"length": 8}, id="length-in-the-buffer"),
        pytest.param(LENGTH, "a" * 12, {"length": 12}, id="length-over"),
        pytest.param(REPETITION, "a b a b a", {"ngrams": 4, "distinct": 2}, id="repetition"),
        pytest.param(REPETITION, "a", {"ngrams": 0, "distinct": 0}, id="repetition-too-short"),
    ],
)
def test_details(scorer: dict[str, Any], completion: str, details: dict[str, Any]) -> None:
    assert scored(scorer, completion).details == details


@pytest.mark.parametrize(
    ("demands", "completion", "faults"),
    [
        pytest.param(demands, completion, faults, id=f"format-{position}")
        for position, (demands, completion, faults) in enumerate(
            [
                ({}, "<think>a</think>b", {}),
                ({}, "b", {"reasoning": "not exactly one <think> … </think>"}),
                ({}, "a<think>b</think>c", {"reasoning": "there is text before the reasoning"}),
                ({}, "<think> </think>b", {"reasoning": "the reasoning is empty"}),
                ({}, "<think>a</think> ", {"reasoning": "nothing follows the reasoning"}),
                (OPENED, "a</think>b", {}),
                (OPENED, "b", {"reasoning": "not exactly one </think>"}),
                (OPENED, " </think>b", {"reasoning": "the reasoning is empty"}),
                ({"reasoning": "forbidden"}, "<think>a", {"reasoning": "there is reasoning"}),
                ({"reasoning": "optional", "boxed": True}, "b", {"boxed": NO_BOX}),
                ({"boxed": True}, "<think>a</think>\\boxed{b", {"boxed": "the box is not closed"}),
                ({"boxed": True}, "<think>a</think>\\boxed{ }", {"boxed": "the box is empty"}),
                ({"answer_tag": "result"}, "<think>a</think>b", {"answer": NO_ANSWER}),
                (
                    {"answer_tag": "result"},
                    "<think><result>a</result></think>b",
                    {"answer": "the answer is not in the final part"},
                ),
                (
                    {"answer_tag": "result"},
                    "<think>a</think><result> </result>",
                    {"answer": "the answer is empty"},
                ),
                (
                    {"answer_tag": "result"},
                    "<think>a</think><result>b</result>c",
                    {"answer": "something follows the answer"},
                ),
            ]
        )
    ],
)
def test_the_form_that_was_missed_is_told(
    demands: dict[str, Any], completion: str, faults: dict[str, str]
) -> None:
    score = scored({"type": "format", **demands}, completion)
    assert score.details == {"faults": faults}
    assert {name for name, met in score.components.items() if not met} == set(faults)


@pytest.mark.parametrize("reference", ["Paris", "Rome"])
@pytest.mark.parametrize("scorer", ["string_check", "exact_match"])
def test_the_text_that_was_compared_is_the_answer(scorer: str, reference: str) -> None:
    spec = {"type": scorer} | ({"operation": "eq"} if scorer == "string_check" else {})
    score = scored(spec, "Paris", reference)
    assert (score.reward, score.answer) == (float(reference == "Paris"), "Paris")


@pytest.mark.parametrize(
    ("scorer", "reference", "message"),
    [
        ("string_check", "", "reference: an empty text would reward saying nothing"),
        ("exact_match", " ", "reference: a blank text would reward saying nothing"),
        ("exact_match", "a" * 262_145, "reference: over 262,144 characters"),
        ("exact_match", "a" + "\u0301" * 200, "reference: over 30 combining marks in a row"),
    ],
    ids=["string_check-empty", "exact_match-blank", "exact_match-long", "exact_match-marks"],
)
def test_why_a_reference_is_refused(scorer: str, reference: str, message: str) -> None:
    spec = {"type": scorer} | ({"operation": "eq"} if scorer == "string_check" else {})
    error = scored(spec, "a", reference).error
    assert error is not None
    assert (error.code, error.message) == ("invalid_reference", message)


def test_exact_match_tells_an_answer_as_it_was_compared() -> None:
    spec = {"type": "exact_match", "collapse_whitespace": True, "ignore_case": True}
    assert scored(spec, " New \n York ", "new york").answer == "new york"


def test_exact_match_takes_a_reference_of_just_its_limit() -> None:
    assert scored({"type": "exact_match"}, "b", "a" * 262_144).reward == 0.0


def test_what_exact_match_rejects_it_says() -> None:
    score = scored({"type": "exact_match"}, "a" + "\u0301" * 200, "a")
    assert score.outcome == "rejected"
    assert score.details == {"limit": "30 combining marks in a row"}


def scored(scorer: dict[str, Any], completion: str, reference: str | None = None) -> Score:
    sample = Sample(completion=completion, reference=reference)
    return attempt(Registry().build(scorer), sample)
