"""Stops sending to an endpoint that does nothing but fail, and tries it now and then."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from judges.llm.failures import CircuitOpen

MAX_COOL_S = 60.0
"""Between two trials, and for a call without a deadline to wait."""


class Circuit:
    """Opens after `threshold` failures in a row, for a while that doubles each time.

    Calls then wait. After that while one is let through: it closes the circuit for all, or
    opens it for longer. So a short outage delays calls, and a long one is hardly noticed by
    the endpoint that has it.
    """

    def __init__(self, threshold: int, cool_s: float) -> None:
        self._threshold = threshold
        self._first_cool_s = self._cool_s = cool_s
        self._failures = 0
        self._open_until: float | None = None
        self._closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    async def admit(self, deadline: float | None) -> None:
        """Waits until a call may be sent.

        Raises:
            CircuitOpen: that would not be before the deadline.
        """
        deadline = time.monotonic() + MAX_COOL_S if deadline is None else deadline
        while self._open_until is not None:
            left_s = self._open_until - time.monotonic()
            if left_s <= 0:
                # This call is the trial. The others wait for it, or as long again: one that
                # is never heard of blocks nobody for longer.
                self._open_until = time.monotonic() + self._cool_s
                return
            if time.monotonic() + left_s > deadline:
                raise CircuitOpen(
                    f"the endpoint failed {self._failures} times in a row, "
                    f"and is not tried again for {left_s:.1f} s"
                )
            await closed_within(self._closed, left_s)

    def succeeded(self) -> None:
        self._failures = 0
        self._cool_s = self._first_cool_s
        if self._open_until is not None:
            self._open_until = None
            self._closed.set()
            self._closed = asyncio.Event()

    def failed(self) -> None:
        self._failures += 1
        if self._failures < self._threshold:
            return
        if self._open_until is not None:
            self._cool_s = min(self._cool_s * 2, MAX_COOL_S)
        self._open_until = time.monotonic() + self._cool_s


async def closed_within(closed: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await closed.wait()
