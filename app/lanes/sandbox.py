"""The `sandbox` lane: programs that policies wrote, a few at a time, where they do no harm."""

from __future__ import annotations

import logging

from app.lanes.lane import Lane
from verifiers.errors import SandboxUnavailable
from verifiers.sandbox.pool import Sandbox
from verifiers.sandbox.probe import probe

logger = logging.getLogger(__name__)


class SandboxLane(Lane):
    """Lends `workers` zygotes, once a probe has seen that the sandbox holds.

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

    async def start(self) -> None:
        if not self._workers:
            return
        if faults := await probe(self._sandbox):
            logger.error("the sandbox does not hold: %s", "; ".join(faults))
        else:
            logger.info("sandbox layers: %s", ", ".join(self._sandbox.layers))

    async def stop(self) -> None:
        await self._sandbox.stop()
        self._sandbox.faults = ("the sandbox lane has stopped",)

    def fault(self) -> str | None:
        if not self._workers or self._allow_degraded:
            return None
        return "; ".join(self._sandbox.faults) or None

    async def sandbox(self) -> Sandbox:
        if not self._workers:
            raise SandboxUnavailable("this service runs no programs: sandbox_workers is 0")
        if (fault := self.fault()) is not None:
            raise SandboxUnavailable(f"programs are not run here: {fault}")
        return self._sandbox
