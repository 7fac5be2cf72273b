"""A judge as the service hosts it: a back-end behind its limits, its records and its sharing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from judges.llm.backend import Backend
from judges.llm.base import Ask, Reply, Usage
from judges.llm.cache import Cache, Recorded, question_key
from judges.llm.caller import CALLER
from judges.llm.failures import NoAnswer
from judges.llm.limits import Counts, Limits
from judges.llm.sharing import Flight, Flights
from verifiers.errors import JudgeFailed


class HostedJudge:
    """Answers from its records, from a call in flight, or by calls of its own.

    Args:
        cache: None records nothing.
    """

    def __init__(self, name: str, backend: Backend, limits: Limits, cache: Cache | None) -> None:
        self.name = name
        self.fingerprint = backend.fingerprint
        self._backend = backend
        self._limits = limits
        self._cache = cache
        self._flights = Flights()

    @property
    def counts(self) -> Counts:
        return self._limits.counts

    async def ask(self, ask: Ask) -> Reply:
        """See `Judge.ask`. The caller is the one in `CALLER`."""
        try:
            return await self._recorded_or_shared(ask)
        except JudgeFailed:
            self.counts.failed += 1
            raise

    async def _recorded_or_shared(self, ask: Ask) -> Reply:
        key = question_key(self.fingerprint, ask)
        answer = partial(self._answer, key, ask)
        recorded, first = await self._flights.share(key, CALLER.get(), answer)
        reply = recorded.for_ask(ask)
        if reply.cached:
            self.counts.cached += 1
            return reply
        if first:
            self.counts.answered += 1
            return reply
        self.counts.shared += 1
        return replace(reply, usage=Usage(), cached=True)

    async def _answer(self, key: bytes, ask: Ask, flight: Flight) -> Recorded:
        # Looked up inside the flight: whoever comes after it has landed finds what it recorded.
        if self._cache is not None and (recorded := await self._cache.get(key)) is not None:
            return recorded
        try:
            reply = await self._backend.answer(ask, partial(self._limits.call, flight))
        except NoAnswer as failure:
            failure.used = flight.used
            raise
        if self._cache is not None:
            await self._cache.put(key, ask, reply)
        return Recorded(replace(reply, usage=flight.used), ask.nonce)

    async def start(self) -> None:
        await self._backend.start()

    async def close(self) -> None:
        await self._flights.end()
        await self._backend.close()

    def fault(self) -> str | None:
        """Why it cannot answer now; None where it can."""
        if self._limits.circuit.is_open:
            return "its endpoint fails"
        return self._backend.fault()
