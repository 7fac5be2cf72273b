"""Stops asking an endpoint that does nothing but fail, and tries it now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from judges.llm.failures import CircuitOpen

MAX_COOL_S = 60.0


class Circuit:
    """Opens after `threshold` failures in a row, for a while that doubles each time.

    After that while one call is let through. It closes the circuit, or opens it for longer.
    """

    def __init__(
        self, threshold: int, cool_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._threshold = threshold
        self._first_cool_s = self._cool_s = cool_s
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def check(self) -> None:
        """Lets one call pass.

        Raises:
            CircuitOpen: none may, now.
        """
        if self._open_until is None:
            return
        if (left_s := self._open_until - self._clock()) > 0:
            raise CircuitOpen(
                f"the endpoint failed {self._failures} times in a row; "
                f"it is tried again in {left_s:.1f} s"
            )
        # This call is the trial. Others wait for it as for another cool time, so that a
        # trial that is never heard of again blocks nobody for longer.
        self._open_until = self._clock() + self._cool_s

    def succeeded(self) -> None:
        self._failures = 0
        self._open_until = None
        self._cool_s = self._first_cool_s

    def failed(self) -> None:
        self._failures += 1
        if self._failures < self._threshold:
            return
        if self._open_until is not None:
            self._cool_s = min(self._cool_s * 2, MAX_COOL_S)
        self._open_until = self._clock() + self._cool_s
