"""What the client does when the service is well, ill, restarting or gone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer_client.scripted_server import (
    QUICK,
    ScriptedServer,
    client_of,
    failed,
    hang,
    hang_up,
    honest,
    later,
    numbers,
    problem,
    rewards,
    samples,
    scores,
)
from trainer_client import (
    AsyncRewardClient,
    ClientClosed,
    Outage,
    RequestRefused,
    Retry,
    RewardClient,
    ServiceUnreachable,
    Unscored,
)

# --- a service that is well -------------------------------------------------------------


def test_a_score_carries_all_that_the_service_said() -> None:
    def enrich(items: list[dict[str, Any]]) -> None:
        items[0] |= {"components": {"format": 1, "length": 0.5}, "details": {"method": "x"}}
        items[0] |= {"cached": True, "elapsed_ms": 2, "a_later_member": []}

    with ScriptedServer([scores(enrich)]) as server, client_of(server) as client:
        [score] = client.score([{"id": "p7/0", "completion": "42"}], "number")
    assert score.scored
    assert score.reward_or_raise() == 42.0
    assert (score.id, score.error, score.outcome, score.answer) == ("p7/0", None, "correct", "42")
    assert score.components == {"format": 1.0, "length": 0.5}
    assert score.details == {"method": "x"}
    assert score.scorer is not None
    assert (score.scorer.name, score.scorer.version, score.scorer.digest) == ("number", "1", "9f2c")
    assert (score.elapsed_ms, score.cached) == (2.0, True)


def test_the_request_says_what_the_caller_said() -> None:
    sample = {"id": "é", "prompt": [{"role": "user", "content": "🙂"}], "completion": "1"}
    with ScriptedServer() as server, client_of(server) as client:
        client.score([sample], {"type": "math", "x": 1}, run="r", deadline_s=2)
        client.score([sample], "math")
    first, second = server.received
    assert first.document == {
        "scorer": {"type": "math", "x": 1}, "run": "r", "deadline_s": 2, "samples": [sample],
    }  # fmt: skip
    assert second.document == {"scorer": "math", "deadline_s": 54.0, "samples": [sample]}
    assert first.headers["content-type"] == "application/json"


def test_no_samples_need_no_request() -> None:
    with ScriptedServer() as server, client_of(server) as client:
        assert client.score([], "number") == []
    assert server.received == []


def test_batches_have_the_size_asked_for_and_a_key_each() -> None:
    with ScriptedServer() as server, client_of(server, batch_size=4) as client:
        assert rewards(client.score(samples(10), "number")) == numbers(10)
    assert sorted(len(request.ids) for request in server.received) == [2, 4, 4]
    assert len(set(server.keys)) == 3


def test_samples_without_an_id_get_their_index_in_the_call() -> None:
    given = samples(5)
    given[1]["id"] = "mine"
    with ScriptedServer() as server, client_of(server, batch_size=2) as client:
        found = client.score(given, "number")
    assert [score.id for score in found] == ["0", "mine", "2", "3", "4"]
    assert "id" not in given[0], "the caller's samples are left alone"


@pytest.fixture(scope="module")
def shuffling_server() -> Iterator[ScriptedServer]:
    """Answers after seeded delays, so that batches finish in any order."""
    delays = random.Random(0)
    with ScriptedServer(lambda _: later(delays.uniform(0, 0.004))) as server:
        yield server


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 60), batch_size=st.integers(1, 20), concurrency=st.integers(1, 10))
def test_scores_have_the_order_of_the_samples(
    shuffling_server: ScriptedServer, count: int, batch_size: int, concurrency: int
) -> None:
    options = {"batch_size": batch_size, "concurrency": concurrency}
    with client_of(shuffling_server, **options) as client:
        assert rewards(client.score(samples(count), "number")) == numbers(count)


def test_concurrency_is_bounded_over_all_calls_and_threads_and_connections_are_kept() -> None:
    with (
        ScriptedServer(lambda _: later(0.01)) as server,
        client_of(server, batch_size=5, concurrency=3) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        found = list(threads.map(lambda _: client.score(samples(20), "number"), range(8)))
    assert all(rewards(one) == numbers(20) for one in found)
    assert server.most_at_once == 3
    assert len(server.received) == 32
    assert server.connections <= 3


def test_submitted_work_is_scored_while_the_caller_goes_on() -> None:
    with ScriptedServer() as server, client_of(server, batch_size=2) as client:
        given = samples(4)
        futures = [client.submit(given, "number") for _ in range(3)]
        given.clear()  # the samples were read when submit returned
        assert [rewards(future.result(10)) for future in futures] == [numbers(4)] * 3


def test_the_asynchronous_client_is_the_same() -> None:
    async def main(url: str) -> list[Any]:
        async with AsyncRewardClient(url, batch_size=2, retry=QUICK) as client:
            await client.wait_until_ready()
            assert await client.ready()
            assert await client.scorers() == [{"name": "number"}]
            return await asyncio.gather(
                client.score(samples(5), "number"), client.score(samples(3), "number")
            )

    with ScriptedServer([hang_up]) as server:
        found = asyncio.run(main(server.url))
    assert [rewards(one) for one in found] == [numbers(5), numbers(3)]


def test_a_path_in_the_address_is_kept() -> None:
    def choose(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/assay/v1/scorers"
        return httpx.Response(200, json={"scorers": []})

    with RewardClient("http://host/assay/", transport=httpx.MockTransport(choose)) as client:
        assert client.scorers() == []


# --- samples that could not be scored ---------------------------------------------------


def test_only_the_samples_whose_error_may_pass_are_sent_again() -> None:
    def first(items: list[dict[str, Any]]) -> None:
        items[1] = failed(items[1], "deadline_exceeded", retryable=True)
        items[2] = failed(items[2], "invalid_reference", retryable=False)
        items[4] = failed(items[4], "shutting_down", retryable=True)

    with ScriptedServer([scores(first)]) as server, client_of(server) as client:
        found = client.score(samples(5), "number", run="r")
    assert rewards(found) == [0.0, 1.0, None, 3.0, 4.0]
    assert found[2].error is not None
    assert found[2].error.code == "invalid_reference"
    again = server.received[1]
    assert again.ids == ["1", "4"]
    assert again.document["run"] == "r"
    assert again.key != server.received[0].key


def test_a_sample_that_keeps_failing_comes_back_unscored() -> None:
    def fail(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [failed(i, "deadline_exceeded", retryable=True) if i["id"] == "1" else i
                for i in items]  # fmt: skip

    with (
        ScriptedServer(lambda _: scores(fail)) as server,
        client_of(server, retry=Retry(0.001, 0.001, resubmissions=3)) as client,
    ):
        found = client.score(samples(2), "number")
    assert rewards(found) == [0.0, None]
    assert not found[1].scored
    with pytest.raises(Unscored, match="sample '1' is unscored: deadline_exceeded: not today"):
        found[1].reward_or_raise()
    assert len(set(server.keys)) == len(server.keys) == 4


def test_a_reply_may_take_as_long_as_the_deadline_allows() -> None:
    with (
        ScriptedServer(lambda _: later(0.2)) as server,
        client_of(server, request_timeout_s=0.01, max_outage_s=0) as client,
    ):
        assert rewards(client.score(samples(1), "number", deadline_s=5)) == [0.0]
        with pytest.raises(ServiceUnreachable, match=r"no reply within 0\.01 s"):
            client.score(samples(1), "number")


# --- outages ----------------------------------------------------------------------------


def test_a_restarting_service_is_waited_for_and_the_outage_is_told() -> None:
    told: list[Outage] = []
    begun = threading.Event()

    def tell(outage: Outage) -> None:
        told.append(outage)
        begun.set()

    server = ScriptedServer()
    with server, client_of(server, on_outage=tell, batch_size=1) as client:
        client.wait_until_ready()
        server.stop()
        assert not client.ready()
        future = client.submit(samples(20), "number")
        assert begun.wait(10)
        server.start()
        assert rewards(future.result(10)) == numbers(20)
    began, ended = told
    assert (began.url, began.over, began.duration_s) == (server.url, False, 0.0)
    assert "ConnectError" in began.reason
    assert (ended.over, ended.reason) == (True, began.reason)
    assert ended.duration_s > 0


def test_a_service_that_is_gone_is_named_with_how_long_and_why() -> None:
    with ScriptedServer() as server:
        url = server.url
    with RewardClient(url, max_outage_s=0.1, retry=QUICK) as client:
        for call in (client.wait_until_ready, lambda: client.score(samples(1), "number")):
            with pytest.raises(ServiceUnreachable) as caught:
                call()
            error = caught.value
            assert error.url == url
            assert error.duration_s >= 0.1
            assert error.reason.startswith("ConnectError")
            assert f"no answer from the reward service at {url} for " in str(error)
            assert "; last: ConnectError" in str(error)
            assert "Check that it runs there" in str(error)


def test_a_busy_service_is_no_outage() -> None:
    told: list[Outage] = []
    with (
        ScriptedServer([problem(429, "queue_full", retryable=True)] * 3) as server,
        client_of(server, on_outage=told.append) as client,
    ):
        client.score(samples(1), "number")
    assert told == []


def test_a_listener_that_fails_or_waits_for_the_client_costs_no_scores(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def wait_for_oneself(_: Outage) -> None:
        client.ready()

    with (
        ScriptedServer([hang_up]) as server,
        client_of(server, on_outage=wait_for_oneself) as client,
    ):
        assert rewards(client.score(samples(2), "number")) == numbers(2)
    assert "on_outage must not wait" in caplog.text


def test_a_lane_that_is_down_is_not_ready_and_a_wrong_address_says_so() -> None:
    replies = iter([httpx.Response(503), httpx.Response(404)])
    with RewardClient(
        "http://x", transport=httpx.MockTransport(lambda _: next(replies)), retry=QUICK
    ) as client:
        assert not client.ready()
        with pytest.raises(RequestRefused, match="404"):
            client.wait_until_ready()


# --- leaving ----------------------------------------------------------------------------


def test_cancelling_the_future_cancels_the_requests_in_flight() -> None:
    with ScriptedServer([hang]) as server, client_of(server) as client:
        future = client.submit(samples(2), "number")
        assert server.begun.wait(10)
        assert future.cancel()
        assert server.client_left.wait(10)
        with pytest.raises(CancelledError):
            future.result(10)
        assert rewards(client.score(samples(2), "number")) == numbers(2)


@pytest.mark.slow
def test_an_interrupted_caller_cancels_its_requests() -> None:
    def interrupt(server: ScriptedServer) -> None:
        server.begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    with ScriptedServer([hang]) as server, client_of(server) as client:
        threading.Thread(target=interrupt, args=(server,)).start()
        with pytest.raises(KeyboardInterrupt):
            client.score(samples(1), "number")
        assert server.client_left.wait(10)


def test_cancelling_the_call_cancels_the_requests_in_flight() -> None:
    async def main(server: ScriptedServer) -> None:
        async with AsyncRewardClient(server.url, batch_size=1, retry=QUICK) as client:
            call = asyncio.create_task(client.score(samples(3), "number"))
            await asyncio.to_thread(server.begun.wait, 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.to_thread(server.client_left.wait, 10)
            assert rewards(await client.score(samples(3), "number")) == numbers(3)

    with ScriptedServer([hang] * 3) as server:
        asyncio.run(main(server))


def test_cancelled_requests_take_no_place_from_later_ones() -> None:
    """Cancelled again and again at any moment, the client still has all its slots."""
    with (
        ScriptedServer(lambda _: later(0.002)) as server,
        client_of(server, batch_size=1, concurrency=2) as client,
    ):
        dice = random.Random(3)
        for _ in range(40):
            future = client.submit(samples(4), "number")
            try:
                future.result(dice.uniform(0, 0.006))
            except TimeoutError:
                future.cancel()
        assert rewards(client.score(samples(8), "number")) == numbers(8)


def test_closing_ends_calls_in_flight_with_a_word() -> None:
    with ScriptedServer(lambda _: hang) as server:
        client = client_of(server, batch_size=1, concurrency=2)
        futures = [client.submit(samples(3), "number") for _ in range(3)]
        assert server.begun.wait(10)
        client.close()
        for future in futures:
            with pytest.raises(ClientClosed):
                future.result(10)
        assert server.client_left.wait(10)
        client.close()
        with pytest.raises(ClientClosed):
            client.score(samples(1), "number")


def test_closing_while_the_service_is_gone_ends_at_once() -> None:
    with ScriptedServer() as server:
        url = server.url
    begun = threading.Event()
    slow = Retry(base_s=3_600, max_s=3_600)
    client = RewardClient(url, retry=slow, on_outage=lambda _: begun.set())
    future = client.submit(samples(1), "number")
    assert begun.wait(10)
    client.close()
    with pytest.raises(ClientClosed):
        future.result(10)


def test_closing_the_asynchronous_client_ends_its_calls_too() -> None:
    async def main(server: ScriptedServer) -> None:
        client = AsyncRewardClient(server.url)
        call = asyncio.create_task(client.score(samples(1), "number"))
        await asyncio.to_thread(server.begun.wait, 10)
        await client.close()
        with pytest.raises(ClientClosed):
            await call
        with pytest.raises(ClientClosed):
            await client.scorers()

    with ScriptedServer([hang]) as server:
        asyncio.run(main(server))


def test_a_forked_process_is_told_to_make_its_own_client() -> None:
    program = """
import os, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads, as they should
from trainer_client import ClientClosed, RewardClient
client = RewardClient("http://127.0.0.1:9")
if os.fork() == 0:
    try:
        client.ready()
    except ClientClosed:
        client.close()
        os._exit(42)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 42
client.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- keys and addresses -----------------------------------------------------------------


def test_the_key_is_sent_and_never_shown() -> None:
    refusal = problem(403, "wrong_key", retryable=False)
    with (
        ScriptedServer([honest, refusal]) as server,
        client_of(server, api_key="s3cret") as client,
        client_of(server) as keyless,
    ):
        client.score(samples(1), "number")
        with pytest.raises(RequestRefused) as caught:
            client.score(samples(1), "number")
        keyless.score(samples(1), "number")
        shown = f"{client!r} {client._core!r} {caught.value!r} {caught.value}"
    assert server.received[0].headers["authorization"] == "Bearer s3cret"
    assert "authorization" not in server.received[2].headers
    assert "s3cret" not in shown
    assert repr(client) == (
        f"RewardClient({server.url!r}, api_key='[secret]', batch_size=128, concurrency=8)"
    )


def test_a_password_in_the_address_is_never_shown() -> None:
    with RewardClient("http://me:s3cret@127.0.0.1:1", max_outage_s=0) as client:
        with pytest.raises(ServiceUnreachable) as caught:
            client.score(samples(1), "number")
        assert "s3cret" not in f"{client!r} {caught.value!r}"
        assert caught.value.url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "ftp://host"},
        {"url": "http://"},
        {"api_key": "two words"},
        {"api_key": "newline\n"},
        {"api_key": "schlüssel"},
        {"batch_size": 0},
        {"concurrency": 0},
    ],
)
def test_nonsense_is_refused_when_the_client_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"address|API key|at least 1") as caught:
        RewardClient(**{"url": "http://x", **options})
    assert str(options.get("api_key")) not in str(caught.value)


def test_an_environment_proxy_is_not_asked_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with ScriptedServer() as server, client_of(server, max_outage_s=0) as client:
        assert rewards(client.score(samples(1), "number")) == [0.0]
