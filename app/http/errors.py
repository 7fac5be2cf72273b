"""What can go wrong with a request, and how the client hears of it.

One table says for every exception which status, code and retry advice it becomes, as
`application/problem+json` (RFC 9457). Messages name fields and limits, never paths of the
machine, and never a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.http.log import request_id
from app.lanes.lane import RETRY_AFTER_S, Draining, QueueFull
from judges.reward_model.serve.pool import ReloadRefused, UnknownModel
from verifiers.base import SpecError
from verifiers.errors import place
from verifiers.registry import UnknownScorer
from verifiers.score import to_json

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

Fault = tuple[tuple[str | int, ...], str]
"""The place of an offending field, and what is wrong with it."""

MAX_FAULTS = 1_000
"""Offending fields named in one reply. A request with more is beyond reading."""

MAX_SHOWN_CHARACTERS = 200
"""Of a field's path and of what is wrong with it: both may quote the request."""


class Refused(HTTPException):
    """A request that we refuse ourselves: it carries its own row of the table."""

    row: Row
    faults: list[Fault]

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        super().__init__(self.row.status, detail, dict(headers or {}))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Row:
    """What an exception becomes. Retryable ones carry Retry-After."""

    status: int
    code: str
    title: str
    retryable: bool = False


class NotJson(Refused):
    row = Row(400, "not_json", "The body is not JSON")


class NotJsonValue(Refused):
    """A body that only lenient parsers read, refused with the fields at fault."""

    row = Row(422, "invalid_request", "The request is not valid")


class MissingKey(Refused):
    row = Row(401, "missing_key", "An API key is needed")


class WrongKey(Refused):
    row = Row(403, "wrong_key", "This API key is not accepted")


class BodyTooLarge(Refused):
    row = Row(413, "body_too_large", "The body is too large")


class NotJsonType(Refused):
    row = Row(415, "unsupported_media_type", "The body is not declared as JSON")


class UnusableIdempotencyKey(Refused):
    row = Row(422, "invalid_request", "The Idempotency-Key is empty or too long")


class KeyReused(Refused):
    row = Row(422, "idempotency_key_reused", "The Idempotency-Key belongs to another request")


HEADERS_TOO_LARGE = Row(431, "headers_too_large", "The headers are too large")

TABLE: dict[type[Exception], Row] = {
    UnknownScorer: Row(404, "unknown_scorer", "No such scorer"),
    SpecError: Row(422, "invalid_request", "The request is not valid"),
    RequestValidationError: Row(422, "invalid_request", "The request is not valid"),
    UnknownModel: Row(404, "unknown_reward_model", "No such reward model"),
    ReloadRefused: Row(409, "model_refused", "The reward model cannot be served"),
    QueueFull: Row(429, "queue_full", "Too much work is waiting", retryable=True),
    Draining: Row(503, "draining", "The service is shutting down", retryable=True),
    Exception: Row(500, "internal", "Something of ours broke", retryable=True),
}

BY_STATUS: dict[int, Row] = {
    404: Row(404, "not_found", "There is nothing at this address"),
    405: Row(405, "method_not_allowed", "This address takes other methods"),
    413: BodyTooLarge.row,
}
"""For what the framework raises itself."""


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""
    for exception_type in (*TABLE, HTTPException):
        app.add_exception_handler(exception_type, answer)


async def answer(request: Request, error: Exception) -> Response:
    row = row_of(error)
    headers = dict(getattr(error, "headers", None) or {})
    if row.retryable:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    faults = faults_of(error)
    return render(row, detail_of(error, row, faults), faults, headers)


def render(
    row: Row,
    detail: str,
    faults: list[tuple[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem: dict[str, object] = {
        "type": f"urn:assay:problem:{row.code}",
        "title": row.title,
        "status": row.status,
        "detail": detail,
        "code": row.code,
        "retryable": row.retryable,
        "request_id": request_id.get(),
        "errors": [{"field": field, "message": message} for field, message in faults or []],
    }
    advice = {"X-Should-Retry": "true" if row.retryable else "false", **(headers or {})}
    return Response(to_json(problem), row.status, advice, MEDIA_TYPE)


def row_of(error: Exception) -> Row:
    if isinstance(error, Refused):
        return error.row
    if isinstance(error, HTTPException):
        status = error.status_code
        return BY_STATUS.get(status, Row(status, f"http_{status}", "The request was refused"))
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def detail_of(error: Exception, row: Row, faults: Sequence[tuple[str, str]]) -> str:
    if faults and row.status == 422:
        return "; ".join(f"{field}: {message}" for field, message in faults[:3]) + (
            f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        )
    if isinstance(error, HTTPException):
        return str(error.detail)
    return row.title if row.status == 500 else str(error)


def faults_of(error: Exception) -> list[tuple[str, str]]:
    """(field, message) pairs, each once; fields as in `samples.3.completion`."""
    if isinstance(error, RequestValidationError):
        places = [
            (
                place(fault["loc"][1:], error.body, fault["type"]),
                fault["msg"].removeprefix("Value error, "),
            )
            for fault in islice(error.errors(), MAX_FAULTS)
        ]
    elif isinstance(error, SpecError | Refused):
        places = error.faults[:MAX_FAULTS]
    else:
        return []
    pairs = [(dotted(location), shown(message)) for location, message in places]
    return list(dict.fromkeys(pairs))


def dotted(location: tuple[str | int, ...]) -> str:
    return shown(".".join(shown(str(step)) for step in location)) or "body"


def shown(text: str) -> str:
    """`text` of bounded length, and without what JSON cannot hold."""
    cut = text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…"
    return cut.encode(errors="backslashreplace").decode()


PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {
        "description": title,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, title in (
        (400, "Not JSON"),
        (401, "No API key"),
        (403, "An API key that is not accepted"),
        (404, "Unknown scorer or preset"),
        (413, "Body too large"),
        (415, "Not declared as JSON"),
        (422, "A malformed request; `errors` names every offending field"),
        (429, "A lane is full; retry after `Retry-After` seconds"),
        (503, "Shutting down, or a lane is down; retry after `Retry-After` seconds"),
    )
}
"""For the OpenAPI document: every route refuses in this form."""
