"""Caps are never passed, whoever asks at the same time, and however calls end."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from judges.llm.base import Reply, Usage
from judges.llm.budget import Budget, Cap
from judges.llm.caller import Caller, calling
from judges.llm.failures import CapReached, GivenUp
from judges.llm.store import Store
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import chat_judge
from tests.judges.llm.scripted_endpoint import ScriptedEndpoint, asking
from verifiers.errors import JudgeFailed

TOKENS = script.PROMPT_TOKENS + script.COMPLETION_TOKENS
PRICE = {"prompt": 1.0, "completion": 10.0}
COST = (script.PROMPT_TOKENS + 10 * script.COMPLETION_TOKENS) / 1e6


def ask_many(count: int, *acts: script.Act, **members: Any) -> tuple[list[Any], ScriptedEndpoint]:
    """What many different questions at once come to."""

    async def go() -> tuple[list[Any], ScriptedEndpoint]:
        async with (
            ScriptedEndpoint(acts, latency_s=0.005) as endpoint,
            chat_judge(endpoint.url, **members) as judge,
        ):
            asks = (judge.ask(asking(str(number), max_tokens=10)) for number in range(count))
            return await asyncio.gather(*asks, return_exceptions=True), endpoint

    return asyncio.run(go())


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["run_cap", "key_cap"])
@pytest.mark.parametrize(
    ("cap", "affords"),
    [
        ({"calls": 20}, 20),
        # A call reserves more than it takes; the last ones do not fit any more.
        ({"tokens": 40 * TOKENS}, range(20, 41)),
        ({"cost": 40 * COST}, range(20, 41)),
        ({"calls": 30, "cost": 1.0}, 30),
        ({"calls": 0}, 0),
    ],
)
def test_many_at_once_spend_up_to_the_cap_and_not_over_it(
    scope: str, cap: dict[str, float], affords: int | range
) -> None:
    found, endpoint = ask_many(100, price=PRICE, **{scope: cap})
    replies = [reply for reply in found if isinstance(reply, Reply)]
    refused = [failure for failure in found if isinstance(failure, CapReached)]
    assert len(replies) + len(refused) == 100
    assert all(failure.retryable is False for failure in refused)
    assert len(replies) == len(endpoint.received)
    assert len(replies) == affords if isinstance(affords, int) else len(replies) in affords
    assert sum(reply.usage.tokens for reply in replies) <= cap.get("tokens", 1e9)
    assert sum(reply.usage.cost for reply in replies) <= cap.get("cost", 1e9)


def test_what_cannot_have_cost_anything_is_returned_and_the_rest_is_not() -> None:
    """Of 600 tokens, three free failures leave room that one possibly paid one takes."""
    cap = {"tokens": 1_500}
    found, _ = ask_many(1, *[script.status(500)] * 3, run_cap=cap)
    assert isinstance(found[0], Reply)
    found, _ = ask_many(1, *[script.reset] * 3, run_cap=cap)
    assert isinstance(found[0], CapReached)


def test_runs_and_keys_have_purses_of_their_own() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint() as endpoint,
            chat_judge(endpoint.url, run_cap={"calls": 1}, key_cap={"calls": 2}) as judge,
        ):
            with calling(run="a", api_key="k1"):
                await judge.ask(asking("1"))
                with pytest.raises(
                    CapReached, match="this run may spend no more than 1 calls here"
                ):
                    await judge.ask(asking("2"))
            with calling(run="b", api_key="k1"):
                await judge.ask(asking("2"))
            with (
                calling(run="c", api_key="k1"),
                pytest.raises(CapReached, match="this key may spend no more than 2 calls here"),
            ):
                await judge.ask(asking("3"))
            with calling(run="c", api_key="k2"):
                await judge.ask(asking("3"))

    asyncio.run(go())


def test_a_restart_refills_nothing(tmp_path: Path) -> None:
    async def go(question: str) -> None:
        async with (
            ScriptedEndpoint() as endpoint,
            chat_judge(endpoint.url, tmp_path / "judges.db", run_cap={"calls": 1}) as judge,
        ):
            await judge.ask(asking(question))

    asyncio.run(go("1"))
    with pytest.raises(CapReached):
        asyncio.run(go("2"))


SPENDER = """
import asyncio, sys
from pathlib import Path
from judges.llm.base import Usage
from judges.llm.budget import Budget, Cap
from judges.llm.caller import Caller
from judges.llm.failures import CapReached
from judges.llm.store import Store

async def go():
    store = Store(Path(sys.argv[1]))
    budget = Budget(store, "grader", run=Cap(tokens=1_000))
    spent = 0
    try:
        while True:
            reserved = await budget.reserve(Caller("r"), Usage(10, calls=1))
            spent += 7
            await budget.settle(reserved, Usage(7, calls=1))
    except CapReached:
        print(spent)
    await store.close()

asyncio.run(go())
"""


def test_processes_that_share_a_file_share_the_cap(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPENDER, str(tmp_path / "judges.db")]
    spenders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    spent = sum(int(spender.communicate(timeout=60)[0]) for spender in spenders)
    assert 980 <= spent <= 1_000


def test_a_crash_leaves_what_was_reserved_spent(tmp_path: Path) -> None:
    async def crash() -> None:
        store = Store(tmp_path / "judges.db")
        await Budget(store, "j", run=Cap(tokens=100)).reserve(Caller("r"), Usage(60, calls=1))
        await store.close()

    async def after() -> tuple[int, int, float]:
        store = Store(tmp_path / "judges.db")
        budget = Budget(store, "j", run=Cap(tokens=100))
        with pytest.raises(CapReached):
            await budget.reserve(Caller("r"), Usage(60, calls=1))
        spent = await budget.spent("run", "r")
        await store.close()
        return spent

    asyncio.run(crash())
    assert asyncio.run(after()) == (1, 60, 0.0)


def test_a_call_waits_for_what_others_return_but_not_past_its_deadline() -> None:
    async def go() -> None:
        store = Store()
        budget = Budget(store, "j", run=Cap(tokens=100))
        first = await budget.reserve(Caller("r"), Usage(60, calls=1))
        with calling(run="r", deadline_s=0.05) as hurried, pytest.raises(GivenUp):
            await budget.reserve(hurried, Usage(60, calls=1))
        waiting = asyncio.create_task(budget.reserve(Caller("r"), Usage(60, calls=1)))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await budget.settle(first, Usage(10, calls=1))
        await budget.settle(await waiting, Usage(90, calls=1))
        with pytest.raises(CapReached):
            await budget.reserve(Caller("r"), Usage(1, calls=1))
        await store.close()

    asyncio.run(go())


@pytest.mark.slow
def test_a_quarter_more_than_may_be_under_way_is_reserved_and_no_more() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.5) as endpoint,
            chat_judge(endpoint.url, max_concurrency=4, run_cap={"calls": 100}) as judge,
        ):
            asks = asyncio.gather(*(judge.ask(asking(str(number))) for number in range(20)))
            calls = 0
            while len(endpoint.received) < 4:
                calls, _, _ = await judge._limits.budget.spent("run", "")
            assert (calls, len(endpoint.received)) == (5, 4)
            await asks
            calls, _, _ = await judge._limits.budget.spent("run", "")
            assert calls == 20

    asyncio.run(go())


def test_money_is_counted_exactly() -> None:
    async def go() -> None:
        store = Store()
        budget = Budget(store, "j", run=Cap(cost=1.0))
        for _ in range(10):
            reserved = await budget.reserve(Caller("r"), Usage(cost=0.1, calls=1))
            await budget.settle(reserved, Usage(cost=0.1, calls=1))
        assert await budget.spent("run", "r") == (10, 0, 1.0)
        with pytest.raises(CapReached, match="a cost of 1"):
            await budget.reserve(Caller("r"), Usage(cost=1e-9, calls=1))
        await store.close()

    asyncio.run(go())


def test_nothing_is_spent_where_spending_cannot_be_recorded(tmp_path: Path) -> None:
    file = tmp_path / "judges.db"
    sqlite3.connect(file).execute("CREATE TABLE spending (judge TEXT)").connection.close()

    async def go() -> None:
        async with (
            ScriptedEndpoint() as endpoint,
            chat_judge(endpoint.url, file, run_cap={"calls": 5}) as judge,
        ):
            with pytest.raises(JudgeFailed, match="nothing is spent"):
                await judge.ask(asking("q"))
            assert endpoint.received == []

    asyncio.run(go())


def test_an_endpoint_that_does_not_tell_what_it_took_is_charged_the_most() -> None:
    silent = script.completion("0")
    for usage in (None, {}, {"prompt_tokens": -1, "completion_tokens": 1}, [], "much"):
        found, _ = ask_many(1, script.document({**silent, "usage": usage}))
        assert found[0].usage.completion_tokens == 10
        assert found[0].usage.prompt_tokens > script.PROMPT_TOKENS
