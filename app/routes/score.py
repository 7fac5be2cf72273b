"""`POST /v1/score`: parse, submit, return."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse

from app.http.errors import PROBLEMS
from app.http.log import request_id
from app.http.openapi import JSON, NDJSON, answering
from app.http.quick_router import QuickRouter
from app.routes.exchange import ClientLeft, Exchange, IdempotencyKey
from app.routes.faults import SparingRoute
from app.routes.schemas import ScoreResponse, Summary, SummaryLine, limited_score_request
from verifiers.base import Score
from verifiers.score import to_json

REFUSED = re.compile(r"q=0(?:\.0*)?")


def score_router(exchange: Exchange) -> APIRouter:
    router = QuickRouter(route_class=SparingRoute, tags=["scoring"])
    request_type: Any = limited_score_request(exchange.settings.max_samples)

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
        idempotency_key: IdempotencyKey = None,
        accept: Annotated[str, Header(description=f"{NDJSON} for a stream.")] = "",
    ) -> Response:
        streams = NDJSON in accept.lower() and accepts(accept, NDJSON)
        finished: asyncio.Queue[Score | None] = asyncio.Queue()
        scorers = exchange.scorers(body.scorer, body.samples, body._faults, "samples")
        scoring = exchange.score(
            *(request, scorers, body.samples),
            run=body.run,
            deadline_s=body.deadline_s,
            idempotency_key=idempotency_key,
            on_score=(lambda _, score: finished.put_nowait(score)) if streams else None,
        )
        if not streams:
            return whole(await scoring)
        lines = stream(scoring, finished)
        first = await anext(lines)  # what is refused is refused before the reply begins
        return StreamingResponse(prepend(first, lines), media_type=NDJSON)

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


async def stream(
    work: Coroutine[Any, Any, list[Score]], finished: asyncio.Queue[Score | None]
) -> AsyncIterator[bytes]:
    """One score a line as each comes out of `finished`, then the summary of all."""
    scoring = asyncio.ensure_future(work)
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
    except ClientLeft:
        if not sent:
            raise
    finally:
        scoring.cancel()


async def prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line
