"""Where the answer is found, whatever stands around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.math_equivalence.find.extracted import Extraction
from verifiers.math_equivalence.find.extraction import extract, final_part
from verifiers.math_equivalence.policy import AnswerFrom
from verifiers.sample import Sample

RULES: list[AnswerFrom] = ["auto", "boxed", "stated", "display", "number", "completion"]

FRAGMENTS = st.sampled_from(
    ["\\boxed{", "\\fbox{", "}", "{", "$", "$$", "\\[", "\\]", "\\(", "\\)", "####", "A: ", "\n",
     "The answer is ", "Answer: ", "答案是", "<think>", "</think>", "5", "x", " ", ".", "\\", ",",
     " and ", " or ", "Thus ", "=", "**"]
)  # fmt: skip


def found(text: str, answer_from: AnswerFrom = "auto") -> Extraction:
    extraction = extract(text, answer_from)
    assert extraction is not None
    return extraction


def test_the_last_box_wins_and_the_others_are_reported() -> None:
    text = "First \\boxed{1}, then after a while of thinking about it all \\boxed{2}"
    assert found(text) == Extraction("2", "boxed", ("1",))


def test_neighbouring_boxes_are_one_list() -> None:
    assert found("\\boxed{1}, \\boxed{2} and $\\boxed{3}$").text == "1, 2, 3"


def test_a_flood_of_earlier_boxes_leaves_the_last_one() -> None:
    assert found("\\boxed{7} is not it, but rather something else. " * 500 + "\\boxed{5}") == (
        Extraction("5", "boxed", ("7",))
    )


def test_a_box_left_open_is_no_answer() -> None:
    assert extract("\\boxed{5", "boxed") is None
    assert extract("\\boxed{" * 1_000 + "5", "boxed") is None


def test_a_box_outranks_what_is_announced() -> None:
    assert found("The answer is 4. \\boxed{5}").text == "5"


def test_an_announcement_ends_with_its_sentence() -> None:
    assert found("The answer is $\\frac{1}{2}$. It took 3 steps.").text == "$\\frac{1}{2}$"


def test_announcements_that_differ_are_reported() -> None:
    assert found("Answer: 1\nAnswer: 2") == Extraction("2", "stated", ("1",))


def test_an_answer_inside_reasoning_is_not_read() -> None:
    assert final_part(Sample(completion="<think>\\boxed{5}</think>done"), ("think",)) == "done"
    assert final_part(Sample(completion="<think>\\boxed{5}"), ("think",)) is None
    assert final_part(Sample(completion="<a>\\boxed{5}</a><b>6</b>7"), ("a", "b")) == "7"


def test_a_number_that_nothing_concludes_is_no_answer() -> None:
    for text in ("Some say 42, who knows.", "The reference, 42, is quoted here for no reason."):
        assert found(text).rule == "text"
        assert found(text).text == text


def test_formulas_that_conclude_are_answers() -> None:
    assert found("We add. So the total is $x = 5$.").text == "$x = 5$"
    assert found("The cases give $1$ and $-3$.").rule in ("inline", "text", "whole")


@pytest.mark.parametrize("rule", RULES)
@given(st.text(max_size=300) | st.lists(FRAGMENTS, max_size=60).map("".join))
def test_extraction_never_raises_and_returns_what_was_written(rule: AnswerFrom, text: str) -> None:
    extraction = extract(text, rule)
    if extraction is not None and ", " not in extraction.text:
        assert extraction.text in text
