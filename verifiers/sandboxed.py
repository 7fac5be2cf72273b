"""Scorers that run what a policy wrote: each sample by itself, in a sandbox that is lent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from verifiers.base import P, Sample, Score, Scorer
from verifiers.boundary import Boundary
from verifiers.errors import SandboxUnavailable
from verifiers.place import Place, Settle
from verifiers.sandbox.pool import SandboxError

if TYPE_CHECKING:
    from verifiers.sandbox.pool import Sandbox

logger = logging.getLogger(__name__)

ATTEMPTS = 2
"""A sandbox that fails is replaced, and the sample tried once more, before it is an error."""


class SandboxedScorer(Scorer[P]):
    """Implement `score_one`. Where layers of the sandbox are missing and programs are run all the
    same, `details.degraded` says so."""

    lane = "sandbox"

    @abstractmethod
    async def score_one(self, sample: Sample, sandbox: Sandbox) -> Score:
        """Scores one sample.

        Raises:
            ScoringError: the sample cannot be scored through no fault of the completion.
            SandboxError: the sandbox failed.
        """

    @final
    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        sandbox = await place.sandbox()

        async def score(position: int, sample: Sample) -> None:
            boundary = Boundary(self, [sample])
            with boundary:
                self.check(sample)
                boundary.scores = [await self._tried(sample, sandbox)]
            settle(position, boundary.scores[0])

        async with asyncio.TaskGroup() as group:
            for position, sample in enumerate(samples):
                group.create_task(score(position, sample))

    async def _tried(self, sample: Sample, sandbox: Sandbox) -> Score:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(SandboxError):
                return self._marked(await self.score_one(sample, sandbox), sandbox)
        try:
            return self._marked(await self.score_one(sample, sandbox), sandbox)
        except SandboxError as error:
            logger.error("%s: %s", self.name, error)
            raise SandboxUnavailable("the sandbox failed on this sample, twice") from error

    def _marked(self, score: Score, sandbox: Sandbox) -> Score:
        if sandbox.faults and score.error is None:
            score.details["degraded"] = list(sandbox.faults)
        return score
