"""Where a completion's answer is, and that no text makes finding it slow or raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.extract import (
    AnswerFrom,
    answer_in,
    boxed_contents,
    closing_brace,
    fenced_blocks,
)
from verifiers.reasoning import PAIRS, final_part
from verifiers.sample import Sample

SOURCES: list[AnswerFrom] = ["completion", "final", "boxed", "fenced"]


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("42", "42"),
        ("<think>a</think>42", "42"),
        ("a</think>42", "42"),
        ("<think>a</think>41<think>b</think>42", "42"),
        ("<think>a</think></think>42", "42"),
        ("<think>a", None),
        ("<think>a</think>41<think>b", None),
        ("</think><think>", None),
        ("<think>a</think>", ""),
        ("a < b", "a < b"),
        ("", ""),
    ],
)
def test_final_part(text: str, final: str | None) -> None:
    assert final_part(text) == final


def test_another_reasoning_tag() -> None:
    assert final_part("<r>a</r>42", tags=("r",)) == "42"
    assert final_part("<r>a", tags=("r",)) is None


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_the_marks_of_every_model(opening: str, closing: str) -> None:
    assert final_part(f"{opening}a{closing}42") == "42"
    assert final_part(f"a{closing}42") == "42"
    assert final_part(f"{opening}a{closing}41{opening}b{closing}42") == "42"
    assert final_part(f"{opening}42") is None
    assert final_part(f"{opening}a{closing}41{opening}42") is None
    assert final_part(f"<think>{opening}</think>42{closing}43") == "43"


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_reasoning_that_the_prompt_opened_is_open_until_it_is_closed(
    opening: str, closing: str
) -> None:
    prompts: list[Any] = [f"What is 6*7?\n{opening}\n", [{"role": "assistant", "content": opening}]]
    for prompt in prompts:
        open_one, closed = (
            Sample.model_validate({"prompt": prompt, "completion": text})
            for text in ("41", f"41{closing}42")
        )
        assert answer_in(open_one, "final") is None
        assert answer_in(closed, "final") == "42"
        assert answer_in(open_one, "completion") == "41"
    quoted = Sample(prompt=f"What does {opening} mean?", completion="42")
    assert answer_in(quoted, "final") == "42"


def test_what_a_decoder_leaves_behind_the_answer_is_no_part_of_it() -> None:
    analysis = "<|channel|>analysis<|message|>a<|end|>"
    final = "<|start|>assistant<|channel|>final<|message|>42<|return|>"
    assert final_part(analysis + final) == "42"
    assert final_part(analysis) is None


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        (r"\boxed{42}", ["42"]),
        (r"\fbox{42}", ["42"]),
        (r"\boxed {42}", ["42"]),
        (r"\boxed{\frac{1}{2}}", [r"\frac{1}{2}"]),
        (r"\boxed{1} and \boxed{2}", ["1", "2"]),
        (r"\boxed{\boxed{1}}", [r"\boxed{1}"]),
        (r"\boxed{\{1, 2\}}", [r"\{1, 2\}"]),
        (r"\boxed{a\\}", [r"a\\"]),
        (r"\boxed{}", [""]),
        (r"\boxed{1", []),
        (r"\boxed{1} \boxed{2", ["1"]),
        (r"\boxed{1 \boxed{2}", []),
        (r"\boxed{\}", []),
        (r"\boxed 1", []),
        ("boxed{1}", []),
    ],
)
def test_boxes(text: str, contents: list[str]) -> None:
    assert boxed_contents(text) == contents


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("```\na\n```", ["a\n"]),
        ("```python\na\n```\n", ["a\n"]),
        ("~~~\na\n~~~", ["a\n"]),
        ("````\n```\na\n```\n````", ["```\na\n```\n"]),
        ("```\na\n````", ["a\n"]),
        ("````\na\n```", []),
        ("```\na\n~~~\n```", ["a\n~~~\n"]),
        ("   ```\na\n  ```", ["a\n"]),
        ("    ```\na\n    ```", []),
        ("```\na\n``` x\n```", ["a\n``` x\n"]),
        ("``` a`b\nc\n```", []),
        ("~~~ a`b\nc\n~~~", ["c\n"]),
        ("```\n```", [""]),
        ("```\na\n```\n```\nb\n```", ["a\n", "b\n"]),
        ("```\r\na\r\n```\r\n", ["a\r\n"]),
        ("```\na", []),
        ("say ```a```", []),
    ],
)
def test_fenced_blocks(text: str, blocks: list[str]) -> None:
    assert fenced_blocks(text) == blocks


@pytest.mark.parametrize(
    ("source", "text", "answer"),
    [
        ("completion", "<think>a", "<think>a"),
        ("final", "<think>a</think>b", "b"),
        ("final", "<think>a", None),
        ("boxed", r"\boxed{1} \boxed{2}", "2"),
        ("boxed", r"<think>\boxed{1}</think>2", None),
        ("boxed", "2", None),
        ("fenced", "```\na\n```\n```\nb\n```\nc", "b"),
        ("fenced", "a", "a"),
        ("fenced", "<think>```\na\n```</think>b", "b"),
        ("fenced", "<think>```\na\n```", None),
    ],
)
def test_answer(source: AnswerFrom, text: str, answer: str | None) -> None:
    assert answer_in(Sample(completion=text), source) == answer


PIECES = ["<think>", "</think>", r"\boxed{", "{", "}", "\\", "```", "~~~", "\n", " ", "`", "a"]


@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from(SOURCES))
def test_every_answer_is_a_piece_of_the_text(text: str, source: AnswerFrom) -> None:
    answer = answer_in(Sample(completion=text), source)
    assert answer is None or answer in text


@given(st.text("ab\\{} "))
def test_a_balanced_box_holds_balanced_braces(text: str) -> None:
    for content in boxed_contents(r"\boxed{" + text):
        assert closing_brace(content + "}", 0) == len(content)


@given(st.text("ab{}\\`~\n"))
def test_what_follows_the_reasoning_is_the_same_with_and_without_it(text: str) -> None:
    for source in SOURCES[1:]:
        with_it, without = Sample(completion=f"<think>so</think>{text}"), Sample(completion=text)
        assert answer_in(with_it, source) == answer_in(without, source)


MEGABYTE = 1 << 20

FLOODS = [*PIECES, "<", r"\boxed", r"\boxed{}", "`\n", "```\n", "~~~ \n", "   ", "a`"]


@pytest.mark.parametrize("piece", FLOODS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_megabyte_of_anything_is_read_in_one_pass(source: AnswerFrom, piece: str) -> None:
    flood = piece * (MEGABYTE // len(piece))
    for text in (flood, flood + "`", "\\boxed" + flood, "`" * 1_000 + "\n" + flood):
        answer = answer_in(Sample(completion=text), source)
        assert answer is None or len(answer) <= len(text)


def test_a_long_fence_before_many_short_ones_is_read_in_one_pass() -> None:
    assert fenced_blocks("`" * MEGABYTE + "\n" + "```\n" * (MEGABYTE // 4)) == []
