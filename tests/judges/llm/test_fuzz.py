"""Whatever an endpoint sends is a whole reply or a failure, and never another exception."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.llm import chat, decisions
from judges.llm.backend import usage_in
from judges.llm.base import Reply, Usage
from judges.llm.endpoint import error_code, retry_after_s
from judges.llm.failures import Unusable
from tests.judges.llm.scripted_endpoint import asking, completion

OPTIONS = ("yes", "no")
MOST = Usage(100, 10, calls=1)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*OPTIONS, "stop", "length", "choice", "refusal", "verdict"])
)
NAMES = st.sampled_from(
    "choices message content finish_reason refusal tool_calls logprobs top_logprobs token logprob"
    " answers type name probabilities value probability verdict yes no usage error code".split()
) | st.text(max_size=4)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5)
)


@st.composite
def damaged(draw: st.DrawFn, whole: Callable[[], Any]) -> Any:
    """A good document with one place in it replaced."""
    document = whole()
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(document)
    holder, key = draw(st.sampled_from(places))
    holder[key] = draw(JSON)
    return document


def chat_document() -> Any:
    top = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -3.0}]
    logprobs = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": top}]}
    message = {"role": "assistant", "content": "yes", "refusal": None}
    return completion("q", message=message, logprobs=logprobs)


def openai_document() -> Any:
    pairs = [{"value": "yes", "probability": 0.75}, {"value": "no", "probability": 0.25}]
    answer = {"type": "choice", "name": "verdict", "choice": "yes", "probabilities": pairs}
    return {"answers": [answer], "usage": {"input_tokens": 1, "output_tokens": 0}}


def systemone_document() -> Any:
    answer = {"type": "choice", "choice": "yes", "probabilities": {"yes": 0.75, "no": 0.25}}
    return {"answers": {"verdict": answer}, "usage": {"input_tokens": 1, "output_tokens": 0}}


def sound(reply: Reply) -> bool:
    """As `Reply` says: a text, and probabilities of all options that sum to 1, or none."""
    if reply.probabilities is None:
        return bool(reply.text.strip())
    shares = reply.probabilities.values()
    in_range = all(0.0 <= share <= 1.0 for share in shares)
    return set(reply.probabilities) == set(OPTIONS) and in_range and math.isclose(sum(shares), 1.0)


def test_the_undamaged_documents_are_replies() -> None:
    ask = asking("q", options=OPTIONS)
    assert chat.reply_of(chat_document(), ask, MOST).probabilities is not None
    for document in (openai_document(), systemone_document()):
        assert decisions.reply_of(document, OPTIONS, MOST).text == "yes"


@given(damaged(chat_document) | JSON)
def test_chat(document: Any) -> None:
    try:
        reply = chat.reply_of(document, asking("q", options=OPTIONS), MOST)
    except Unusable:
        return
    assert sound(reply)
    assert reply.text == document["choices"][0]["message"]["content"]


@given(damaged(openai_document) | damaged(systemone_document) | JSON)
def test_decisions(document: Any) -> None:
    try:
        reply = decisions.reply_of(document, OPTIONS, MOST)
    except Unusable:
        return
    assert sound(reply)
    assert reply.text in OPTIONS


@given(damaged(chat_document) | JSON)
def test_usage_is_told_or_the_most(document: Any) -> None:
    usage = usage_in(document, MOST, "prompt_tokens", "completion_tokens")
    assert usage.calls == 1
    assert usage.prompt_tokens >= 0 <= usage.completion_tokens


@given(st.binary(max_size=60) | st.just(b'{"error": {"code": "x y"}}'))
def test_a_complaint_has_a_plain_code_or_none(content: bytes) -> None:
    assert all(letter.isalpha() or letter == "_" for letter in error_code(content))


@given(st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text(max_size=40)))
def test_a_wait_is_finite_and_not_negative(headers: dict[str, str]) -> None:
    seconds = retry_after_s(headers)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@pytest.mark.parametrize("date", ["Wed, 31 Dec 0000 23:59:60 GMT", "Mon, 99 Feb 2026", ", ,", "٣"])
def test_strange_dates_are_no_wait(date: str) -> None:
    seconds = retry_after_s({"retry-after": date, "date": date})
    assert seconds is None or seconds >= 0
