"""OpenRLHF's remote reward model: `POST /get_reward` (openrlhf 0.11, `utils/agent.py`).

Its client tries every failure five times, a second apart, and then goes on without a reward,
of which the run dies. It cannot carry a null. So an error that may pass is a 503; another,
such as of a text that is too long to read, is 0.0 with `extra_logs.valid` 0, by which a run can
see it. `?on_error=503` refuses both ways, `?on_error=zero` neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from app.protocols.gateway import (
    BadRequest,
    Gateway,
    StrictBody,
    Unscored,
    reply,
    sample_or_error,
)
from app.protocols.protocol import MessageReply, Protocol, Route
from verifiers.base import Sample, Score, Scorer, ScoringError

OnError = Annotated[
    Literal["default", "zero", "503"],
    Query(description="What an unscored sample becomes: zero, or the whole request a 503."),
]

SPECIAL_TOKEN = r"(?:<[|｜][\w▁ .:-]{1,40}[|｜]>|</?s>|<(?:bos|eos|pad|end_of_turn|unk)>|\[PAD\])"
LEADING = re.compile(rf"(?:\s*{SPECIAL_TOKEN})*+\s*")
TOKEN = re.compile(SPECIAL_TOKEN)

MAX_TOKEN_CHARACTERS = 50

MIN_OVERLAP = 16
"""Characters of a truncated prompt by which a query still tells where the completion begins."""


MAX_PLACES = 64
"""Where a truncated prompt may begin, as far as is looked."""


class UnknownBoundary(ScoringError):
    """Where the prompt ends cannot be told, so nothing can be scored."""

    code = "invalid_reference"


def listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Listed = Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])]


class OpenRlhfRequest(StrictBody):
    """`query` holds prompt and completion, special tokens included.

    How long and how deep the members of the lists may be is asked of each sample alone.
    """

    query: Listed
    prompts: Listed
    labels: list[Any] = Field(description="References.")


class OpenRlhfResponse(BaseModel):
    rewards: list[float]
    scores: list[float] = Field(description="The rewards within 0 to 1, for dynamic filtering.")
    extra_logs: dict[str, list[float]]


def parse(body: OpenRlhfRequest) -> list[Sample | ScoringError]:
    """One sample a query, or its error where there is no telling what to score.

    Raises:
        BadRequest: the lists differ in length.
    """
    for name, values in (("prompts", body.prompts), ("labels", body.labels)):
        if len(values) != len(body.query):
            raise BadRequest(f"{len(values)} for {len(body.query)} queries", name)
    rows = zip(body.query, body.prompts, body.labels, strict=True)
    return [sample_in(query, prompt, label) for query, prompt, label in rows]


def sample_in(query: str, prompt: str, label: Any) -> Sample | ScoringError:
    completion = completion_in(query, prompt)
    if completion is None:
        return UnknownBoundary("the query does not begin with its prompt")
    return sample_or_error(prompt=prompt, completion=completion, reference=label)


def completion_in(query: str, prompt: str) -> str | None:
    """What follows the prompt, without the special tokens at its end.

    The prompt may lack tokens that the tokenizer put before it, and its beginning may have
    been cut off where it was too long. None where it is not found: to score the prompt as
    if the policy had written it could reward an answer that it holds.
    """
    rest = after(query, prompt)
    if rest is None:
        rest = after(LEADING.sub("", query, count=1), LEADING.sub("", prompt, count=1))
    if rest is None:
        rest = after_truncated(query, prompt)
    return None if rest is None else rest[: end_of_words(rest)]


def end_of_words(text: str) -> int:
    """Where the special tokens begin with which `text` ends, and white space between them.

    Looked for from the end, token by token: a search would try each of a flood's anew.
    """
    end = len(text)
    while True:
        last = end
        while last and text[last - 1].isspace():
            last -= 1
        if text[last - 1 : last] not in (">", "]"):
            return end
        earliest = max(0, last - MAX_TOKEN_CHARACTERS)
        start = max(text.rfind("<", earliest, last), text.rfind("[", earliest, last))
        if start < 0 or TOKEN.fullmatch(text, start, last) is None:
            return end
        end = start


def after(query: str, prompt: str) -> str | None:
    return query[len(prompt) :] if query.startswith(prompt) else None


def after_truncated(query: str, prompt: str) -> str | None:
    """What follows the longest end of the prompt with which the query begins."""
    head, start = query[:MIN_OVERLAP], 0
    for _ in range(MAX_PLACES):
        start = prompt.find(head, start + 1)
        if start < 0 or len(head) < MIN_OVERLAP:
            break
        if (rest := after(query, prompt[start:])) is not None:
            return rest
    return None


def render(scores: Sequence[Score], scorer: Scorer[Any], on_error: str) -> dict[str, Any]:
    """
    Raises:
        Unscored: the whole request is to be tried again.
    """
    for score in scores:
        error = score.error
        if error and (on_error == "503" or (error.retryable and on_error == "default")):
            raise Unscored(error, status=503)
    lowest, highest = scorer.reward_range
    logs = {
        name: [score.components.get(name, 0.0) for score in scores]
        for name in scorer.component_names
    }
    logs["valid"] = [float(score.error is None) for score in scores]
    return {
        "rewards": [score.reward or 0.0 for score in scores],
        "scores": [share(score.reward, lowest, highest) for score in scores],
        "extra_logs": logs,
    }


def share(reward: float | None, lowest: float, highest: float) -> float:
    """Where a reward lies within its range, from 0 to 1."""
    if reward is None or highest <= lowest:
        return 0.0
    return (reward - lowest) / (highest - lowest)


async def get_reward(
    gateway: Gateway, request: Request, body: OpenRlhfRequest, on_error: OnError = "default"
) -> Response:
    scorer = gateway.scorer(request)
    scores = await gateway.score(request, scorer, parse(body))
    return reply(render(scores, scorer, on_error))


PROTOCOL = Protocol(
    name="openrlhf",
    system="OpenRLHF",
    under="/compat/openrlhf/{preset}",
    routes=[Route("/get_reward", get_reward, OpenRlhfResponse)],
    error=MessageReply,
)
