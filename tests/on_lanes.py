"""Scores samples as the service does: through its scheduler, each scorer on its own lane."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from app.hosting import Hosted
from app.http.metrics import Metrics
from app.main import create_registry, create_scheduler
from app.settings import Settings
from verifiers.base import Sample, Score, Scorer
from verifiers.registry import Registry


class Lanes:
    """A scheduler on an event loop in a thread of its own, started at first use."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        settings = Settings(
            cpu_workers=1, sandbox_workers=1 if sys.platform == "linux" else 0, judge_store=""
        )
        hosted = Hosted.of(settings)
        self._scheduler = create_scheduler(settings, Metrics(), hosted)
        self.registry: Registry = create_registry(settings, self._scheduler.run, hosted)
        self._wait_for(self._scheduler.start())

    def scores(self, scorer: Scorer[Any], samples: Sequence[Sample]) -> list[Score]:
        async def scored() -> list[Score]:
            return await self._scheduler.submit([scorer] * len(samples), samples).result()

        return self._wait_for(scored()) if samples else []

    def stop(self) -> None:
        self._wait_for(self._scheduler.stop(grace_s=0))

    def _wait_for(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@cache
def lanes() -> Lanes:
    return Lanes()
