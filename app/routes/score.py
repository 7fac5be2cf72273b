"""`POST /v1/score`: parse, submit, return."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import TypeAdapter

from app.errors import PROBLEMS, EmptyIdempotencyKey, KeyReused
from app.idempotency import IdempotencyCache, KeyBelongsToAnother
from app.keys import key_of
from app.log import request_id
from app.scheduler import OnScore, Scheduler
from app.schemas import ScoreRequest, ScoreResponse, Summary, SummaryLine, limited_score_request
from app.settings import Settings
from app.strict_json import StrictRoute
from judges.llm.caller import calling
from verifiers.base import Score, Scorer, ScorerSpec, SpecError
from verifiers.registry import Registry, UnknownScorer

NDJSON = "application/x-ndjson"

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads this answer; it is what the access log shows."""

MAX_SCORERS = 256
"""Different scorers in one request: each new one is compiled before anything is scored."""

KEY_HELP = "Repeats the finished answer to this request under this key. May not be empty."

T = TypeVar("T")

RESPONSE = TypeAdapter(ScoreResponse)
SCORE = TypeAdapter(Score)

Run = Callable[[OnScore | None], Coroutine[Any, Any, list[Score]]]
"""Scores the request, calling back with each score as it is there."""


def score_router(settings: Settings, registry: Registry, scheduler: Scheduler) -> APIRouter:
    router = APIRouter(route_class=StrictRoute, tags=["scoring"])
    answered = IdempotencyCache(settings.idempotency_bytes)
    request_type: Any = limited_score_request(settings.max_samples)

    @router.post(
        "/v1/score",
        response_model=ScoreResponse,
        responses={**PROBLEMS, 200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
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
        scorers = resolve(body, registry)

        async def run(on_score: OnScore | None) -> list[Score]:
            deadline_s = body.deadline_s or settings.deadline_s
            # A key that nobody checks is not a caller's own: another would be a new purse.
            key = key_of(request) if settings.api_keys else ""
            with calling(run=body.run, api_key=key, deadline_s=deadline_s):
                job = scheduler.submit(
                    scorers, body.samples, deadline_s=deadline_s, on_score=on_score
                )
            return await job.result()

        repeatable = await once(request, idempotency_key, answered, run)
        if NDJSON in accept:
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


def resolve(body: ScoreRequest, registry: Registry) -> list[Scorer[Any]]:
    """The scorer of every sample.

    Raises:
        UnknownScorer, SpecError: with the place in the request.
    """
    default = None if body.scorer is None else build(registry, body.scorer, "scorer")
    scorers, faults = [], []
    for index, sample in enumerate(body.samples):
        if sample.scorer is None:
            scorers.append(default)
            continue
        try:
            scorers.append(build(registry, sample.scorer, "samples", index, "scorer"))
        except UnknownScorer:
            raise
        except SpecError as error:
            faults += error.faults
    if faults:
        raise SpecError(faults)
    if len(set(scorers)) > MAX_SCORERS:
        message = f"more than {MAX_SCORERS} different scorers in one request"
        raise SpecError([(("samples",), message)])
    return [scorer for scorer in scorers if scorer is not None]  # all: see ScoreRequest


def build(registry: Registry, spec: ScorerSpec, *location: str | int) -> Scorer[Any]:
    try:
        return registry.build(spec)
    except SpecError as error:
        raise error.below(*location) from None


async def once(request: Request, key: str | None, answered: IdempotencyCache, run: Run) -> Run:
    """`run`, or the answer that the request's Idempotency-Key already has."""
    if key is None:
        return run
    if not key.strip():
        raise EmptyIdempotencyKey("an empty key would be everybody's")
    owner = request.headers.get("authorization", "")
    fingerprint = hashlib.blake2b(await request.body()).digest()

    async def run_once(on_score: OnScore | None) -> list[Score]:
        try:
            return await answered.scores(f"{owner}\n{key}", fingerprint, lambda: run(on_score))
        except KeyBelongsToAnother:
            raise KeyReused("this Idempotency-Key came with another body before") from None

    return run_once


async def unless_disconnected(request: Request, work: Awaitable[T]) -> T | None:
    """The result of `work`, which is cancelled if the client leaves first: then None."""
    scoring = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnection(request))
    try:
        await asyncio.wait({scoring, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return scoring.result() if scoring.done() else None
    finally:
        scoring.cancel()
        leaving.cancel()


async def disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def whole(scores: list[Score]) -> Response:
    response = ScoreResponse.model_construct(
        request_id=request_id.get(), scores=scores, summary=Summary.of(scores)
    )
    return Response(RESPONSE.dump_json(response), media_type="application/json")


async def stream(run: Run) -> AsyncIterator[bytes]:
    """One score a line as each finishes, then the summary."""
    finished: asyncio.Queue[Score | None] = asyncio.Queue()
    scoring = asyncio.ensure_future(run(lambda _, score: finished.put_nowait(score)))
    scoring.add_done_callback(lambda _: finished.put_nowait(None))
    sent = 0
    try:
        while (score := await finished.get()) is not None:
            yield SCORE.dump_json(score) + b"\n"
            sent += 1
        scores = await scoring
        if not sent:  # a remembered answer, which was not scored again
            yield b"".join(SCORE.dump_json(score) + b"\n" for score in scores)
        yield SummaryLine(summary=Summary.of(scores)).model_dump_json().encode() + b"\n"
    finally:
        scoring.cancel()


async def prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line
