"""What one call passes on its way out and back, and again where that may help.

Out:  the caps (reserved), a slot, the rate, the circuit.
Back: the caps (settled), the circuit, and `Retry`, which may send it again.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field, replace

from judges.llm.backend import Send
from judges.llm.base import Reply, Usage
from judges.llm.budget import Budget, Reservation
from judges.llm.circuit import Circuit
from judges.llm.failures import CallFailed
from judges.llm.rate import Rate
from judges.llm.retry import Retry
from judges.llm.sharing import Flight

BYTES_A_TOKEN = 4
"""About what a token of English is: rates are kept by this estimate, caps by the bound."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in a currency of your own."""

    prompt: float = 0.0
    completion: float = 0.0

    def on(self, usage: Usage) -> Usage:
        cost = usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion
        return replace(usage, cost=cost / 1e6)


@dataclass(slots=True)
class Counts:
    """What a judge did since the process began, for its metrics."""

    used: Usage = field(default_factory=Usage)
    failed_calls: int = 0
    answered: int = 0
    cached: int = 0
    shared: int = 0
    failed: int = 0


@dataclass(slots=True)
class Limits:
    """The limits of one judge."""

    budget: Budget
    rate: Rate
    circuit: Circuit
    retry: Retry
    price: Price
    concurrency: int
    timeout_s: float
    counts: Counts = field(default_factory=Counts)
    _slots: asyncio.Semaphore = field(init=False)
    _reserving: asyncio.Semaphore = field(init=False)
    """A few more than the slots, so that none is idle while spending is recorded. Not all that
    wait: what they would reserve, others could not."""

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.concurrency)
        self._reserving = asyncio.Semaphore(self.concurrency + math.ceil(self.concurrency / 4))

    async def call(self, flight: Flight, most: Usage, send: Send) -> Reply:
        """Makes a call, again where that may help and there is time.

        Raises:
            JudgeFailed: it came to nothing.
        """
        most = self.price.on(most)
        attempt = 1
        while True:
            try:
                return await self._attempt(flight, most, send)
            except CallFailed as failure:
                if failure.retry_after_s is not None:
                    self.rate.pause(failure.retry_after_s)
                if not failure.sent_again or attempt >= self.retry.attempts:
                    raise
                delay_s = self.retry.delay_s(attempt, failure.retry_after_s)
                if not flight.lasts(delay_s):
                    raise
            flight.check()
            await asyncio.sleep(delay_s)
            attempt += 1

    async def _attempt(self, flight: Flight, most: Usage, send: Send) -> Reply:
        flight.check()
        expected = most.prompt_tokens / BYTES_A_TOKEN + most.completion_tokens
        reservation: Reservation | None = None
        used, sent_at = Usage(), 0.0
        try:
            async with self._reserving:
                reservation = await self.budget.reserve(flight.payer, most)
                async with self._slots:
                    await self.rate.admit(expected, flight.deadline)
                    await self.circuit.admit(flight.deadline)
                    used = most  # until it is known better: a cancelled call may be answered
                    flight.sent, sent_at = True, time.monotonic()
                    reply = await send(self.timeout_s)
            used = self.price.on(reply.usage)
            self.circuit.succeeded()
            return reply
        except CallFailed as failure:
            used = self._charge(failure, most)
            self._judge_health(failure, sent_at)
            raise
        finally:
            if reservation is not None:
                flight.used += used
                self.counts.used += used
                if used.calls:
                    self.rate.used(expected, used.tokens)
                await self.budget.settle(reservation, used)

    def _charge(self, failure: CallFailed, most: Usage) -> Usage:
        """What a failed call is taken to have cost."""
        if not failure.charged:
            return Usage(calls=1)
        return most if failure.usage is None else self.price.on(failure.usage)

    def _judge_health(self, failure: CallFailed, sent_at: float) -> None:
        self.counts.failed_calls += 1
        if failure.ill:
            self.circuit.failed(sent_at)
        else:  # it answered, whatever it said
            self.circuit.succeeded()
