"""How a request in another system's form reaches the scheduler.

    foreign body -> parse -> Gateway.score -> render -> foreign reply

Limits, deadlines and clients that leave are the same for all protocols, and are here, with what
parse and render have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from app.http.errors import Refused, Row
from app.http.keys import key_in_any_form
from app.routes.exchange import Exchange
from app.routes.faults import error_of
from judges.llm.hosting import Judges
from verifiers.base import Sample, Score, Scorer, ScoringError, SpecError, first_fault
from verifiers.errors import InvalidReference, MissingField, faults_in
from verifiers.sample import MAX_TEXT_CHARACTERS, AssistantMessage, Message
from verifiers.score import ScoreError, to_json

REFERENCE_FAULTS = frozenset({MissingField.code, InvalidReference.code})
"""Errors of a score that the request itself is to blame for."""


UNREAD = Sample(completion="")
"""What stands for a sample that could not be read. No scorer sees it."""


class StrictBody(BaseModel):
    """What a system's request holds, each member of the type that its documents say."""

    model_config = ConfigDict(strict=True)


class TooManySamples(Refused):
    row = Row(413, "too_many_samples", "The request has too many samples")


class BadRequest(Refused):
    """A request that fits its schema, and still cannot be understood."""

    row = Row(422, "invalid_request", "The request is not valid")

    def __init__(self, message: str, *field: str | int) -> None:
        super().__init__(message, faults=[(field, message)] if field else ())


class Unscored(Refused):
    """A score that failed, where the protocol has no place to say so in a reply."""

    def __init__(self, error: ScoreError, status: int | None = None) -> None:
        final = 422 if error.code in REFERENCE_FAULTS else 424
        status = status or (503 if error.retryable else final)
        self.row = Row(status, error.code, "Not scored", retryable=error.retryable)
        super().__init__(error.message)


class Gateway:
    """What the protocols share: where scorers and judges are found, and the way to the lanes.

    Raises:
        SpecError: the default preset does not build.
    """

    def __init__(self, exchange: Exchange, judges: Judges) -> None:
        self.settings = exchange.settings
        self.registry = exchange.registry
        self.judges = judges
        self._exchange = exchange
        if (default := self.settings.protocols.default_preset) is not None:
            try:
                self.registry.build(default)
            except SpecError as error:
                raise error.below("protocols", "default_preset") from None

    def scorer(self, request: Request) -> Scorer[Any]:
        """The scorer that the address names, or the default one at the root.

        Raises:
            UnknownScorer: there is none.
        """
        default = self.settings.protocols.default_preset
        return self.registry.build(request.path_params.get("preset") or default or "")

    async def score(
        self,
        request: Request,
        scorers: Scorer[Any] | Sequence[Scorer[Any]],
        samples: Sequence[Sample | ScoringError],
        *,
        deadline_s: float | None = None,
    ) -> list[Score]:
        """The scores of `samples`, each by the scorer at its index, or all by one.

        One that could not be read comes as its error.

        Raises:
            Refused, QueueFull, Draining: nothing was scored.
            ClientLeft: nor will it be.
        """
        if not samples:
            return []
        if len(samples) > self.settings.max_samples:
            raise TooManySamples(f"a request may have {self.settings.max_samples} samples")
        each = scorers if isinstance(scorers, Sequence) else [scorers] * len(samples)
        pairs = list(zip(each, samples, strict=True))
        return await self._exchange.score(
            request,
            [sample if isinstance(sample, ScoringError) else scorer for scorer, sample in pairs],
            [UNREAD if isinstance(sample, ScoringError) else sample for sample in samples],
            deadline_s=deadline_s,
            find_key=key_in_any_form,
        )


def rewards(scores: Sequence[Score]) -> list[float]:
    """All rewards, for protocols without a word for a sample that failed.

    Raises:
        Unscored: there is one.
    """
    return [reward_of(score) for score in scores]


def reward_of(score: Score) -> float:
    """
    Raises:
        Unscored: there is none.
    """
    if score.error is not None:
        raise Unscored(score.error)
    assert score.reward is not None
    return score.reward


def sample_of(**fields: Any) -> Sample:
    """A sample of what a foreign request holds.

    Raises:
        BadRequest: a text is too long, or a value too deep, for any sample.
    """
    text = fields.get("completion")
    if isinstance(text, str) and len(text) > MAX_TEXT_CHARACTERS:  # it need not be a policy's
        raise BadRequest(f"a text of more than {MAX_TEXT_CHARACTERS:,} characters")
    try:
        return Sample(**fields)
    except ValidationError as error:
        raise BadRequest(first_fault("sample", error, fields)) from None


def sample_or_error(**fields: Any) -> Sample | ScoringError:
    """A sample, or why it alone cannot be read, for protocols that can say so of one."""
    try:
        return Sample(**fields)
    except ValidationError as error:
        return error_of(faults_in(error, fields))


def conversation(messages: Sequence[Message]) -> tuple[list[Message], AssistantMessage]:
    """The prompt, and the completion: a chat's last message.

    Raises:
        BadRequest: that is not the assistant's.
    """
    if not messages or messages[-1].role != "assistant":
        message = "the last message is what is scored: it has to be the assistant's"
        raise BadRequest(message, "messages", max(len(messages) - 1, 0))
    return list(messages[:-1]), AssistantMessage.model_validate(messages[-1].model_dump())


def reply(content: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(content), 200, headers, "application/json")
