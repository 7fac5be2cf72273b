"""Chat completions over real sockets: what is a reply, and what is a failure."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import logging
import time
from typing import Any

import pytest

from judges.llm.base import Reply, Usage
from judges.llm.caller import calling
from judges.llm.endpoint import MAX_REPLY_BYTES, retry_after_s
from judges.llm.failures import (
    Busy,
    CallFailed,
    CircuitOpen,
    CutOff,
    NoReply,
    NotConnected,
    Rejected,
    ServerError,
    Unusable,
)
from judges.llm.hosting import Judges
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import chat_judge, settings
from tests.judges.llm.scripted_endpoint import Act, Request, ScriptedEndpoint, asking, spelled
from verifiers.errors import JudgeFailed, SpecError


def ask(*acts: Act, question: str = "q", **members: Any) -> tuple[Reply | JudgeFailed, int]:
    """The reply to one question, or its failure, and how many requests the endpoint got."""

    async def go() -> tuple[Reply | JudgeFailed, int]:
        async with (
            ScriptedEndpoint(acts) as endpoint,
            chat_judge(endpoint.url, **{"timeout_s": 5.0, **members}) as judge,
        ):
            try:
                found: Reply | JudgeFailed = await judge.ask(asking(question))
            except JudgeFailed as failure:
                found = failure
            return found, len(endpoint.received)

    return asyncio.run(go())


def test_a_reply_comes_with_what_it_took() -> None:
    reply, requests = ask(price={"prompt": 1.0, "completion": 10.0})
    cost = (script.PROMPT_TOKENS + 10 * script.COMPLETION_TOKENS) / 1e6
    assert reply == Reply(spelled("q"), usage=Usage(40, 10, cost, calls=1))
    assert requests == 1


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

UNUSABLE: dict[str, Act] = {
    "no choices": script.document({"choices": []}),
    "two choices": script.document({"choices": [script.completion("q")["choices"][0]] * 2}),
    "no document": script.document([]),
    "null": script.document(b"null"),
    "an error in a 200": script.document({"error": {"message": "overloaded"}}),
    "html in a 200": script.document(HTML),
    "bad utf-8": script.document(json.dumps(script.completion("q")).encode()[:-30] + b'\xff"}]}'),
    "a lone surrogate": script.says("\ud800"),
    "NaN in the document": script.document(b'{"choices": NaN}'),
    "truncated json": script.document(b'{"choices": [{"message": {"content": "ye'),
    "nothing": script.document(b""),
    "no content": script.choice(message={"role": "assistant", "content": None}),
    "empty content": script.says(""),
    "blank content": script.says(" \n"),
    "content in parts": script.choice(message={"content": [{"type": "text", "text": "yes"}]}),
    "a refusal": script.choice(message={"content": None, "refusal": "I cannot."}),
    "a refusal beside text": script.choice(message={"content": "yes", "refusal": "I cannot."}),
    "a call of a tool": script.choice(
        message={"content": None, "tool_calls": [{"id": "1"}]}, finish_reason="tool_calls"
    ),
    "text with a call of a tool": script.says("yes", finish_reason="tool_calls"),
    "cut off by its length": script.says('{"score": 1', finish_reason="length"),
    "filtered": script.says("yes", finish_reason="content_filter"),
    "unfinished": script.says("yes", finish_reason=None),
}


@pytest.mark.parametrize("act", UNUSABLE.values(), ids=UNUSABLE)
def test_a_reply_that_is_no_verdict_is_a_failure_and_is_not_paid_for_twice(act: Act) -> None:
    failure, requests = ask(act)
    assert isinstance(failure, Unusable)
    assert failure.code == "judge_failed"
    assert failure.retryable is False
    assert requests == 1


BROKEN: dict[str, tuple[Act, type[CallFailed]]] = {
    "429": (script.error(429, "rate_limit_exceeded"), Busy),
    "408": (script.status(408), Busy),
    "500": (script.status(500), ServerError),
    "502 in html": (script.status(502, HTML, "text/html"), ServerError),
    "503 with half a body": (script.status(503, b"x", content_length="100"), ServerError),
    "503 compressed": (
        script.status(503, gzip.compress(b"{}"), content_encoding="gzip"),
        ServerError,
    ),
    "500 without end": (script.endless_complaint, ServerError),
    "a reset before the reply": (script.reset, NoReply),
    "a hang": (script.hang, NoReply),
    "a drip of headers": (script.drip_head, NoReply),
    "no http": (script.not_http, NoReply),
}


@pytest.mark.slow
@pytest.mark.parametrize(("act", "kind"), BROKEN.values(), ids=BROKEN)
def test_what_no_reply_was_begun_for_is_asked_again(act: Act, kind: type[CallFailed]) -> None:
    reply, requests = ask(act, act, timeout_s=0.5)
    assert isinstance(reply, Reply)
    assert (reply.text, requests) == (spelled("q"), 3)
    failure, requests = ask(*[act] * 3, max_attempts=3, timeout_s=0.5)
    assert type(failure) is kind
    assert failure.retryable is True
    assert requests == 3


CUT_OFF: dict[str, Act] = {
    "a reset in the body": script.reset_mid_body,
    "an end in the body": script.close_mid_body,
    "a body that hangs": script.head_then_hang,
    "a body that drips": script.drip,
    "a body without end": script.flood,
    "a body too long": script.document(b'"' + b"x" * MAX_REPLY_BYTES + b'"'),
    "a compressed body": script.status(
        200, gzip.compress(b"{}"), "application/json", content_encoding="gzip"
    ),
}


@pytest.mark.parametrize("act", CUT_OFF.values(), ids=CUT_OFF)
def test_a_reply_that_was_begun_counts_as_paid_and_is_not_asked_again(act: Act) -> None:
    failure, requests = ask(act, timeout_s=0.5)
    assert type(failure) is CutOff
    assert failure.retryable is True
    assert requests == 1


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (script.error(400, "invalid_request_error"), "400 (invalid_request_error)"),
        (script.error(401, "invalid_api_key"), "401 (invalid_api_key)"),
        (script.error(404, "model_not_found"), "404 (model_not_found)"),
        (script.error(429, "insufficient_quota"), "429 (insufficient_quota)"),
        (script.error(403, "sk-123 is not allowed"), "403"),
        (script.status(307, location="http://127.0.0.1:9/"), "307"),
        (script.status(501), "501"),
    ],
)
def test_a_call_that_is_not_accepted_is_not_sent_again(act: Act, message: str) -> None:
    failure, requests = ask(act)
    assert type(failure) is Rejected
    assert str(failure) == f"the endpoint answered {message}"
    assert failure.retryable is False
    assert requests == 1


def test_an_endpoint_that_is_not_there_is_a_failure() -> None:
    async def go() -> None:
        async with chat_judge("http://127.0.0.1:9/v1", max_attempts=2) as judge:
            with pytest.raises(NotConnected, match="cannot be reached"):
                await judge.ask(asking("q"))

    asyncio.run(go())


# --- waiting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 3 "}, 3.0),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:09 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            9.0,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT",
                "date": "Wed, 21 Oct 2026 07:28:09 GMT",
            },
            0.0,
        ),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_alone_is_compared_with_our_clock() -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert retry_after_s({"retry-after": date}) == pytest.approx(60, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "0.3"},
        {"date": email.utils.formatdate(0), "retry_after": email.utils.formatdate(1)},
    ],
)
def test_the_endpoint_is_left_alone_for_as_long_as_it_asks(headers: dict[str, str]) -> None:
    started = time.monotonic()
    reply, requests = ask(script.error(429, "slow_down", **headers))
    assert isinstance(reply, Reply)
    assert requests == 2
    assert time.monotonic() - started >= 0.3


def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    with calling(deadline_s=5.0):
        failure, requests = ask(script.error(429, "slow_down", retry_after="3600"))
    assert type(failure) is Busy
    assert requests == 1


FRAGILE = {"max_attempts": 1, "open_circuit_after": 3, "circuit_cool_s": 0.4}


@pytest.mark.slow
def test_an_endpoint_that_keeps_failing_is_left_alone_and_tried_again() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint([script.status(500)] * 4) as endpoint,
            chat_judge(endpoint.url, **FRAGILE) as judge,
        ):
            for number in range(3):
                with pytest.raises(ServerError):
                    await judge.ask(asking(str(number)))
            assert judge.fault() == "its endpoint fails"
            with calling(deadline_s=0.1), pytest.raises(CircuitOpen, match="3 times in a row"):
                await judge.ask(asking("hurried"))
            with pytest.raises(ServerError):
                await judge.ask(asking("a trial"))
            with calling(deadline_s=0.1), pytest.raises(CircuitOpen, match="4 times in a row"):
                await judge.ask(asking("hurried"))
            assert (await judge.ask(asking("patient"))).text == spelled("patient")
            assert judge.fault() is None
            assert endpoint.questions == ["0", "1", "2", "a trial", "patient"]

    asyncio.run(go())


def test_a_short_outage_fails_none_of_those_who_wait() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint([script.status(500)] * 3) as endpoint,
            chat_judge(endpoint.url, **{**FRAGILE, "max_concurrency": 3}) as judge,
        ):
            asks = (judge.ask(asking(str(number))) for number in range(30))
            found = await asyncio.gather(*asks, return_exceptions=True)
            assert [isinstance(reply, Reply) for reply in found] == [False] * 3 + [True] * 27
            assert len(endpoint.received) == 30

    asyncio.run(go())


def test_calls_that_hung_while_others_were_answered_say_nothing_about_now() -> None:
    def choose(request: Request) -> Act:
        return script.hang if request.question.startswith("slow") else script.honest

    async def go() -> None:
        async with (
            ScriptedEndpoint(choose) as endpoint,
            chat_judge(endpoint.url, **FRAGILE, timeout_s=0.5) as judge,
        ):
            slow = asyncio.gather(
                *(judge.ask(asking(f"slow {number}")) for number in range(8)),
                return_exceptions=True,
            )
            await asyncio.sleep(0.2)
            await judge.ask(asking("fast"))
            assert {type(failure) for failure in await slow} == {NoReply}
            assert judge.fault() is None

    asyncio.run(go())


# --- keys ---------------------------------------------------------------------------------

SECRET = "sk-very-secret-0123456789"


@pytest.mark.parametrize("bypassed", ["", "judges.invalid"])
def test_calls_go_through_the_proxy_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, bypassed: str
) -> None:
    async def go() -> tuple[Reply | JudgeFailed, list[Request]]:
        async with ScriptedEndpoint() as proxy:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
            monkeypatch.setenv("no_proxy", bypassed)
            async with chat_judge("http://judges.invalid/v1", max_attempts=1) as judge:
                try:
                    return await judge.ask(asking("q")), proxy.received
                except JudgeFailed as failure:
                    return failure, proxy.received

    reply, received = asyncio.run(go())
    if bypassed:
        assert isinstance(reply, NotConnected)
        assert received == []
    else:
        assert isinstance(reply, Reply)
        assert [request.path for request in received] == [
            "http://judges.invalid/v1/chat/completions"
        ]


def test_a_proxy_that_is_none_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:70")
    with pytest.raises(SpecError, match="gopher"):
        Judges({"grader": settings(kind="chat", base_url="http://judges.invalid/v1", model="m")})


def test_the_key_goes_to_the_endpoint_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GRADER_KEY", SECRET)
    echoing = script.error(401, SECRET, f"Incorrect API key provided: {SECRET}")

    async def go() -> None:
        async with (
            ScriptedEndpoint([echoing]) as endpoint,
            chat_judge(endpoint.url, api_key_env="GRADER_KEY") as judge,
        ):
            with pytest.raises(Rejected) as caught:
                await judge.ask(asking("q"))
            assert endpoint.received[0].headers["authorization"] == f"Bearer {SECRET}"
            for text in (repr(caught.value), repr(judge), repr(judge._backend)):
                assert "secret" not in text
            assert "secret" not in repr(judge._backend._endpoint)  # type: ignore[attr-defined]

    asyncio.run(go())
    assert "secret" not in caplog.text


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "schlüssel"])
def test_a_key_that_is_not_there_is_a_fault_that_names_the_variable(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADER_KEY", value)

    async def go() -> None:
        async with (
            ScriptedEndpoint() as endpoint,
            chat_judge(endpoint.url, api_key_env="GRADER_KEY") as judge,
        ):
            assert judge.fault() == "the environment variable GRADER_KEY holds no key"
            with pytest.raises(Rejected, match="GRADER_KEY"):
                await judge.ask(asking("q"))
            assert endpoint.received == []

    asyncio.run(go())
