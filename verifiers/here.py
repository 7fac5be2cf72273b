"""A place of one's own: for scoring without a service."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from verifiers.errors import SandboxUnavailable
from verifiers.place import Place
from verifiers.sandbox.pool import Sandbox
from verifiers.sandbox.probe import probe


class Here(Place):
    """This process, for use without a service: nothing is killed, and a sandbox made at need."""

    def __init__(self, *, sandbox_workers: int = 1) -> None:
        self._sandbox_workers = sandbox_workers
        self._sandbox: Sandbox | None = None

    async def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = Sandbox(workers=self._sandbox_workers)
            await probe(self._sandbox)
        if self._sandbox.faults:
            raise SandboxUnavailable("; ".join(self._sandbox.faults))
        return self._sandbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._sandbox is not None:
            await self._sandbox.stop()
