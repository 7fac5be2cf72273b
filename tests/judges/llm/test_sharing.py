"""Equal asks share one call, in flight and ever after."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from judges.llm.base import Ask, Reply, Turn, Usage
from judges.llm.cache import Recorded, question_key
from judges.llm.caller import Caller, calling
from judges.llm.failures import CapReached, GivenUp, Unusable
from judges.llm.hosted import HostedJudge
from judges.llm.sharing import Flight, Flights
from judges.llm.store import forget_oldest, opened
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import chat_judge
from tests.judges.llm.scripted_endpoint import ScriptedEndpoint, asking, spelled
from verifiers.errors import JudgeFailed


def test_equal_asks_at_once_are_one_call_and_one_of_them_pays() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.05) as endpoint,
            chat_judge(endpoint.url) as judge,
        ):
            replies = await asyncio.gather(*(judge.ask(asking("q")) for _ in range(50)))
            assert len(endpoint.received) == 1
            assert {reply.text for reply in replies} == {spelled("q")}
            assert sum((reply.usage for reply in replies), Usage()).calls == 1
            assert sum(reply.cached for reply in replies) == 49

    asyncio.run(go())


def test_one_that_leaves_takes_nothing_from_the_others() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.2) as endpoint,
            chat_judge(endpoint.url) as judge,
        ):
            first, second = (asyncio.create_task(judge.ask(asking("q"))) for _ in range(2))
            await asyncio.sleep(0.1)
            first.cancel()
            assert (await second).text == spelled("q")
            assert first.cancelled()
            assert len(endpoint.received) == 1

    asyncio.run(go())


def test_a_paid_reply_that_nobody_waited_for_is_recorded() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.1) as endpoint,
            chat_judge(endpoint.url) as judge,
        ):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(judge.ask(asking("q")), 0.05)
            await asyncio.sleep(0.2)
            reply = await judge.ask(asking("q"))
            assert (reply.text, reply.cached, reply.usage) == (spelled("q"), True, Usage())
            assert len(endpoint.received) == 1

    asyncio.run(go())


def test_what_nobody_waits_for_is_not_tried_again_nor_sent_at_all() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint([script.status(500)], latency_s=0.1) as endpoint,
            chat_judge(endpoint.url, max_concurrency=1) as judge,
        ):
            asks = [asyncio.create_task(judge.ask(asking(text))) for text in ("sent", "queued")]
            await asyncio.sleep(0.05)
            for ask in asks:
                ask.cancel()
            await asyncio.sleep(0.3)
            assert endpoint.questions == ["sent"]

    asyncio.run(go())


def test_the_one_who_waits_longest_decides_how_long_is_tried() -> None:
    busy = script.error(429, "slow_down", retry_after="0.2")

    async def go() -> None:
        async with (
            ScriptedEndpoint([busy], latency_s=0.05) as endpoint,
            chat_judge(endpoint.url) as judge,
        ):
            with calling(run="hurried", deadline_s=0.1):
                hurried = asyncio.create_task(judge.ask(asking("q")))
            await asyncio.sleep(0)
            with calling(run="patient", deadline_s=30):
                patient = asyncio.create_task(judge.ask(asking("q")))
            assert (await patient).text == spelled("q")
            assert (await hurried).text == spelled("q")

    asyncio.run(go())


def test_nobody_is_refused_for_the_empty_purse_of_another() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.02) as endpoint,
            chat_judge(endpoint.url, run_cap={"calls": 1}) as judge,
        ):

            async def ask(run: str, question: str) -> Reply:
                with calling(run=run):
                    return await judge.ask(asking(question))

            await ask("poor", "first")
            asks = (ask("poor", "second"), ask("rich", "second"))
            poor, rich = await asyncio.gather(*asks, return_exceptions=True)
            assert isinstance(poor, CapReached)
            assert isinstance(rich, Reply)

    asyncio.run(go())


def test_one_who_comes_as_another_is_refused_pays_for_himself() -> None:
    """Whenever that is: a refusal that has landed is nobody else's."""
    recorded = Recorded(Reply("fine"), None)

    async def refused(_: Flight) -> Recorded:
        await asyncio.sleep(0)
        raise CapReached("poor")

    async def paid(_: Flight) -> Recorded:
        return recorded

    async def rich(flights: Flights, turns: int) -> tuple[Recorded, bool]:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await flights.share("q", Caller("rich"), paid)

    async def go(turns: int) -> None:
        flights = Flights()
        both = flights.share("q", Caller("poor"), refused), rich(flights, turns)
        poor, other = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(poor, CapReached)
        assert other == (recorded, True)

    for turns in range(8):
        asyncio.run(go(turns))


def test_replies_outlive_the_process_and_failures_do_not(tmp_path: Path) -> None:
    async def go() -> None:
        async with ScriptedEndpoint([script.honest, script.says("")]) as endpoint:
            async with chat_judge(endpoint.url, tmp_path / "judges.db") as judge:
                first = await judge.ask(asking("q"))
                assert (first.text, first.cached) == (spelled("q"), False)
                with pytest.raises(Unusable):
                    await judge.ask(asking("r"))
            async with chat_judge(endpoint.url, tmp_path / "judges.db") as judge:
                again = await judge.ask(asking("q"))
                assert (again.text, again.cached, again.usage) == (spelled("q"), True, Usage())
                assert (await judge.ask(asking("r"))).text == spelled("r")
            assert endpoint.questions == ["q", "r", "r"]

    asyncio.run(go())


def test_without_a_cache_every_ask_is_a_call() -> None:
    async def go() -> None:
        async with (
            ScriptedEndpoint() as endpoint,
            chat_judge(endpoint.url, cache=False) as judge,
        ):
            for _ in range(2):
                assert (await judge.ask(asking("q"))).cached is False
            assert len(endpoint.received) == 2

    asyncio.run(go())


# --- what is equal --------------------------------------------------------------------------

ASK = asking("q", seed=1)


@pytest.mark.parametrize(
    "other",
    [
        asking("p", seed=1),
        asking("q", seed=2),
        asking("q"),
        asking("q", seed=1, temperature=0.5),
        asking("q", seed=1, max_tokens=9),
        asking("q", seed=1, schema={"type": "object"}),
        asking("q", seed=1, options=("yes", "no")),
        asking("q", seed=1, nonce="0" * 32),
        Ask((Turn("user", "You grade."), Turn("user", "q")), seed=1),
        Ask((Turn("system", "You grade.q"),), seed=1),
    ],
)
def test_whatever_may_change_a_reply_makes_another_question(other: Ask) -> None:
    assert question_key("judge", ASK) != question_key("judge", other)
    assert question_key("judge", ASK) != question_key("another", ASK)


def wrapped(nonce: str, text: str) -> Ask:
    return asking(f"Judge [{nonce}]{text}[/{nonce}]. End with {nonce}.", nonce=nonce)


def test_asks_that_differ_in_their_nonce_alone_share_a_reply_and_keep_their_nonces() -> None:
    first, second, third = ("1" * 32, "2" * 32, "3" * 32)

    async def go() -> None:
        async with (
            ScriptedEndpoint(latency_s=0.05) as endpoint,
            chat_judge(endpoint.url) as judge,
        ):
            asks = (judge.ask(wrapped(nonce, "text")) for nonce in (first, second))
            replies = [*await asyncio.gather(*asks), await judge.ask(wrapped(third, "text"))]
            for nonce, reply in zip((first, second, third), replies, strict=True):
                assert reply.text == spelled(f"Judge [{nonce}]text[/{nonce}]. End with {nonce}.")
            assert len(endpoint.received) == 1

    asyncio.run(go())


@pytest.mark.parametrize("text", ["", "a", '", "', "nonce", "1" * 31, "\0", "{nonce}"])
def test_no_text_stands_in_for_a_nonce(text: str) -> None:
    plain = question_key("judge", wrapped("1" * 32, ""))
    assert (question_key("judge", wrapped("2" * 32, text)) == plain) is (text == "")


def test_closing_fails_those_who_wait() -> None:
    async def go(judge: HostedJudge) -> None:
        waiting = asyncio.create_task(judge.ask(asking("q")))
        await asyncio.sleep(0.05)
        await judge.close()
        with pytest.raises(GivenUp, match="closed"):
            await waiting

    async def around() -> None:
        async with ScriptedEndpoint([script.hang]) as endpoint, chat_judge(endpoint.url) as judge:
            await go(judge)

    asyncio.run(around())


def test_the_oldest_replies_are_forgotten_beyond_a_number(tmp_path: Path) -> None:
    connection = opened(tmp_path / "judges.db")
    rows = [(b"%d" % n, "text", "stop", None, None, float(n)) for n in range(10)]
    connection.executemany("INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?)", rows)
    forget_oldest(connection, 4)
    kept = connection.execute("SELECT key FROM replies ORDER BY key").fetchall()
    connection.close()
    assert kept == [(b"%d" % n,) for n in range(6, 10)]


def test_those_who_leave_at_any_moment_take_nothing_with_them() -> None:
    rng = random.Random(0)

    async def go() -> None:
        acts = [rng.choice([script.honest, script.status(500), script.reset]) for _ in range(400)]
        async with (
            ScriptedEndpoint(acts, latency_s=0.003) as endpoint,
            chat_judge(endpoint.url, max_concurrency=4, run_cap={"calls": 10**6}) as judge,
        ):

            async def ask_and_leave(question: str) -> None:
                with contextlib.suppress(TimeoutError, JudgeFailed):
                    async with asyncio.timeout(rng.uniform(0, 0.5)):
                        await judge.ask(asking(question))

            questions = [str(rng.randrange(60)) for _ in range(300)]
            await asyncio.gather(*map(ask_and_leave, questions))
            limits = judge._limits
            # Whoever left while its call was being reserved has that returned afterwards.
            await limits.budget.spent("run", "")
            while judge._flights._open or limits.budget._in_flight:
                await asyncio.sleep(0.01)
                await limits.budget.spent("run", "")
            calls, tokens, _ = await limits.budget.spent("run", "")
            assert (calls, tokens) == (judge.counts.used.calls, judge.counts.used.tokens)
            assert calls == len(endpoint.received)
            for slots, count in ((limits._slots, 4), (limits._reserving, 5)):
                for _ in range(count):
                    await asyncio.wait_for(slots.acquire(), 1)
            assert max(endpoint.billed.values(), default=1) == 1

    asyncio.run(go())
