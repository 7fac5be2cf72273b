"""How a request in another system's form reaches the scheduler, and what it hears if not.

    foreign body -> parse -> Gateway.score -> render -> foreign reply

A protocol is a file that knows two directions: what its request asks, as samples, and what
scores, or a refusal, look like in its replies. Keys, strict JSON, limits, deadlines, clients
that leave and the advice on retries are the same for all of them, and are here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from app.http.errors import Refused, Row, detail_of, faults_of, row_of
from app.http.keys import key_in_any_form
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from app.lanes.lane import RETRY_AFTER_S
from app.routes.exchange import CLIENT_CLOSED_REQUEST, ClientLeft, Exchange
from judges.llm.hosting import Judges
from verifiers.base import Sample, Score, Scorer, SpecError, first_fault
from verifiers.score import ScoreError, to_json

logger = logging.getLogger(__name__)

SHOULD_RETRY = "X-Should-Retry"
"""Read by OpenAI's client, and by people."""

REFERENCE_FAULTS = frozenset({"missing_field", "invalid_reference"})
"""Errors of a score that the request itself is to blame for."""

STATUSES = {
    400: "Not JSON",
    401: "No API key",
    403: "An API key that is not accepted",
    404: "Unknown scorer or preset",
    413: "Body too large, or too many samples",
    415: "Not declared as JSON",
    422: "A malformed request",
    424: "The scorer gave no verdict, and would not if asked again",
    429: "A lane is full; retry after `Retry-After` seconds",
    500: "Something of ours broke",
    503: "Not scored for now; retry after `Retry-After` seconds",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no score, for a protocol to say in its own words."""

    status: int
    code: str
    message: str
    retryable: bool
    field: str | None = None
    """The first offending field, where the request is malformed."""


Refuse = Callable[[Refusal], BaseModel]


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
        if status is None:
            status = 422 if error.code in REFERENCE_FAULTS else 424
            status = 503 if error.retryable else status
        self.row = Row(status, error.code, "Not scored", retryable=error.retryable)
        super().__init__(error.message)


def in_path(name: str) -> dict[str, Any]:
    """A member of an address, for the OpenAPI document: an argument of the endpoint would take
    every request some microseconds."""
    parameter = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    return {"parameters": [parameter]}


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

    def serve(
        self,
        router: APIRouter,
        prefix: str,
        path: str,
        endpoint: Callable[..., Any],
        *,
        method: str = "POST",
        response_model: Any = None,
    ) -> None:
        """A route that scores by a preset: of the address, or of the settings at the root."""
        router.add_api_route(
            f"{prefix}/{{preset}}{path}",
            endpoint,
            methods=[method],
            response_model=response_model,
            openapi_extra=in_path("preset"),
        )
        if self.settings.protocols.default_preset is not None and path:
            router.add_api_route(path, endpoint, methods=[method], response_model=response_model)

    async def score(
        self,
        request: Request,
        scorers: Scorer[Any] | Sequence[Scorer[Any]],
        samples: Sequence[Sample],
        *,
        deadline_s: float | None = None,
    ) -> list[Score]:
        """The scores of `samples`, each by the scorer at its index, or all by one.

        Raises:
            Refused, QueueFull, Draining: nothing was scored.
            ClientLeft: nor will it be.
        """
        if not samples:
            return []
        if len(samples) > self.settings.max_samples:
            raise TooManySamples(f"a request may have {self.settings.max_samples} samples")
        if isinstance(scorers, Scorer):
            scorers = [scorers] * len(samples)
        return await self._exchange.score(
            request, scorers, samples, deadline_s=deadline_s, find_key=key_in_any_form
        )

    def router(
        self,
        system: str,
        refuse: Refuse,
        problem: type[BaseModel],
        statuses: Mapping[int, int] | None = None,
    ) -> APIRouter:
        """Routes whose every refusal is rendered by `refuse`, as a `problem`.

        Args:
            statuses: what becomes of ours that this system would misread.
        """
        changed = statuses or {}
        documented: dict[int | str, dict[str, Any]] = {
            changed.get(status, status): {"model": problem, "description": meaning}
            for status, meaning in STATUSES.items()
        }
        return QuickRouter(
            route_class=foreign_route(refuse, changed), tags=[system], responses=documented
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
    try:
        return Sample(**fields)
    except ValidationError as error:
        raise BadRequest(first_fault("sample", error, fields)) from None


def reply(content: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(content), 200, headers, "application/json")


def foreign_route(refuse: Refuse, statuses: Mapping[int, int]) -> type[StrictRoute]:
    """A class of routes that say everything, errors included, in one protocol's form."""

    class ForeignRoute(StrictRoute):
        def check_key(self, request: Request) -> None:
            request.app.state.check_key(request, key_in_any_form)

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_in_its_form(request: Request) -> Response:
                try:
                    return await handle(request)
                except ClientLeft:
                    return Response(None, CLIENT_CLOSED_REQUEST)
                except Exception as error:
                    return refused(error, refuse, statuses)

            return handle_in_its_form

    return ForeignRoute


def refused(error: Exception, refuse: Refuse, statuses: Mapping[int, int]) -> Response:
    row = row_of(error)
    if row.status == 500:
        logger.exception("a foreign route failed", exc_info=error)
    faults = faults_of(error)
    status = statuses.get(row.status, row.status)
    refusal = Refusal(
        status=status,
        code=row.code,
        message=detail_of(error, row, faults),
        retryable=row.retryable,
        field=faults[0][0] if faults else None,
    )
    headers = dict(getattr(error, "headers", None) or {})
    headers[SHOULD_RETRY] = "true" if row.retryable else "false"
    if row.retryable:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    content = refuse(refusal).model_dump_json()
    return Response(content, status, headers, "application/json")
