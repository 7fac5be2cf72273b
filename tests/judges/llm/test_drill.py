"""A thousand asks, a third of the replies broken: nothing wrong, nothing lost, nothing overspent.

What happens to a request depends on the seed, its question and how often it has been asked,
and so not on the order in which requests arrive.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judges.llm.base import Reply, Usage
from judges.llm.caller import calling
from judges.llm.failures import CapReached, CircuitOpen, NoAnswer
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import chat_judge
from tests.judges.llm.scripted_endpoint import Act, Request, ScriptedEndpoint, asking, spelled
from verifiers.errors import JudgeFailed

pytestmark = pytest.mark.slow

ASKS, QUESTIONS = 1_000, 800
FAULT_SHARE = 0.3
SEED = 20_251_121
TIMEOUT_S = 4.0
"""Far longer than an honest reply takes on a busy machine: what was paid must arrive."""

HTML = b"<html><h1>502 Bad Gateway</h1></html>"

FAULTS: dict[str, Act] = {
    "429 with seconds": script.error(429, "rate_limit_exceeded", retry_after="0.05"),
    "429 with a date": script.error(
        429,
        "rate_limit_exceeded",
        date=email.utils.formatdate(0, usegmt=True),
        retry_after=email.utils.formatdate(1, usegmt=True),
    ),
    "429 without": script.error(429, "rate_limit_exceeded"),
    "500": script.status(500),
    "502 in html": script.status(502, HTML, "text/html"),
    "503": script.error(503, "overloaded"),
    "reset": script.reset,
    "reset in the body": script.reset_mid_body,
    "end in the body": script.close_mid_body,
    "hang": script.hang,
    "hang in the body": script.head_then_hang,
    "drip": script.drip,
    "drip of headers": script.drip_head,
    "bad utf-8": script.document(b'{"choices": [{"message": {"content": "\xff"}}]}'),
    "html in a 200": script.document(HTML),
    "empty choices": script.document({"choices": []}),
    "no content": script.choice(message={"role": "assistant", "content": None}),
    "refusal": script.choice(message={"content": None, "refusal": "I cannot help with that."}),
    "truncated": script.says('{"score": 0.', finish_reason="length"),
}


RARE = {"429 with a date": 0.2}
"""Each stops all calls for a second, for dates know no less."""

Found = list[tuple[str, Reply | JudgeFailed]]
Spent = tuple[int, int, float]


class Schedule:
    """Which act meets a request."""

    def __init__(self) -> None:
        self.recovered = False
        self._asked: Counter[str] = Counter()
        self.met: Counter[str] = Counter()

    def __call__(self, request: Request) -> Act:
        question = request.question
        self._asked[question] += 1
        rng = random.Random(f"{SEED} {question} {self._asked[question]}")
        if self.recovered or rng.random() >= FAULT_SHARE:
            return script.honest
        (name,) = rng.choices(list(FAULTS), [RARE.get(name, 1.0) for name in FAULTS])
        self.met[name] += 1
        return FAULTS[name]


def questions() -> list[str]:
    """Some are asked more than once."""
    rng = random.Random(SEED)
    texts = [f"question {number}" for number in range(QUESTIONS)]
    texts += rng.choices(texts, k=ASKS - QUESTIONS)
    rng.shuffle(texts)
    return texts


async def drill(endpoint: ScriptedEndpoint, store: Path, **members: Any) -> tuple[Found, Spent]:
    """What every ask came to, and what was spent on them all: calls, tokens and cost."""
    limits = {"timeout_s": TIMEOUT_S, "retry_base_s": 0.01}
    price = {"prompt": 1.0, "completion": 10.0}
    async with chat_judge(endpoint.url, store, **limits, price=price, **members) as judge:

        async def ask(text: str) -> tuple[str, Reply | JudgeFailed]:
            try:
                return text, await judge.ask(asking(text, max_tokens=20))
            except JudgeFailed as failure:
                return text, failure

        with calling(run="drill", api_key="someone"):
            found = await asyncio.gather(*map(ask, questions()))
        return found, await judge._limits.budget.spent("run", "drill")


def billed_cost(endpoint: ScriptedEndpoint) -> float:
    each = (script.PROMPT_TOKENS + 10 * script.COMPLETION_TOKENS) / 1e6
    return each * endpoint.billed.total()


def used_by(reply: Reply | JudgeFailed) -> Usage:
    """What an ask is told that it took, whatever came of it."""
    if isinstance(reply, Reply):
        return reply.usage
    assert isinstance(reply, NoAnswer)
    return reply.used


def check_nothing_is_wrong(found: Found, endpoint: ScriptedEndpoint) -> int:
    """Right reply or a failure for each, and nothing paid twice. The number of replies."""
    assert len(found) == ASKS
    for question, reply in found:
        assert isinstance(reply, JudgeFailed) or reply.text == spelled(question)
    assert max(endpoint.billed.values()) == 1
    return sum(isinstance(reply, Reply) for _, reply in found)


def test_every_ask_is_answered_rightly_or_fails_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    async def go() -> None:
        schedule = Schedule()
        async with ScriptedEndpoint(schedule) as endpoint:
            found, (calls, _, cost) = await drill(endpoint, tmp_path / "db", run_cap={"cost": 1.0})
            answered = check_nothing_is_wrong(found, endpoint)
            assert set(schedule.met) == set(FAULTS)
            assert sum(schedule.met.values()) / len(endpoint.received) > 0.25
            assert answered > 0.75 * ASKS
            gave_up = [reply for _, reply in found if isinstance(reply, CircuitOpen)]
            assert gave_up == [], "one broken reply in three is no outage"
            assert calls == len(endpoint.received)
            assert billed_cost(endpoint) <= cost <= 1.0
            told = sum((used_by(reply) for _, reply in found), Usage())
            assert (told.calls, told.cost) == (calls, pytest.approx(cost, abs=1e-6))

            # The endpoint recovers, and the service restarts.
            schedule.recovered = True
            endpoint.received.clear()
            again, _ = await drill(endpoint, tmp_path / "db", run_cap={"cost": 1.0})
            failed = {question for question, reply in found if isinstance(reply, JudgeFailed)}
            assert all(reply.text == spelled(question) for question, reply in again)
            assert set(endpoint.questions) == failed, "what was answered is on record"

    asyncio.run(go())


def test_a_cap_holds_through_all_of_it(tmp_path: Path) -> None:
    async def go() -> None:
        caps = {"run_cap": {"cost": 0.05, "calls": 900}, "key_cap": {"cost": 1.0}}
        async with ScriptedEndpoint(Schedule()) as endpoint:
            found, (calls, _, cost) = await drill(endpoint, tmp_path / "db", **caps)
            assert check_nothing_is_wrong(found, endpoint) > 100
            assert billed_cost(endpoint) <= cost <= 0.05
            assert len(endpoint.received) == calls <= 900
            assert any(isinstance(reply, CapReached) for _, reply in found)

    asyncio.run(go())
