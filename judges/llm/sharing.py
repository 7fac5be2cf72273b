"""Equal asks in flight share one answer."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Hashable

from judges.llm.base import Usage
from judges.llm.cache import Recorded
from judges.llm.caller import Caller
from judges.llm.failures import CapReached, GivenUp, NoAnswer


class Flight:
    """One answer on its way, and those who wait for it.

    It lasts for whoever waits longest. When nobody waits any more it is called off, unless a
    call has been sent: that is paid for, so its reply is still recorded.
    """

    def __init__(self, payer: Caller) -> None:
        self.payer = payer
        self.deadline = payer.deadline
        self.waiting = 0
        self.sent = False
        self.used = Usage()
        """By all its calls, those that came to nothing included."""
        self.task: asyncio.Task[Recorded]

    def join(self, caller: Caller) -> None:
        self.waiting += 1
        if self.deadline is not None:
            self.deadline = None if caller.deadline is None else max(self.deadline, caller.deadline)

    def leave(self) -> None:
        self.waiting -= 1
        if not self.waiting and not self.sent:
            self.task.cancel()

    def check(self) -> None:
        """Lets a call be prepared.

        Raises:
            GivenUp: nobody waits for it.
        """
        self.sent = False
        if not self.waiting:
            raise GivenUp("nobody waits for this reply any more")

    def lasts(self, seconds: float) -> bool:
        """Somebody still waits so much longer."""
        in_time = self.deadline is None or time.monotonic() + seconds < self.deadline
        return self.waiting > 0 and in_time


def unpaid(failure: NoAnswer) -> NoAnswer:
    """The failure as it is for those who shared the calls of another."""
    copied = copy.copy(failure)
    copied.used = Usage()
    return copied


class Flights:
    """The answers on their way, by what was asked."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Flight] = {}

    async def share(
        self, key: Hashable, caller: Caller, answer: Callable[[Flight], Awaitable[Recorded]]
    ) -> tuple[Recorded, bool]:
        """The answer to `key`, and whether it was sought for this caller alone or first.

        A caller is never refused for another's empty purse: it then pays itself.
        """
        while True:
            flight, first = self._open.get(key), False
            if flight is None or flight.task.done():
                flight, first = self._depart(key, caller, answer), True
            try:
                return await self._wait(key, flight, caller), first
            except NoAnswer as failure:
                if first:
                    raise
                if not isinstance(failure, CapReached) or flight.payer == caller:
                    raise unpaid(failure) from None

    def _depart(
        self, key: Hashable, caller: Caller, answer: Callable[[Flight], Awaitable[Recorded]]
    ) -> Flight:
        flight = Flight(caller)

        async def fly() -> Recorded:
            return await answer(flight)

        flight.task = asyncio.create_task(fly())
        flight.task.add_done_callback(lambda task: self._land(key, flight))
        self._open[key] = flight
        return flight

    async def _wait(self, key: Hashable, flight: Flight, caller: Caller) -> Recorded:
        flight.join(caller)
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if flight.task.cancelled() and me is not None and not me.cancelling():
                raise GivenUp("the judges were closed before this reply came") from None
            raise
        finally:
            flight.leave()
            if not flight.waiting and not flight.sent:
                self._close(key, flight)

    def _land(self, key: Hashable, flight: Flight) -> None:
        self._close(key, flight)
        if not flight.task.cancelled():
            flight.task.exception()  # seen, though nobody may have waited to the end

    def _close(self, key: Hashable, flight: Flight) -> None:
        if self._open.get(key) is flight:
            del self._open[key]

    async def end(self) -> None:
        """Calls off all that is on its way."""
        tasks = [flight.task for flight in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
