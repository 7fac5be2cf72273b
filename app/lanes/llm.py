"""The `llm` lane: scorers that wait for LLM judges, whose own limits are the only ones here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from app.lanes.lane import Batch, Lane
from judges.llm.base import Divisible
from judges.llm.hosting import Judges
from verifiers.base import InternalError, Score, ScoringError

logger = logging.getLogger(__name__)


class LlmLane(Lane):
    """Scores what need not be scored together each on its own, and settles it at once.

    So a deadline discards no finished verdict, and one that fails harms no other. Without
    judges the lane is off, which is no fault.
    """

    name = "llm"

    def __init__(self, judges: Judges, capacity: int) -> None:
        super().__init__(capacity)
        self._judges = judges

    async def start(self) -> None:
        await self._judges.start()

    async def stop(self) -> None:
        await self._judges.close()

    def fault(self) -> str | None:
        """None while any judge answers: one that is down must not take the others with it."""
        return self._complaints() if len(self._judges.faults()) == len(self._judges) else None

    def note(self) -> str | None:
        return self._complaints() if self._judges else "no judge is configured"

    def _complaints(self) -> str | None:
        faults = self._judges.faults()
        return "; ".join(f"judge {name}: {fault}" for name, fault in faults.items()) or None

    async def run(self, batch: Batch) -> None:
        scorer = batch.scorer
        if not isinstance(scorer, Divisible):
            await scorer.score_each(batch.samples, batch.settle)
            return
        async with asyncio.TaskGroup() as group:
            for part in scorer.parts(batch.samples):
                group.create_task(self._score(batch, part))

    async def _score(self, batch: Batch, part: Sequence[int]) -> None:
        for position, score in zip(part, await scores_of(batch, part), strict=True):
            batch.settle(position, score)


async def scores_of(batch: Batch, part: Sequence[int]) -> list[Score]:
    """The scores of some samples of a batch; whatever goes wrong fails these alone."""
    try:
        scores = await batch.scorer.score([batch.samples[position] for position in part])
        if len(scores) == len(part):
            return scores
        logger.error("%s gave %d of %d", batch.scorer.name, len(scores), len(part))
    except ScoringError as error:
        return [Score.failed(error) for _ in part]
    except Exception:
        logger.exception("%s failed on a part of a batch", batch.scorer.name)
    return [Score.failed(InternalError(f"{batch.scorer.name} failed")) for _ in part]
