"""What of a message is text, what is silence, and what is neither."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from verifiers.errors import Unreadable
from verifiers.sample import MAX_NESTING, Sample, check_readable

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}, "text": None}
THOUGHT = {"type": "thinking", "thinking": "Well, 5.", "signature": "x"}
CACHED = {"cache_control": {"type": "ephemeral"}}


def nested(levels: int, value: Any = 1) -> Any:
    for _ in range(levels):
        value = [value]
    return value


def text(value: str | None, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"type": kind, "text": value, **more}


def sample(**message: Any) -> Sample:
    return Sample.model_validate({"completion": {"role": "assistant", **message}})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "5"}, "5"),
        ({"content": "5", "tool_calls": [CALL], "refusal": None}, "5"),
        ({"content": " 5 ", "name": None, "reasoning_content": "Hm."}, " 5 "),
        ({"content": [text("5")]}, "5"),
        ({"content": [text("1"), IMAGE, text("2", **CACHED), text(None), text("3")]}, "123"),
        ({"content": [text("5", image_url=None, thinking=None)]}, "5"),
        ({"content": [text("5", "output_text", annotations=[])]}, "5"),
        ({"content": [THOUGHT, text("5"), {"type": "tool_use", "input": {"a": [1]}}]}, "5"),
        ({"content": [{"type": "unheard of", "text": {"value": "6"}}, {}, text("5")]}, "5"),
        ({"content": [text("5"), {"type": ["text"], "text": "6"}]}, "5"),
        ({"content": [None, text("5"), None]}, "5"),
        ({"content": "5", "tool_calls": nested(MAX_NESTING + 1)}, "5"),
        ({"content": [text("5", deep=nested(MAX_NESTING + 1))]}, "5"),
        ({"content": [{"type": "image_url", "deep": nested(400)}, text("5")]}, "5"),
        ({"content": [text("1")] * 10_001 + [None, IMAGE]}, "1" * 10_001),
    ],
)
def test_text_is_what_text_parts_hold(message: dict[str, Any], expected: str) -> None:
    assert sample(**message).text == expected


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": None},
        {"content": ""},
        {"content": []},
        {"content": [text(None)]},
        {"content": [text("")]},
        {"content": None, "tool_calls": None, "function_call": None, "refusal": None},
        {"content": "", "tool_calls": []},
        {"content": None, "reasoning_content": "So the answer is"},
        {"content": None, "reasoning": "So the answer is"},
        {"content": [THOUGHT]},
        {"content": [{"type": "reasoning", "summary": []}, text("")]},
        {"content": None, "annotations": [1], "name": "policy"},
        {"content": [None]},
        {"content": [{}, {"type": "unheard of"}, {"type": "image_url", "image_url": None}]},
        {"content": [{"type": None, "text": None}]},
        {"content": [{"type": "image_url", "image_url": {"url": None, "detail": ""}}]},
        {"content": [{"type": "think", "think": "Hm."}, {"type": "summary_text", "text": "Hm."}]},
        {"content": [{"type": "reasoning_text", "text": "So the answer is 5"}]},
        {"tool_calls": [{}]},
        {"tool_calls": [None]},
        {"tool_calls": [{"id": None, "function": {"name": None, "arguments": ""}}]},
        {"audio": {"id": None, "data": None}},
        {"tool_calls": nested(400, None)},
        {"content": [{}] * 10_001 + [THOUGHT]},
    ],
)
def test_silence_is_the_empty_text_which_has_a_price(message: dict[str, Any]) -> None:
    assert sample(**message).text == ""


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [CALL]},
        {"content": "", "tool_calls": [CALL]},
        {"content": "\n\n", "tool_calls": [CALL]},
        {"tool_calls": [CALL], "reasoning_content": "I had better look that up."},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"content": None, "refusal": "I cannot help with that."},
        {"content": None, "audio": {"id": "a", "transcript": "five"}},
        {"content": [IMAGE]},
        {"content": [IMAGE, text(None), THOUGHT]},
        {"content": [{"type": "refusal", "refusal": "No."}]},
        {"content": [{"type": "tool_use", "name": "f", "input": {}}]},
        {"content": [{"type": "unheard of", "x": [{"y": 1}]}]},
        {"content": [None, {"type": None, "image_url": {"url": "x"}}]},
        {"tool_call": CALL},
        {"tool_calls": nested(400)},
        {"content": [{"type": "image_url", "image_url": nested(400)}]},
        {"content": [{}] * 10_001 + [IMAGE, text(" ")]},
    ],
)
def test_what_was_said_in_another_form_than_text_cannot_be_read(message: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="completion"):
        check_readable(sample(**message).completion, frozenset({"text"}), "completion")
    assert sample(**message).text.strip() == ""


@pytest.mark.parametrize("content", ["  \n", [text("  "), text("\n")]])
def test_blank_text_alone_stays_as_it_is(content: Any) -> None:
    assert sample(content=content).text == "  \n"


def test_what_nobody_reads_is_kept_as_it_came() -> None:
    parts = [text("5", **CACHED), IMAGE, THOUGHT, {"type": "input_audio", "x": [None, 1.5]}]
    prompt = [{"role": "user", "content": parts, "name": None}]
    given = {
        "prompt": prompt,
        "completion": {"role": "assistant", "content": parts, "tool_calls": [CALL]},
    }
    samples = TypeAdapter(list[Sample])
    written = samples.dump_json([Sample.model_validate(given)], exclude_unset=True)
    assert json.loads(written) == [given]


@pytest.mark.parametrize(
    "message",
    [
        {"content": 5},
        {"content": {"type": "text", "text": "5"}},
        {"content": ["5"]},
        {"content": [text(5)]},  # type: ignore[arg-type]
        {"content": [{"type": "output_text", "text": ["5"]}]},
        {"content": [text("")] * 10_001 + ["5"]},
        {"content": [text("")] * 10_001 + [text(5)]},  # type: ignore[arg-type]
        {"role": "user", "content": "5"},
    ],
)
def test_what_is_no_message_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sample(**message)
