"""Where scorers run: what a lane lends to them.

A scorer has one entrance, `score_each(samples, settle, place)`, and asks of its place what it
cannot have of its own: to follow a rule where others must not wait for it and where it can be
killed, or a sandbox for programs that a policy wrote. A lane of the service is a place; so is a
process of the lane `cpu`, and so is whoever scores without a service.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from verifiers.boundary import Rule, attempt
from verifiers.errors import SandboxUnavailable
from verifiers.sample import Sample
from verifiers.score import Score

if TYPE_CHECKING:
    from verifiers.sandbox.pool import Sandbox

Settle = Callable[[int, Score], None]
"""Is told the position of a sample and its score, once for each, in any order."""

SLICE_S = 0.002
"""How long rules hold the event loop before they let others in."""


class Place:
    """An event loop, which rules share with others."""

    async def follow(self, rule: Rule, samples: Sequence[Sample], settle: Settle) -> None:
        """Settles every sample by `rule`, in slices of time."""
        slice_ends = time.perf_counter() + SLICE_S
        for position, sample in enumerate(samples):
            settle(position, attempt(rule, sample))
            if time.perf_counter() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = time.perf_counter() + SLICE_S

    async def sandbox(self) -> Sandbox:
        """Where programs are run.

        Raises:
            SandboxUnavailable: not here, or not now.
        """
        raise SandboxUnavailable("no programs are run in this place")
