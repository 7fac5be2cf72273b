"""Judges behind typed decision endpoints, which answer with a probability per option.

Nothing is generated, so there is no text to parse or to forge. Two dialects say the same:

    /v1/decisions   OpenAI's, also of others: evidence `input`, a list of questions
    /v1/systemone   of `transformers serve` and others: evidence `state`, a map of questions

The system turns become the question's instructions and all others the evidence. Each ask
must offer options.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from judges.llm.backend import Call, distribution, most_tokens, usage_in
from judges.llm.base import Ask, Reply, Usage
from judges.llm.endpoint import Endpoint
from judges.llm.failures import Declined, Unusable
from verifiers.errors import JudgeFailed

Dialect = Literal["decisions", "systemone"]

NAME = "verdict"
"""Of the one question in a request."""

MIN_OPTIONS = 2

INSTRUCTIONS = "Choose the option that answers the question in the input."
"""Where an ask has no system turn."""


class DecisionBackend:
    """Asks one model of one endpoint, one question a call."""

    def __init__(self, endpoint: Endpoint, model: str, dialect: Dialect) -> None:
        self._endpoint = endpoint
        self._model = model
        self._dialect = dialect
        identity = f"{dialect}\n{endpoint.base_url}\n{model}"
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    async def start(self) -> None:
        """Nothing: there is no state."""

    async def close(self) -> None:
        await self._endpoint.close()

    def fault(self) -> str | None:
        return self._endpoint.fault

    async def answer(self, ask: Ask, call: Call) -> Reply:
        check_options(ask)
        write = decisions_body if self._dialect == "decisions" else systemone_body
        body = orjson.dumps(write(self._model, ask))
        # The options are read from the model's next token: none, or one, is generated.
        most = Usage(most_tokens(body, len(ask.turns)), 1, calls=1)

        async def send(timeout_s: float) -> Reply:
            document = await self._endpoint.post(f"/{self._dialect}", body, timeout_s)
            usage = usage_in(document, most, "input_tokens", "output_tokens")
            return reply_of(document, ask.options, usage)

        return await call(most, send)


def check_options(ask: Ask) -> None:
    """Refuses an ask that such a judge cannot answer.

    Raises:
        JudgeFailed: it offers no choice between different options.
    """
    if len(ask.options) < MIN_OPTIONS or len({*ask.options, ""}) <= len(ask.options):
        raise JudgeFailed("this judge chooses between different options only", retryable=False)


def instructions(ask: Ask) -> str:
    system = [turn.content for turn in ask.turns if turn.role == "system"]
    return "\n\n".join(system) or INSTRUCTIONS


def evidence(ask: Ask) -> str:
    """The turns that are not instructions: the only one, or a transcript of several."""
    turns = [turn for turn in ask.turns if turn.role != "system"]
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns)


def decisions_body(model: str, ask: Ask) -> dict[str, Any]:
    question = {
        "type": "choice",
        "name": NAME,
        "instructions": instructions(ask),
        "choices": [{"value": option} for option in ask.options],
    }
    return {"model": model, "input": evidence(ask), "questions": [question]}


def systemone_body(model: str, ask: Ask) -> dict[str, Any]:
    question = {
        "type": "choice",
        "instructions": instructions(ask),
        "criteria": dict.fromkeys(ask.options),
    }
    return {"model": model, "state": evidence(ask), "questions": {NAME: question}}


def reply_of(document: Any, options: tuple[str, ...], usage: Usage) -> Reply:
    """The likeliest option, with the probabilities of all.

    Raises:
        Unusable: no such answer.
        Declined: a refusal.
    """
    answer = answer_in(document)
    if answer is None:
        raise Unusable("the judge gave no answer", usage=usage)
    if answer.get("type") == "refusal":
        raise Declined("the judge refused", usage=usage)
    found = by_option(answer.get("probabilities"))
    if answer.get("type") != "choice" or found is None:
        raise Unusable("the judge gave no probabilities", usage=usage)
    probabilities = distribution(found, options, usage)
    return Reply(max(options, key=lambda o: probabilities[o]), "stop", probabilities, usage)


def answer_in(document: Any) -> Mapping[str, Any] | None:
    """The answer to our one question, in either dialect."""
    answers = document.get("answers") if isinstance(document, dict) else None
    if isinstance(answers, list):  # OpenAI's dialect
        named = [(a.get("name"), a) if isinstance(a, dict) else (None, None) for a in answers]
    else:
        named = list(answers.items()) if isinstance(answers, dict) else []
    if len(named) != 1:
        return None
    name, answer = named[0]
    return answer if name == NAME and isinstance(answer, dict) else None


def by_option(found: Any) -> Mapping[str, Any] | None:
    """Probabilities as a map, which System One sends, and OpenAI as a list of pairs."""
    if isinstance(found, dict):
        return found
    try:
        pairs = [(entry["value"], entry["probability"]) for entry in found]
        return dict(pairs) if len(dict(pairs)) == len(pairs) else None
    except (LookupError, TypeError):
        return None
