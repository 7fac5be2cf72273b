"""The client against the real service: in this process, and over a socket that breaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.app.conftest import served
from trainer_client import AsyncRewardClient, Outage, RequestRefused, RewardClient, Score

pytestmark = pytest.mark.slow

T = TypeVar("T")


def with_app(use: Callable[[AsyncRewardClient], Awaitable[T]], **settings: Any) -> T:
    """Runs `use` with a client of a service that has these settings."""

    async def main() -> T:
        app = create_app(Settings(**{"cpu_workers": 1, **settings}))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            AsyncRewardClient("http://app", transport=transport, batch_size=10) as client,
        ):
            return await use(client)

    return asyncio.run(main())


def reversals(count: int) -> list[dict[str, Any]]:
    """Samples of string reversal, every third one wrong."""
    dice = random.Random(count)
    texts = ["".join(dice.choices("abcdefgh é🙂", k=9)).strip() + "z" for _ in range(count)]
    return [
        {"completion": text[::-1] if index % 3 else "wrong", "reference": text}
        for index, text in enumerate(texts)
    ]


def expected(count: int) -> list[float]:
    return [float(index % 3 > 0) for index in range(count)]


def rewards(scores: list[Score]) -> list[float | None]:
    return [score.reward for score in scores]


def test_the_service_scores_what_the_client_sends() -> None:
    async def use(client: AsyncRewardClient) -> list[Score]:
        await client.wait_until_ready()
        return await client.score(reversals(64), "string_reversal", run="r", deadline_s=30)

    scores = with_app(use)
    assert rewards(scores) == expected(64)
    assert [score.id for score in scores] == [str(index) for index in range(64)]
    assert {score.outcome for score in scores} == {"correct", "incorrect"}
    [identity] = {score.scorer for score in scores}
    assert identity is not None
    assert identity.name == "string_reversal"


def test_every_example_of_the_service_scores_as_a_sample_of_the_client() -> None:
    async def use(client: AsyncRewardClient) -> list[tuple[float | None, float]]:
        scorers = await client.scorers()
        scores = await client.score([scorer["example"] for scorer in scorers], "string_reversal")
        ranges = [scorer["reward_range"][1] for scorer in scorers]
        return list(zip(rewards(scores), ranges, strict=True))

    found = with_app(use)
    assert found
    assert all(reward == highest for reward, highest in found)


def test_an_unusable_reference_is_unscored_and_harms_no_neighbour() -> None:
    given = reversals(12)
    given[4]["reference"] = {"not": "text"}

    scores = with_app(lambda client: client.score(given, "string_reversal"))
    assert [score.id for score in scores if not score.scored] == ["4"]
    assert scores[4].error is not None
    assert (scores[4].error.code, scores[4].error.retryable) == ("invalid_reference", False)


def test_a_refused_request_says_why_and_where() -> None:
    given = reversals(12)
    given[11]["completions"] = given[11].pop("completion")

    async def use(client: AsyncRewardClient) -> tuple[RequestRefused, RequestRefused]:
        with pytest.raises(RequestRefused) as malformed:
            await client.score(given, "string_reversal")
        with pytest.raises(RequestRefused) as unknown:
            await client.score(reversals(1), "string_reversl")
        return malformed.value, unknown.value

    malformed, unknown = with_app(use)
    assert malformed.status == 422
    assert malformed.request_id
    assert {fault.sample_id for fault in malformed.faults} == {"11"}
    assert (unknown.status, unknown.code) == (404, "unknown_scorer")
    assert "string_reversal" in unknown.detail


def test_a_wrong_key_is_refused() -> None:
    async def use(client: AsyncRewardClient) -> RequestRefused:
        with pytest.raises(RequestRefused) as caught:
            await client.score(reversals(1), "string_reversal")
        return caught.value

    refused = with_app(use, api_keys=("right",))
    assert (refused.status, refused.code) == (401, "missing_key")


def test_a_service_killed_in_the_middle_costs_time_and_no_rewards() -> None:
    told: list[Outage] = []
    with served() as first:
        port = first.url.rpartition(":")[2]
        client = RewardClient(first.url, batch_size=50, on_outage=told.append)
        client.wait_until_ready()
        before = client.submit(reversals(40), "string_reversal")
        assert rewards(before.result(30)) == expected(40)
        during = client.submit(reversals(4_000), "string_reversal")
    with client, served("--port", port):
        assert rewards(during.result(30)) == expected(4_000)
    assert [outage.over for outage in told] == [False, True]
