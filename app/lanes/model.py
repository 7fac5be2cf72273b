"""The `model` lane: reward models, whose texts wait in one queue and run in batches."""

from __future__ import annotations

from app.lanes.lane import Lane
from judges.reward_model.serve.pool import RewardModels


class ModelLane(Lane):
    """Scores on the service's reward models. With none, which is no fault, it has no work."""

    name = "model"

    def __init__(self, models: RewardModels, *, capacity: int) -> None:
        super().__init__(capacity)
        self._models = models

    async def start(self) -> None:
        await self._models.start()

    async def stop(self) -> None:
        await self._models.stop()

    def fault(self) -> str | None:
        return "; ".join(self._models.faults()) or None
