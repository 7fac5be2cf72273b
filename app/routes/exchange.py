"""What every scoring route shares, from the samples that it read to their scores.

    route -> Exchange.scorers -> Exchange.score -> Scheduler.submit

A request names a scorer, and a sample may name its own. What is wrong with the request is
raised; what is wrong with one sample stands in the place of its scorer and becomes its error.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Header, Request
from pydantic import Field

from app.http.errors import KeyReused, Refused, Row, UnusableIdempotencyKey
from app.http.idempotency import IdempotencyCache, KeyBelongsToAnother
from app.http.keys import FindKey, key_of
from app.lanes.lane import Scheduler
from app.routes.faults import Path, sentence
from app.settings import Settings
from judges.llm.caller import CALLER, Caller, fingerprint
from verifiers.base import Sample, Score, Scorer, ScoringError, Settle, SpecError
from verifiers.errors import UnknownOwnScorer, UnusableOwnScorer
from verifiers.registry import Registry, UnknownScorer, canonical
from verifiers.sample import ScorerSpec

CLIENT_CLOSED_REQUEST = 499
"""Nobody reads this answer; it is what the access log shows."""

MAX_SCORERS = 256
"""Different scorers in one request: each new one is compiled before anything is scored."""

MAX_TRIED = 2 * MAX_SCORERS
"""Different specs in one request of which a scorer is built. As many as that can only be where
half of them are unusable, and to find that out takes a millisecond each."""

MAX_KEY_CHARACTERS = 256
"""A key is remembered with its answer. A UUID has 36 characters."""

KEY_HELP = (
    "Repeats the finished answer to this request under this key, of 1 to "
    f"{MAX_KEY_CHARACTERS} characters."
)
Key = Annotated[str, Field(json_schema_extra={"pattern": r"\S", "maxLength": MAX_KEY_CHARACTERS})]
IdempotencyKey = Annotated[Key | None, Header(description=KEY_HELP)]

T = TypeVar("T")

ScorerOrError = Scorer[Any] | ScoringError


class Owner(Protocol):
    """A member of a request's list that may name a scorer of its own."""

    scorer: ScorerSpec | None


class ClientLeft(Refused):
    """Nobody waits for the answer any more."""

    row = Row(CLIENT_CLOSED_REQUEST, "client_left", "The client left")


class Exchange:
    """The way from samples to scores, for all routes of one service."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        scheduler: Scheduler,
        answered: IdempotencyCache,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.scheduler = scheduler
        self._answered = answered

    def scorers(
        self,
        spec: ScorerSpec | None,
        owners: Sequence[Owner],
        faults: Mapping[Path, ScoringError],
        of: str,
    ) -> list[ScorerOrError]:
        """For every member of the request's list called `of` its own scorer, or the request's.

        One whose shape is at fault, or whose own scorer is, has that error instead.

        Raises:
            UnknownScorer, SpecError: the request's scorer, with its place.
        """
        try:
            default = None if spec is None else self.registry.build(spec)
        except SpecError as error:
            raise error.below("scorer") from None
        chosen: list[ScorerOrError] = []
        tried: dict[str, ScorerOrError] = {}
        used = set[Scorer[Any]]()
        for index, owner in enumerate(owners):
            if faults and (of, index) in faults:
                chosen.append(faults[of, index])
            elif owner.scorer is not None:
                chosen.append(self._own(owner.scorer, tried))
            else:
                assert default is not None, "the request checks that there is one"
                chosen.append(default)
            if not isinstance(chosen[-1], ScoringError):
                used.add(chosen[-1])
                if len(used) > MAX_SCORERS:  # at once, so that the others are not built
                    message = f"more than {MAX_SCORERS} different scorers in one request"
                    raise SpecError([((of,), message)])
        return chosen

    def _own(self, spec: ScorerSpec, tried: dict[str, ScorerOrError]) -> ScorerOrError:
        """The scorer of a sample's own spec, or what is wrong with it, found out once."""
        key = spec if isinstance(spec, str) else canonical(spec)
        if key not in tried:
            if len(tried) == MAX_TRIED:
                return UnusableOwnScorer(f"scorer: the request names over {MAX_TRIED} others")
            tried[key] = own_scorer(self.registry, spec)
        return tried[key]

    async def score(
        self,
        request: Request,
        scorers: Sequence[ScorerOrError],
        samples: Sequence[Sample],
        *,
        run: str | None = None,
        deadline_s: float | None = None,
        idempotency_key: str | None = None,
        on_score: Settle | None = None,
        find_key: FindKey = key_of,
    ) -> list[Score]:
        """The scores of `samples`, each by the scorer, or with the error, at its index.

        Judges are asked on behalf of the request's run and API key.

        Raises:
            QueueFull, Draining, UnusableIdempotencyKey, KeyReused: nothing was scored.
            ClientLeft: nor will it be.
        """
        if idempotency_key is not None:
            score = partial(
                self.score,
                *(request, scorers, samples),
                run=run,
                deadline_s=deadline_s,
                on_score=on_score,
                find_key=find_key,
            )
            return await self._once(request, idempotency_key, score)
        deadline_s = deadline_s or self.settings.deadline_s
        # A key that nobody checks is not a caller's own: another would be a new purse.
        purse = fingerprint(find_key(request)) if self.settings.api_keys else ""
        token = CALLER.set(Caller(run or "", purse, time.monotonic() + deadline_s))
        try:
            job = self.scheduler.submit(scorers, samples, deadline_s=deadline_s, on_score=on_score)
        finally:
            CALLER.reset(token)
        return await unless_left(request, job.result())

    async def _once(
        self, request: Request, key: str, score: Callable[[], Awaitable[list[Score]]]
    ) -> list[Score]:
        """What `score` comes to, or the answer that this key already has."""
        if not key.strip():
            raise UnusableIdempotencyKey("an empty key would be everybody's")
        if len(key) > MAX_KEY_CHARACTERS:
            raise UnusableIdempotencyKey(f"a key may have {MAX_KEY_CHARACTERS} characters")
        owned = f"{request.headers.get('authorization', '')}\n{key}"
        content = hashlib.blake2b(await request.body()).digest()
        try:
            return await unless_left(request, self._answered.scores(owned, content, score))
        except KeyBelongsToAnother:
            raise KeyReused("this Idempotency-Key came with another body before") from None


def own_scorer(registry: Registry, spec: ScorerSpec) -> ScorerOrError:
    """The scorer that a sample names for itself, or the sample's error."""
    try:
        return registry.build(spec)
    except UnknownScorer as error:
        known = ", ".join(error.known)
        return UnknownOwnScorer(f"{sentence(error.below('scorer').faults)}; known: {known}")
    except SpecError as error:
        return UnusableOwnScorer(sentence(error.below("scorer").faults))


async def unless_left(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the client leaves first.

    Raises:
        ClientLeft: it did.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnection(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft("nobody waits for the answer any more")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
