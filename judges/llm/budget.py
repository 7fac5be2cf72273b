"""Hard caps: what a call can take at most is spent before it, and the rest returned after.

Checking and spending are one transaction, so that no two calls see the same room. What a
crash leaves reserved stays spent.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from judges.llm.base import Usage
from judges.llm.caller import Caller
from judges.llm.failures import CapReached, GivenUp
from judges.llm.store import Store
from verifiers.errors import JudgeFailed

logger = logging.getLogger(__name__)

Scope = Literal["run", "key"]

NANO = 10**9
"""Money is counted in whole billionths: sums of those are exact."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that may be spent. None is no cap."""

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def reached_by(self, calls: int, tokens: int, cost_nano: int) -> str | None:
        """Which of them so much would go over, if any."""
        if self.calls is not None and calls > self.calls:
            return f"{self.calls:,} calls"
        if self.tokens is not None and tokens > self.tokens:
            return f"{self.tokens:,} tokens"
        if self.cost is not None and cost_nano > math.floor(self.cost * NANO):
            return f"a cost of {self.cost:g}"
        return None


NO_CAP = Cap()


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one call may take, spent beforehand."""

    most: Usage
    names: tuple[tuple[Scope, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Whose cap, what it is, and whether calls in flight may return what would be enough."""

    scope: Scope
    what: str
    may_pass: bool


class Budget:
    """What one judge has spent for each run and each API key."""

    def __init__(self, store: Store, judge: str, *, run: Cap = NO_CAP, key: Cap = NO_CAP) -> None:
        self._store = store
        self._judge = judge
        self._caps: dict[Scope, Cap] = {"run": run, "key": key}
        self._in_flight: Counter[tuple[Scope, str]] = Counter()
        self._counting = threading.Lock()  # the store's thread counts up, the event loop down
        self._returned = asyncio.Event()

    async def reserve(self, caller: Caller, most: Usage) -> Reservation:
        """Spends `most`, where no cap is against it.

        A call that only others in flight leave no room for waits for them: most of what
        they have reserved comes back.

        Raises:
            CapReached: a cap leaves no room for the call.
            GivenUp: others in flight did not return enough before the deadline.
        """
        reservation = Reservation(most, tuple(self._capped(caller)))
        while reservation.names:
            returned = self._returned
            refusal = await self._spent_or_refused(reservation)
            if refusal is None:
                break
            if not refusal.may_pass:
                message = f"this {refusal.scope} may spend no more than {refusal.what} here"
                raise CapReached(message)
            await until(returned, caller.deadline)
        return reservation

    async def _spent_or_refused(self, reservation: Reservation) -> Refusal | None:
        spending = asyncio.ensure_future(self._store.run(lambda db: self._spend(db, reservation)))
        try:
            return await asyncio.shield(spending)
        except sqlite3.Error:
            logger.exception("spending cannot be recorded")
            raise JudgeFailed("spending cannot be recorded, so nothing is spent") from None
        except asyncio.CancelledError:
            if await spending is None:
                await self.settle(reservation, Usage())
            raise

    async def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Returns what the call did not take. A file that fails returns nothing."""
        if not reservation.names:
            return
        pairs = zip(units(usage), units(reservation.most), strict=True)
        back = [taken - most for taken, most in pairs]
        try:
            await self._store.run(lambda db: self._add(db, reservation.names, back))
        except sqlite3.Error:
            logger.exception("spending cannot be recorded")
        finally:
            with self._counting:
                self._in_flight.subtract(reservation.names)
                self._in_flight += Counter()  # forgets those of whom nothing is in flight
            self._returned.set()
            self._returned = asyncio.Event()

    async def spent(self, scope: Scope, name: str) -> tuple[int, int, float]:
        """Calls, tokens and cost so far, with what is reserved."""
        calls, tokens, cost_nano = await self._store.run(lambda db: self._so_far(db, scope, name))
        return calls, tokens, cost_nano / NANO

    def _capped(self, caller: Caller) -> Iterator[tuple[Scope, str]]:
        if self._caps["run"] != NO_CAP:
            yield "run", caller.run
        if self._caps["key"] != NO_CAP:
            yield "key", caller.key

    def _spend(self, db: sqlite3.Connection, reservation: Reservation) -> Refusal | None:
        amounts = units(reservation.most)
        for scope, name in reservation.names:
            so_far = self._so_far(db, scope, name)
            would_be = [a + b for a, b in zip(so_far, amounts, strict=True)]
            if (what := self._caps[scope].reached_by(*would_be)) is not None:
                with self._counting:
                    return Refusal(scope, what, self._in_flight[scope, name] > 0)
        self._add(db, reservation.names, amounts)
        with self._counting:
            self._in_flight.update(reservation.names)
        return None

    def _so_far(self, db: sqlite3.Connection, scope: Scope, name: str) -> tuple[int, int, int]:
        found = db.execute(
            "SELECT calls, tokens, cost_nano FROM spending"
            " WHERE judge = ? AND scope = ? AND name = ?",
            (self._judge, scope, name),
        ).fetchone()
        return (0, 0, 0) if found is None else (found[0], found[1], found[2])

    def _add(
        self, db: sqlite3.Connection, names: Iterable[tuple[Scope, str]], amounts: Sequence[int]
    ) -> None:
        db.executemany(
            "INSERT INTO spending VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " calls = calls + excluded.calls, tokens = tokens + excluded.tokens,"
            " cost_nano = cost_nano + excluded.cost_nano",
            [(self._judge, scope, name, *amounts) for scope, name in names],
        )


def units(usage: Usage) -> tuple[int, int, int]:
    """Calls, tokens, and billionths of money, rounded up."""
    return usage.calls, usage.tokens, math.ceil(usage.cost * NANO)


async def until(returned: asyncio.Event, deadline: float | None) -> None:
    try:
        async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
            await returned.wait()
    except TimeoutError:
        raise GivenUp("calls in flight hold what is left under a cap") from None
