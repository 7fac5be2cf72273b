"""Requests and tokens a minute, and the pauses an endpoint asks for."""

from __future__ import annotations

import asyncio
import time

import pytest

from judges.llm.caller import calling
from judges.llm.failures import CapReached, GivenUp
from judges.llm.rate import Bucket, Rate
from tests.judges.llm.judging import chat_judge
from tests.judges.llm.scripted_endpoint import ScriptedEndpoint, asking


def test_a_bucket_lets_a_tenth_of_a_minute_through_and_the_rest_in_turn() -> None:
    bucket = Bucket(per_minute=600)
    waits = [bucket.take(1) for _ in range(63)]
    assert waits[:60] == [0.0] * 60
    assert waits[60:] == pytest.approx([0.1, 0.2, 0.3], abs=0.05)


def test_what_is_given_back_is_there_for_the_next() -> None:
    bucket = Bucket(per_minute=60)
    assert bucket.take(6) == 0
    bucket.give_back(5)
    assert bucket.take(5) == pytest.approx(0, abs=0.01)
    bucket.give_back(1e9)
    assert bucket.take(7) > 0, "no more than its size"


def test_a_wait_past_the_deadline_is_refused_and_takes_nothing() -> None:
    async def go() -> None:
        rate = Rate(requests_per_minute=10, tokens_per_minute=None)
        await rate.admit(0, None)
        for _ in range(3):
            with pytest.raises(GivenUp, match="rate limit"):
                await rate.admit(0, time.monotonic() + 1)
        waiting = asyncio.create_task(rate.admit(0, None))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert rate._requests is not None
        assert rate._requests.take(1) < 6.1, "the debt of one, not of five"

    asyncio.run(go())


def test_tokens_are_corrected_by_what_a_call_took() -> None:
    async def go() -> None:
        rate = Rate(None, tokens_per_minute=600)
        await rate.admit(60, None)
        with pytest.raises(GivenUp):
            await rate.admit(50, time.monotonic() + 1)
        rate.used(60, 10)
        await rate.admit(50, time.monotonic() + 1)

    asyncio.run(go())


def test_a_refused_run_takes_nothing_of_the_rate_of_others() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint() as endpoint,
            chat_judge(endpoint.url, requests_per_minute=20, run_cap={"calls": 1}) as judge,
        ):
            with calling(run="poor"):
                await judge.ask(asking("0"))
                for number in range(50):
                    with pytest.raises(CapReached):
                        await judge.ask(asking(str(number + 1)))
            with calling(run="rich", deadline_s=1):
                await judge.ask(asking("1"))

    asyncio.run(go())


def test_calls_under_way_are_bounded() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.01) as endpoint,
            chat_judge(endpoint.url, max_concurrency=3) as judge,
        ):
            await asyncio.gather(*(judge.ask(asking(str(number))) for number in range(30)))
            assert endpoint.most_at_once == 3

    asyncio.run(go())
