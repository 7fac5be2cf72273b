"""Faults one by one: what is tried again, what is refused, what is not believed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from tests.trainer_client.scripted_server import (
    QUICK,
    Act,
    Received,
    ScriptedServer,
    client_of,
    close_mid_body,
    drip,
    envelope,
    hang,
    hang_up,
    head_then_hang,
    honest,
    honest_scores,
    not_http,
    numbers,
    problem,
    reply,
    reset_mid_body,
    rewards,
    samples,
    scores,
)
from trainer_client import AsyncRewardClient, ProtocolError, RequestRefused, ServiceUnreachable
from trainer_client.wire import Failure

# --- what may pass is tried again -------------------------------------------------------

TRANSIENT: dict[str, Act] = {
    "hangs up": hang_up,
    "resets mid-body": reset_mid_body,
    "closes mid-body": close_mid_body,
    "sends the header, then hangs": head_then_hang,
    "never answers": hang,
    "drips": drip,
    "does not speak HTTP": not_http,
    "408": reply(408),
    "429 without a word": reply(429),
    "429 in seconds": problem(429, "queue_full", retryable=True, headers={"retry_after": "0"}),
    "429 by date": reply(429, retry_after=formatdate(usegmt=True)),
    "502 in HTML": reply(502, b"<h1>Bad Gateway</h1>", "text/html"),
    "503 draining": problem(503, "draining", retryable=True, headers={"retry_after": "0"}),
    "503 with a broken problem": reply(503, b'{"retry', "application/problem+json"),
    "504": reply(504),
    "500 that says it may pass": problem(500, "internal", retryable=True),
    "409 that says it may pass": problem(409, "in_progress", retryable=True),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_that_may_pass_is_tried_again_under_the_same_key(fault: Act) -> None:
    with (
        ScriptedServer([fault, fault]) as server,
        client_of(server, request_timeout_s=0.15) as client,
    ):
        assert rewards(client.score(samples(3), "number")) == numbers(3)
    assert len(server.received) >= 3
    assert len({(request.key, request.body) for request in server.received}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "1"},
        {"retry_after": "Sat, 06 Jan 2001 00:00:01 GMT", "date": "Sat, 06 Jan 2001 00:00:00 GMT"},
    ],
    ids=["seconds", "date by the service's clock"],
)
def test_retry_after_is_honoured(headers: dict[str, str]) -> None:
    with ScriptedServer([reply(429, **headers)]) as server, client_of(server) as client:
        client.score(samples(1), "number")
    first, second = server.received
    assert second.at - first.at >= 1.0


def test_a_wait_beyond_the_patience_is_not_begun() -> None:
    fault = problem(503, "lane_down", retryable=True, headers={"retry_after": "3600"})
    with (
        ScriptedServer([fault]) as server,
        client_of(server, max_outage_s=60) as client,
        pytest.raises(ServiceUnreachable, match=r"503 lane_down.*asks to wait 3600 s"),
    ):
        client.score(samples(1), "number")
    assert len(server.received) == 1


def test_a_busy_service_that_answers_others_is_waited_for() -> None:
    async def pauses() -> None:
        async with AsyncRewardClient("http://x", max_outage_s=10, retry=QUICK) as client:
            long_ago = -1e6
            with pytest.raises(ServiceUnreachable):
                client._pause_s(Failure("429", busy=True), 0, long_ago)
            client._answered_at = time.monotonic()
            assert client._pause_s(Failure("429", busy=True), 0, long_ago) <= QUICK.base_s
            with pytest.raises(ServiceUnreachable):
                client._pause_s(Failure("reset"), 0, long_ago)

    asyncio.run(pauses())


def test_retries_leave_the_global_random_state_alone() -> None:
    random.seed(7)
    before = random.getstate()
    with ScriptedServer([hang_up] * 5) as server, client_of(server) as client:
        client.score(samples(1), "number")
    assert random.getstate() == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_two_hundred_batches_under_faults_lose_nothing_and_invent_nothing(seed: int) -> None:
    """Every request fails with probability 0.3, in one of the ways that may pass."""
    dice = random.Random(seed)
    faults = list(TRANSIENT.values())

    def choose(_: Received) -> Act:
        return dice.choice(faults) if dice.random() < 0.3 else honest

    with (
        ScriptedServer(choose) as server,
        client_of(server, batch_size=8, concurrency=16, request_timeout_s=0.2) as client,
    ):
        assert rewards(client.score(samples(1600), "number")) == numbers(1600)
    bodies: dict[str, set[bytes]] = {}
    for request in server.received:
        bodies.setdefault(request.key, set()).add(request.body)
    assert len(bodies) == 200, "one key a batch"
    assert all(len(alike) == 1 for alike in bodies.values())
    assert len(server.received) > 240


# --- what will not pass is raised at once -----------------------------------------------

REFUSALS: dict[str, tuple[Act, int, str]] = {
    "400": (problem(400, "not_json", retryable=False), 400, "not_json"),
    "401": (problem(401, "missing_key", retryable=False), 401, "missing_key"),
    "404 in text": (reply(404), 404, "http_404"),
    "413": (problem(413, "body_too_large", retryable=False), 413, "body_too_large"),
    "500 in HTML": (reply(500, b"<h1>oops</h1>", "text/html"), 500, "http_500"),
    "501": (reply(501), 501, "http_501"),
    "503 for good": (problem(503, "disabled", retryable=False), 503, "disabled"),
    "a redirect": (reply(307, location="http://127.0.0.1:1/"), 307, "http_307"),
}


@pytest.mark.parametrize(("act", "status", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_raised_after_one_request(act: Act, status: int, code: str) -> None:
    with (
        ScriptedServer([act]) as server,
        client_of(server) as client,
        pytest.raises(RequestRefused) as caught,
    ):
        client.score(samples(1), "number")
    assert (caught.value.status, caught.value.code) == (status, code)
    assert len(server.received) == 1


def test_a_refusal_names_the_fields_and_the_sample_they_lie_in() -> None:
    errors = [
        {"field": "samples.1.completion", "message": "Field required"},
        {"field": "samples.99999999999.completion", "message": "is far off"},
        {"field": "scorer.type", "message": "no scorer is called 'numbre'"},
        "gibberish",
    ]
    refusal = problem(422, "invalid_request", retryable=False, errors=errors)

    def choose(request: Received) -> Act:
        return refusal if "2" in request.ids else honest

    with (
        ScriptedServer(choose) as server,
        client_of(server, batch_size=2) as client,
        pytest.raises(RequestRefused) as caught,
    ):
        client.score(samples(4), "numbre")
    first, far, second = caught.value.faults
    assert (first.field, first.sample_id) == ("samples.1.completion", "3")
    assert (second.field, second.sample_id) == ("scorer.type", None)
    assert far.sample_id is None
    assert caught.value.detail == "for a test"
    assert str(caught.value) == "422 invalid_request: for a test; sample '3'; request r9"


def test_one_refused_batch_ends_the_call_and_the_requests_in_flight() -> None:
    refusal = problem(422, "invalid_request", retryable=False)

    def choose(request: Received) -> Act:
        return refusal if request.ids == ["0"] else hang

    with ScriptedServer(choose) as server, client_of(server, batch_size=1) as client:
        future = client.submit(samples(4), "number")
        with pytest.raises(RequestRefused):
            future.result(10)
        assert server.client_left.wait(10)


def without(name: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda items: items[0].pop(name)


def with_member(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda items: items[0].update({name: value})


def raw(change: Callable[[bytes], bytes], media_type: str = "application/json") -> Act:
    """The honest body, changed byte by byte."""

    async def act(request: Received, writer: asyncio.StreamWriter) -> None:
        body = change(envelope(honest_scores(request)))
        await reply(200, body, media_type)(request, writer)

    return act


A_FAILURE = {"code": "internal", "message": "m", "retryable": False}

BROKEN: dict[str, Act] = {
    "one score too few": scores(lambda items: items[1:]),
    "one score too many": scores(lambda items: [*items, items[0]]),
    "no scores": scores(lambda _: []),
    "two swapped": scores(lambda items: items[::-1]),
    "the same score twice": scores(lambda items: [items[0], items[0]]),
    "an id of another kind": scores(with_member("id", 0)),
    "neither reward nor error": scores(with_member("reward", None)),
    "no reward at all": scores(without("reward")),
    "both reward and error": scores(with_member("error", A_FAILURE)),
    "NaN": raw(lambda body: body.replace(b'"reward": 0.0', b'"reward": NaN')),
    "-Infinity": raw(lambda body: body.replace(b'"reward": 0.0', b'"reward": -Infinity')),
    "an infinity in disguise": raw(lambda body: body.replace(b": 0.0", b": 1e999", 1)),
    "an integer beyond floats": raw(lambda body: body.replace(b": 0.0", b": 1" + b"0" * 400, 1)),
    "NaN among the details": raw(lambda b: b.replace(b'"details": {}', b'"details": {"x": NaN}')),
    "a reward in words": scores(with_member("reward", "1.0")),
    "a reward that is true": scores(with_member("reward", True)),
    "an error in words": scores(lambda items: items[0].update(reward=None, error="failed")),
    "an error without a code": scores(lambda items: items[0].update(reward=None, error={})),
    "a component in words": scores(with_member("components", {"a": "1"})),
    "an infinite component": raw(lambda b: b.replace(b'ents": {}', b'ents": {"a": 1e999}', 1)),
    "a scorer without a digest": scores(with_member("scorer", {"name": "n", "version": "1"})),
    "a score that is a number": scores(lambda _: [1.0, 2.0]),
    "truncated JSON": raw(lambda body: body[:-20]),
    "invalid UTF-8": raw(lambda body: body.replace(b"correct", b"corr\xff\xfe")),
    "UTF-16": raw(lambda body: body.decode().encode("utf-16")),
    "a thousand brackets": raw(lambda _: b"[" * 100_000),
    "an empty body": raw(lambda _: b""),
    "a list": raw(lambda _: b"[]"),
    "no member scores": raw(lambda _: b'{"results": []}'),
    "HTML": reply(200, b"<h1>Welcome</h1>", "text/html"),
    "JSON declared as text": raw(lambda body: body, media_type="text/plain"),
    "gzip that is none": reply(200, b"nope", "application/json", content_encoding="gzip"),
    "no content": reply(204),
}


@pytest.mark.parametrize("act", BROKEN.values(), ids=BROKEN.keys())
def test_a_reply_that_breaks_the_contract_is_an_error_and_never_a_reward(act: Act) -> None:
    with (
        ScriptedServer([act]) as server,
        client_of(server) as client,
        pytest.raises(ProtocolError),
    ):
        client.score(samples(2), "number")
    assert len(server.received) == 1
