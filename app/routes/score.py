"""`POST /v1/score`: parse, submit, return."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse

from app.http.errors import PROBLEMS
from app.http.idempotency import IdempotencyCache
from app.http.log import request_id
from app.http.openapi import JSON, NDJSON, answering
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from app.lanes.lane import Scheduler
from app.routes.exchange import (
    CLIENT_CLOSED_REQUEST,
    KEY_HELP,
    Scoring,
    on_behalf,
    once,
    resolve,
    unless_disconnected,
)
from app.routes.schemas import ScoreResponse, Summary, SummaryLine, limited_score_request
from app.settings import Settings
from verifiers.base import Score, Settle
from verifiers.registry import Registry
from verifiers.score import to_json

REFUSED = re.compile(r"q=0(?:\.0*)?")


def score_router(
    settings: Settings, registry: Registry, scheduler: Scheduler, answered: IdempotencyCache
) -> APIRouter:
    router = QuickRouter(route_class=StrictRoute, tags=["scoring"])
    request_type: Any = limited_score_request(settings.max_samples)

    @router.post(
        "/v1/score",
        responses=PROBLEMS | answering(ScoreResponse, **{NDJSON: {"schema": {"type": "string"}}}),
        summary="Score samples",
        description="One score a sample, in order. With `Accept: application/x-ndjson`, one "
        "score a line as each finishes, in any order, and a summary last. With an "
        "`Idempotency-Key`, a finished answer is repeated instead of scored again.",
    )
    async def score(
        request: Request,
        body: request_type,
        idempotency_key: Annotated[str | None, Header(description=KEY_HELP)] = None,
        accept: Annotated[str, Header(description=f"{NDJSON} for a stream.")] = "",
    ) -> Response:
        scorers = resolve(registry, body.scorer, (s.scorer for s in body.samples), "samples")

        async def run(on_score: Settle | None) -> list[Score]:
            deadline_s = body.deadline_s or settings.deadline_s
            with on_behalf(request, settings, body.run, deadline_s):
                job = scheduler.submit(
                    scorers, body.samples, deadline_s=deadline_s, on_score=on_score
                )
            return await job.result()

        repeatable = await once(request, idempotency_key, answered, run)
        if accepts(accept, NDJSON):
            lines = stream(repeatable)
            # What is refused is refused before the reply begins.
            first = await unless_disconnected(request, anext(lines))
            if first is not None:
                return StreamingResponse(prepend(first, lines), media_type=NDJSON)
        else:
            scores = await unless_disconnected(request, repeatable(None))
            if scores is not None:
                return whole(scores)
        return Response(None, CLIENT_CLOSED_REQUEST)

    return router


def accepts(accept: str, media_type: str) -> bool:
    """Whether an Accept header names this type itself, and not to refuse it with q=0."""
    for offer in accept.lower().split(","):
        offered, *parameters = (part.strip() for part in offer.split(";"))
        if offered == media_type:
            return not any(REFUSED.fullmatch(parameter) for parameter in parameters)
    return False


def whole(scores: list[Score]) -> Response:
    response = ScoreResponse(request_id.get(), scores, Summary.of(scores))
    return Response(to_json(response), media_type=JSON)


async def stream(run: Scoring) -> AsyncIterator[bytes]:
    """One score a line as each finishes, then the summary."""
    finished: asyncio.Queue[Score | None] = asyncio.Queue()
    scoring = asyncio.ensure_future(run(lambda _, score: finished.put_nowait(score)))
    scoring.add_done_callback(lambda _: finished.put_nowait(None))
    sent = 0
    try:
        while (score := await finished.get()) is not None:
            yield to_json(score) + b"\n"
            sent += 1
        scores = await scoring
        if not sent:  # a remembered answer, which was not scored again
            yield b"".join(to_json(score) + b"\n" for score in scores)
        yield to_json(SummaryLine(Summary.of(scores))) + b"\n"
    finally:
        scoring.cancel()


async def prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line
