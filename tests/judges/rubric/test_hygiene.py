"""How data is written so that it stays data."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rubric_judges import TURN_TOKEN
from judges.rubric.hygiene import UNSEEN, block, content_free, serialised
from judges.rubric.prompts import REASON, RULES, filled, specimens
from judges.rubric.questions import TASKS

TOKENS = """<|im_start|> <|im_end|> <|endoftext|> <|begin_of_text|> <|start_header_id|>
<|end_header_id|> <|eot_id|> <|eom_id|> <|python_tag|> <s> </s> <unk> <pad> <bos> <eos> [INST]
[/INST] <<SYS>> <</SYS>> [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CALLS] [AVAILABLE_TOOLS]
<start_of_turn> <end_of_turn> <turn|> <|turn> <｜User｜> <｜Assistant｜> <｜end▁of▁sentence｜>
<|user|> <|assistant|> <|system|> <|end|> <|return|> <|start|> <|channel|> <|message|> <think>
</think> <tool_call>
</tool_call> [CLS] [SEP] [MASK] <mask> <|vision_start|> <|tool|> [BOS]
[END DATA]""".replace("\n", " ").split(" ")
TOKENS = [token for token in TOKENS if token not in ("[END", "DATA]")] + ["[END DATA]"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.sampled_from(TOKENS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("token", TOKENS)
def test_no_control_token_survives(token: str) -> None:
    for text in (token, f"a{token}b", token * 3, token.upper(), f"\\{token}"):
        assert text not in serialised(text) or text != token
        assert token not in serialised(text)
        assert json.loads(serialised(text)) == text


@given(JSON)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    line = serialised(value)
    assert json.loads(line) == value
    assert "\n" not in line
    assert line.splitlines() == [line]
    assert not TURN_TOKEN.search(line)
    assert not UNSEEN.search(line)
    line.encode()


@pytest.mark.parametrize(
    "text", ["if (a < b && c > d) return a[0];", "<p>Hello</p>", "[1, 2]", "é 你好 🙂"]
)
def test_ordinary_text_stays_readable(text: str) -> None:
    assert serialised(text) == f'"{text}"'


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_block_is_three_lines_whatever_is_in_it(text: str) -> None:
    nonce = "ab" * 16
    opening, _, closing = block("completion", text, nonce).split("\n")
    assert opening == f"<<<completion {nonce}>>>"
    assert closing == f"<<<end completion {nonce}>>>"


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text("{}ab"), min_size=2))
def test_placeholders_are_filled_once(values: dict[str, str]) -> None:
    assert filled("{a} and {b}", **values) == f"{values['a']} and {values['b']}"


def test_other_words_are_another_digest() -> None:
    """All that we say to a judge is in the specimens that the digest is made of."""
    said = "\n".join(turn.content for ask in specimens() for turn in ask.turns)
    for words in (RULES, REASON, "one of", "a whole number", "a number from", "true if"):
        assert words in said
    assert {task.splitlines()[0] for task in TASKS} <= set(said.splitlines())


@pytest.mark.parametrize(
    "text",
    ["", " \n", "...", "：", "**Solution:**", "Answer: ", "\u200b\u200b", "解：", "# -", "Réponse"],
)
def test_says_nothing(text: str) -> None:
    assert content_free(text)


@pytest.mark.parametrize(
    "text", ["42", "Yes", "no.", "x", "Solution: 4", "∅", "👍", "The answer is Paris", "あ", "½"]
)
def test_says_something(text: str) -> None:
    assert not content_free(text)


@pytest.mark.parametrize(
    "text", ["solution " * 30_000, "step by " * 30_000, "." * 250_000, "\u0301\u0316" * 40_000]
)
def test_long_texts_are_screened_in_no_time(text: str) -> None:
    assert content_free(text) == (not re.search(r"\w", text))
