"""The `sandbox` lane: programs that policies wrote, a few at a time, where they do no harm."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from app.lanes.lane import Batch, Lane
from verifiers.base import Sample, Score
from verifiers.errors import SandboxUnavailable
from verifiers.sandbox.pool import Sandbox
from verifiers.sandbox.probe import Findings, probe
from verifiers.sandboxed import SandboxedScorer

logger = logging.getLogger(__name__)


class SandboxLane(Lane):
    """Scores on `workers` zygotes, once a probe has seen that the sandbox holds.

    Where it does not, nothing is run and every sample fails with `sandbox_unavailable`;
    or, with `allow_degraded`, programs are run by what there is and every score says so in
    `details.degraded`. With no workers the lane is off, which is no fault.
    """

    name = "sandbox"

    def __init__(self, *, workers: int, capacity: int, allow_degraded: bool) -> None:
        super().__init__(capacity)
        self._workers = workers
        self._allow_degraded = allow_degraded
        self._sandbox = Sandbox(workers=workers)
        self._findings = Findings((), ("the sandbox lane has not started",))

    async def start(self) -> None:
        if self._workers:
            self._findings = await probe(self._sandbox)
            if self._findings.faults:
                logger.error("the sandbox does not hold: %s", "; ".join(self._findings.faults))
            else:
                logger.info("sandbox layers: %s", ", ".join(self._findings.layers))

    async def stop(self) -> None:
        await self._sandbox.stop()
        self._findings = Findings((), ("the sandbox lane has stopped",))

    def fault(self) -> str | None:
        if not self._workers or self._allow_degraded:
            return None
        return "; ".join(self._findings.faults) or None

    async def run(self, batch: Batch) -> None:
        assert isinstance(batch.scorer, SandboxedScorer)
        if not self._workers:
            raise SandboxUnavailable("this service runs no programs: sandbox_workers is 0")
        if (fault := self.fault()) is not None:
            raise SandboxUnavailable(f"programs are not run here: {fault}")
        scorer = batch.scorer
        async with asyncio.TaskGroup() as group:
            for position, sample in enumerate(batch.samples):
                group.create_task(self._score(scorer, sample, batch, position))

    async def _score(
        self, scorer: SandboxedScorer[Any], sample: Sample, batch: Batch, position: int
    ) -> None:
        score = await scorer.attempt(sample, self._sandbox)
        self._mark(score)
        batch.settle(position, score)

    def _mark(self, score: Score) -> None:
        if self._findings.faults and score.error is None:
            score.details["degraded"] = list(self._findings.faults)
