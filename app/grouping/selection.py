"""Which completion of a group to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Selection = Literal["best", "shortest_correct", "majority"]


def best(rewards: Sequence[float | None], lengths: Sequence[int]) -> int | None:
    """The highest reward; of several the shortest, then the earliest. None if none is scored."""
    scored = [(-reward, lengths[i], i) for i, reward in enumerate(rewards) if reward is not None]
    return min(scored)[-1] if scored else None


def shortest_correct(correct: Sequence[bool | None], lengths: Sequence[int]) -> int | None:
    """The shortest of those known to be correct, then the earliest. None if none is."""
    candidates = [(lengths[i], i) for i, right in enumerate(correct) if right]
    return min(candidates)[-1] if candidates else None
