"""Scorers that run what a policy wrote: one sample at a time, in a sandbox lent to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from abc import abstractmethod
from collections.abc import Sequence

from verifiers.base import InternalError, P, Sample, Score, Scorer, ScoringError
from verifiers.errors import SandboxUnavailable
from verifiers.sandbox.pool import Sandbox, SandboxError
from verifiers.sandbox.probe import probe

logger = logging.getLogger(__name__)

ATTEMPTS = 2
"""A sandbox that fails is replaced, and the sample tried once more, before it is an error."""


class SandboxedScorer(Scorer[P]):
    """Implement `score_one`. Whoever hosts it lends the sandbox: see the lane `sandbox`."""

    lane = "sandbox"

    @abstractmethod
    async def score_one(self, sample: Sample, sandbox: Sandbox) -> Score:
        """Scores one sample.

        Raises:
            ScoringError: the sample cannot be scored through no fault of the completion.
            SandboxError: the sandbox failed.
        """

    async def attempt(self, sample: Sample, sandbox: Sandbox) -> Score:
        """`score_one`, timed, with whatever it raises turned into an error."""
        started_ns = time.perf_counter_ns()
        try:
            self.check(sample)
            score = await self._score(sample, sandbox)
        except ScoringError as error:
            score = Score.failed(error)
        except Exception:
            logger.exception("%s failed on sample %r", self.name, sample.id)
            score = Score.failed(InternalError(f"{self.name} failed on this sample"))
        score.elapsed_ms = (time.perf_counter_ns() - started_ns) // 1000 / 1000
        return score

    async def _score(self, sample: Sample, sandbox: Sandbox) -> Score:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(SandboxError):
                return await self.score_one(sample, sandbox)
        try:
            return await self.score_one(sample, sandbox)
        except SandboxError as error:
            logger.error("%s: %s", self.name, error)
            raise SandboxUnavailable("the sandbox failed on this sample, twice") from error

    async def score(self, samples: Sequence[Sample]) -> list[Score]:
        """Scores `samples` in a sandbox of their own, for use without a service."""
        sandbox = Sandbox(workers=1)
        try:
            findings = await probe(sandbox)
            if findings.faults:
                error = SandboxUnavailable("; ".join(findings.faults))
                return [Score.failed(error) for _ in samples]
            return list(await asyncio.gather(*(self.attempt(s, sandbox) for s in samples)))
        finally:
            await sandbox.stop()
