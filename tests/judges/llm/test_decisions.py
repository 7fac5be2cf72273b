"""Typed decisions in both dialects: what is sent, and what of a reply is believed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from judges.llm.base import Ask, Reply, Turn
from judges.llm.failures import Unusable
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import judges
from tests.judges.llm.scripted_endpoint import ScriptedEndpoint, asking
from verifiers.errors import JudgeFailed

OPTIONS = ("yes", "no")
USAGE = {"input_tokens": 31, "output_tokens": 0}


def decided(ask: Ask, dialect: str, document: Any) -> tuple[Reply | JudgeFailed, list[Any]]:
    async def go() -> tuple[Reply | JudgeFailed, list[Any]]:
        async with ScriptedEndpoint([script.document(document)]) as endpoint:
            table = {"kind": dialect, "base_url": endpoint.url, "model": "m"}
            async with judges(grader=table) as hosted:
                try:
                    found: Reply | JudgeFailed = await hosted["grader"].ask(ask)
                except JudgeFailed as failure:
                    found = failure
                return found, endpoint.received

    return asyncio.run(go())


def openai_answer(**members: Any) -> dict[str, Any]:
    probabilities = [
        {"value": "no", "probability": 0.25},
        {"value": "yes", "probability": 0.75},
    ]
    answer = {"type": "choice", "name": "verdict", "choice": "yes", "confidence": 0.5}
    return {**answer, "probabilities": probabilities, **members}


def systemone_answer(**members: Any) -> dict[str, Any]:
    answer = {"type": "choice", "choice": "yes", "confidence": 0.5}
    return {**answer, "probabilities": {"yes": 0.75, "no": 0.25}, **members}


def test_openai_is_asked_and_understood() -> None:
    document = {"model": "m", "answers": [openai_answer()], "usage": USAGE}
    reply, (request,) = decided(asking("2 > 1", options=OPTIONS), "decisions", document)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.probabilities) == ("yes", {"yes": 0.75, "no": 0.25})
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (31, 0)
    assert request.path == "/v1/decisions"
    assert request.document == {
        "model": "m",
        "input": "2 > 1",
        "questions": [
            {
                "type": "choice",
                "name": "verdict",
                "instructions": "You grade.",
                "choices": [{"value": "yes"}, {"value": "no"}],
            }
        ],
    }


def test_system_one_is_asked_and_understood() -> None:
    document = {"model": "m", "answers": {"verdict": systemone_answer()}, "usage": USAGE}
    reply, (request,) = decided(asking("2 > 1", options=OPTIONS), "systemone", document)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.probabilities) == ("yes", {"yes": 0.75, "no": 0.25})
    assert request.path == "/v1/systemone"
    assert request.document == {
        "model": "m",
        "state": "2 > 1",
        "questions": {
            "verdict": {
                "type": "choice",
                "instructions": "You grade.",
                "criteria": {"yes": None, "no": None},
            }
        },
    }


def test_several_turns_are_one_transcript_and_instructions_have_a_default() -> None:
    ask = Ask((Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")), options=OPTIONS)
    document = {"answers": [openai_answer()], "usage": USAGE}
    _, (request,) = decided(ask, "decisions", document)
    assert request.document["input"] == "user: a\n\nassistant: b\n\nuser: c"
    assert request.document["questions"][0]["instructions"]


def pairs(*listed: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"value": value, "probability": probability} for value, probability in listed]


@pytest.mark.parametrize(
    "answers",
    [
        [],
        {},
        None,
        "yes",
        [openai_answer(), openai_answer()],
        [openai_answer(name="other")],
        {"other": systemone_answer()},
        [{"type": "refusal", "name": "verdict"}],
        [openai_answer(type="predicate")],
        [openai_answer(probabilities=[])],
        [openai_answer(probabilities=None)],
        [openai_answer(probabilities=[1, 2])],
        [openai_answer(probabilities=pairs(("yes", 1.0)))],
        [openai_answer(probabilities=pairs(("yes", 0.5), ("no", 0.4), ("maybe", 0.1)))],
        [openai_answer(probabilities=pairs(("yes", 0.5), ("yes", 0.5), ("no", 0.5)))],
        [openai_answer(probabilities=pairs((True, 0.5), ("no", 0.5)))],
        [openai_answer(probabilities=pairs(("yes", 0.9), ("no", 0.9)))],
        [openai_answer(probabilities=pairs(("yes", 1.5), ("no", -0.5)))],
        [openai_answer(probabilities=pairs(("yes", True), ("no", 0)))],
        [openai_answer(probabilities=pairs(("yes", "0.5"), ("no", "0.5")))],
        [openai_answer(probabilities=pairs(("yes", None), ("no", 1.0)))],
        {"verdict": systemone_answer(probabilities={"yes": 1.0})},
        {"verdict": systemone_answer(probabilities={"yes": 0.0, "no": 0.0})},
        {"verdict": systemone_answer(probabilities=0.75)},
    ],
)
@pytest.mark.parametrize("dialect", ["decisions", "systemone"])
def test_any_other_answer_is_a_failure(dialect: str, answers: Any) -> None:
    ask = asking("2 > 1", options=OPTIONS)
    failure, received = decided(ask, dialect, {"answers": answers, "usage": USAGE})
    assert isinstance(failure, Unusable)
    assert len(received) == 1


@pytest.mark.parametrize("options", [(), ("yes",), ("yes", "yes")])
def test_a_question_without_a_choice_is_not_asked(options: tuple[str, ...]) -> None:
    failure, received = decided(asking("q", options=options), "decisions", {})
    assert isinstance(failure, JudgeFailed)
    assert failure.retryable is False
    assert received == []
