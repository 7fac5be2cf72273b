"""What every scoring route does around the scoring itself.

It builds the scorers that a request names, repeats a finished answer under its
Idempotency-Key, and stops when the client leaves.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from fastapi import Request

from app.http.errors import KeyReused, UnusableIdempotencyKey
from app.http.idempotency import IdempotencyCache, KeyBelongsToAnother
from app.http.keys import key_of
from app.settings import Settings
from judges.llm.caller import Caller, calling
from verifiers.base import Score, Scorer, Settle, SpecError
from verifiers.registry import Registry, UnknownScorer
from verifiers.sample import ScorerSpec

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads this answer; it is what the access log shows."""

MAX_SCORERS = 256
"""Different scorers in one request: each new one is compiled before anything is scored."""

MAX_KEY_CHARACTERS = 256
"""A key is remembered with its answer. A UUID has 36 characters."""

KEY_HELP = (
    "Repeats the finished answer to this request under this key, of 1 to "
    f"{MAX_KEY_CHARACTERS} characters."
)

T = TypeVar("T")

Scoring = Callable[[Settle | None], Coroutine[Any, Any, list[Score]]]
"""Scores the request, calling back with each score as it is there."""


def on_behalf(
    request: Request, settings: Settings, run: str | None, deadline_s: float
) -> AbstractContextManager[Caller]:
    """Whatever is submitted inside asks its judges for this request's run and key."""
    # A key that nobody checks is not a caller's own: another would be a new purse.
    key = key_of(request) if settings.api_keys else ""
    return calling(run=run, api_key=key, deadline_s=deadline_s)


def resolve(
    registry: Registry, request_spec: ScorerSpec | None, specs: Iterable[ScorerSpec | None], of: str
) -> list[Scorer[Any]]:
    """A scorer for every member of the request's list called `of`: its own, or the request's.

    Raises:
        UnknownScorer, SpecError: with the place in the request.
    """
    default = None if request_spec is None else build(registry, request_spec, "scorer")
    scorers, faults = [], []
    for index, spec in enumerate(specs):
        if spec is None:
            scorers.append(default)
            continue
        try:
            scorers.append(build(registry, spec, of, index, "scorer"))
        except UnknownScorer:
            raise
        except SpecError as error:
            faults += error.faults
    if faults:
        raise SpecError(faults)
    if len(set(scorers)) > MAX_SCORERS:
        raise SpecError([((of,), f"more than {MAX_SCORERS} different scorers in one request")])
    return [scorer for scorer in scorers if scorer is not None]  # all: the request checks that


def build(registry: Registry, spec: ScorerSpec, *location: str | int) -> Scorer[Any]:
    try:
        return registry.build(spec)
    except SpecError as error:
        raise error.below(*location) from None


async def once(
    request: Request, key: str | None, answered: IdempotencyCache, run: Scoring
) -> Scoring:
    """`run`, or the answer that the request's Idempotency-Key already has."""
    if key is None:
        return run
    if not key.strip():
        raise UnusableIdempotencyKey("an empty key would be everybody's")
    if len(key) > MAX_KEY_CHARACTERS:
        raise UnusableIdempotencyKey(f"a key may have {MAX_KEY_CHARACTERS} characters")
    owner = request.headers.get("authorization", "")
    fingerprint = hashlib.blake2b(await request.body()).digest()

    async def run_once(on_score: Settle | None) -> list[Score]:
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
