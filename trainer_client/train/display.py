"""What a run says while it goes on: one progress bar, and lines above it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from trainer_client.types import Outage


class Display:
    """Writes to `console`; where that is no terminal, only the lines."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Bar | None = None

    def say(self, text: str) -> None:
        self.console.print(text)

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as progress:
            task = progress.add_task(title, total=total, completed=done, state="")
            self._bar = Bar(progress, task)
            try:
                yield self._bar
            finally:
                self._bar = None

    def outage(self, outage: Outage) -> None:
        """The client calls this from its own thread."""
        if outage.over:
            self.say(f"The reward service answers again, after {outage.duration_s:.0f} s.")
        else:
            self.say(
                f"The reward service at {outage.url} does not answer ({outage.reason}); waiting."
            )
        if self._bar is not None:
            self._bar.wait(not outage.over)


class Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._state = ""
        self._waiting = False

    def update(self, done: int, state: str) -> None:
        self._state = state
        self._show(done)

    def wait(self, waiting: bool) -> None:
        self._waiting = waiting
        self._show()

    def _show(self, done: int | None = None) -> None:
        state = "[yellow]waiting for the reward service[/]" if self._waiting else self._state
        self._progress.update(self._task, state=state, completed=done)
