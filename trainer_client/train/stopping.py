"""What ends a run before its time, between two steps and with a checkpoint."""

from __future__ import annotations

import signal
from concurrent.futures import Future, wait
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from trainer_client.types import MonitorVerdict

POLL_S = 0.5
"""How often a wait looks for a signal."""

T = TypeVar("T")


class Stopped(Exception):
    """The run was told to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class TooManyUnscored(Exception):
    """So many completions could not be scored that a run would learn from a biased rest."""


class OverOptimised(Exception):
    """The reward rises while what it stands for falls: from here on, the run makes it worse."""

    def __init__(self, verdict: MonitorVerdict) -> None:
        super().__init__(f"the reward is over-optimised: {verdict.reason}")
        self.verdict = verdict


class StopSignals:
    """Catches the first Ctrl-C or SIGTERM inside its `with`; a second one kills as ever."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        signal.signal(number, self._before[number])

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self._received is not None:
            raise Stopped(self._received)

    def result_of(self, future: Future[T]) -> T:
        """What `future` brings; `check` is called before and while waiting for it."""
        self.check()
        while not wait([future], POLL_S).done:
            self.check()
        return future.result()
