"""Hard caps: what a call can take at most is spent before it, and the rest returned after.

Checking and spending are one transaction, so that no two calls see the same room. What a
crash leaves reserved stays spent.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from judges.llm.base import Usage
from judges.llm.caller import Caller
from judges.llm.failures import CapReached, GivenUp
from judges.llm.store import Store
from verifiers.base import JudgeFailed

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


Refusal = tuple[Scope, str, str]
"""Whose cap, by scope and name, and what it is."""


class Budget:
    """What one judge has spent for each run and each API key."""

    def __init__(self, store: Store, judge: str, *, run: Cap = NO_CAP, key: Cap = NO_CAP) -> None:
        self._store = store
        self._judge = judge
        self._caps: dict[Scope, Cap] = {"run": run, "key": key}
        self._outstanding: Counter[tuple[Scope, str]] = Counter()
        self._returned = asyncio.Event()

    async def reserve(self, caller: Caller, most: Usage) -> Reservation:
        """Spends `most`, where no cap is against it.

        A call that only others in flight leave no room for waits for them: most of what
        they have reserved comes back.

        Raises:
            CapReached: a cap leaves no room for the call.
            GivenUp: others in flight did not return enough before the deadline.
        """
        names = tuple(self._capped(caller))
        while names:
            returned = self._returned
            self._outstanding.update(names)
            try:
                refusal = await self._store.run(lambda db: self._spend(db, names, most))
            except sqlite3.Error:
                self._return(names)
                logger.exception("spending cannot be recorded")
                raise JudgeFailed("spending cannot be recorded, so nothing is spent") from None
            except BaseException:
                self._return(names)
                raise
            if refusal is None:
                break
            self._return(names)
            scope, name, what = refusal
            if not self._outstanding[scope, name]:
                raise CapReached(f"this {scope} may spend no more than {what} on this judge")
            await until(returned, caller.deadline)
        return Reservation(most, names)

    async def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Returns what the call did not take. A file that fails returns nothing."""
        if not reservation.names:
            return
        back = [
            taken - most for taken, most in zip(units(usage), units(reservation.most), strict=True)
        ]
        try:
            await self._store.run(lambda db: self._add(db, reservation.names, back))
        except sqlite3.Error:
            logger.exception("spending cannot be recorded")
        finally:
            self._return(reservation.names)

    async def spent(self, scope: Scope, name: str) -> tuple[int, int, float]:
        """Calls, tokens and cost so far, with what is reserved."""
        calls, tokens, cost_nano = await self._store.run(lambda db: self._so_far(db, scope, name))
        return calls, tokens, cost_nano / NANO

    def _capped(self, caller: Caller) -> Iterator[tuple[Scope, str]]:
        if self._caps["run"] != NO_CAP:
            yield "run", caller.run
        if self._caps["key"] != NO_CAP:
            yield "key", caller.key

    def _return(self, names: Sequence[tuple[Scope, str]]) -> None:
        self._outstanding.subtract(names)
        self._outstanding += Counter()  # forgets runs of which nothing is in flight
        self._returned.set()
        self._returned = asyncio.Event()

    def _spend(
        self, db: sqlite3.Connection, names: Sequence[tuple[Scope, str]], most: Usage
    ) -> Refusal | None:
        for scope, name in names:
            so_far = self._so_far(db, scope, name)
            would_be = [a + b for a, b in zip(so_far, units(most), strict=True)]
            if (what := self._caps[scope].reached_by(*would_be)) is not None:
                return scope, name, what
        self._add(db, names, units(most))
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
