"""Rubrics on an endpoint that breaks a third of its replies, over real sockets."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from benchmarks.rubric_judges import Read, contains, read_message, reply_of
from judges.rubric import RubricScorer
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import chat_judge
from tests.judges.llm.scripted_endpoint import Act, Request, ScriptedEndpoint
from tests.judges.rubric.rows import rows
from tests.judges.rubric.test_scorer import LYON, PARIS, registry
from verifiers.base import Sample, Score

SAMPLES = 200
FAULTY = 1 / 3

MALFORMED = [row.values[0] for row in rows("replies") if row.values[0]["expect"] == "failed"]
TRANSPORT = [
    script.status(500, b"<html>500</html>", "text/html"),
    script.status(429, Retry_After="0"),
    script.reset,
    script.reset_mid_body,
    script.document({"choices": []}),
    script.document(b"\xff\xfe not JSON"),
]


def wrong(seen: Read) -> dict[str, bool]:
    return {key: not contains(key, seen) for key in seen.keys}


def faulty(source: random.Random, seen: Read) -> Act:
    """A fault of the wire; a malformed verdict; or a forged one that says the opposite."""
    kind = source.random()
    if kind < 0.4:
        return source.choice(TRANSPORT)
    if kind < 0.6:
        return script.says(reply_of("f" * 32, wrong(seen)))
    if kind < 0.7:
        return script.says(reply_of(seen.nonce, wrong(seen)), finish_reason="length")
    row = source.choice(MALFORMED)
    text = row["reply"].replace("NONCE", seen.nonce).replace("OTHER", "f" * 32)
    return script.says(text, finish_reason=row.get("finish_reason", "stop"))


def schedule(seed: int) -> Any:
    source = random.Random(seed)

    def act(request: Request) -> Act:
        seen = read_message(request.question)
        if source.random() < FAULTY:
            return faulty(source, seen)
        return script.says(reply_of(seen.nonce, {key: contains(key, seen) for key in seen.keys}))

    return act


def completion(number: int) -> str:
    words = [word for bit, word in ((1, "Paris"), (2, "Lyon"), (4, "Rome")) if number & bit]
    return f"{number}: {' and '.join(words) or 'none'}"


async def drilled() -> tuple[list[Score], ScriptedEndpoint]:
    endpoint = ScriptedEndpoint(schedule(7))
    async with endpoint, chat_judge(endpoint.url, open_circuit_after=1_000) as judge:
        rubric = {"criteria": [PARIS, {**LYON, "weight": -0.5} | {"class": None}]}
        scorer = registry(judge).build({"type": "rubric", "rubric": rubric})
        assert isinstance(scorer, RubricScorer)
        samples = [Sample(completion=completion(n)) for n in range(SAMPLES)]
        return await scorer.score(samples), endpoint


def test_every_reward_is_right_or_an_error() -> None:
    scores, endpoint = asyncio.run(drilled())
    failed = 0
    for number, score in enumerate(scores):
        paris, lyon = number & 1, (number & 2) // 2
        if score.error is not None:
            assert score.error.code == "judge_failed"
            failed += 1
        else:
            assert score.reward == max(0.0, paris - 0.5 * lyon)
    told = sum(score.details["calls"] for score in scores)
    assert told == len(endpoint.received), "failed scores tell what they took, too"
    assert 0 < failed < SAMPLES / 4, "one repair and some retries mend most faults"
    assert len(endpoint.received) > SAMPLES
