"""The `llm` lane: scorers that wait for LLM judges, whose own limits are the only ones here."""

from __future__ import annotations

from app.lanes.lane import Lane
from judges.llm.hosting import Judges


class LlmLane(Lane):
    """Its scorers wait for judges. Without judges the lane is off, which is no fault."""

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
