"""How much better than its group each completion did. Pure functions over plain numbers.

A reward is None where the completion could not be scored. Such a completion stays out of
the group's mean and deviation and has advantage 0: nothing is learned from it, and its
neighbours are compared with those that were scored.

| estimator | advantage of reward r in a group of n scored rewards                            |
| grpo      | (r - mean) / (deviation + EPSILON), sample deviation (Shao et al. 2024, eq. 1)  |
| dr_grpo   | r - mean: no preference for groups with little spread (Liu et al. 2025)         |
| rloo      | r - mean of the n - 1 others (Ahmadian et al. 2024)                             |
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

Estimator = Literal["grpo", "dr_grpo", "rloo"]

EPSILON = 1e-4
"""Keeps a group of nearly equal rewards from being blown up to unit deviation."""


def advantages(rewards: Sequence[float | None], estimator: Estimator) -> list[float]:
    """One advantage for each of a group's rewards; zeros where the group has no spread."""
    scored = [reward for reward in rewards if reward is not None]
    if not has_spread(rewards):
        return [0.0] * len(rewards)
    mean = fmean(scored)
    scale = 1.0
    if estimator == "grpo":
        scale = 1 / (stdev(scored) + EPSILON)
    elif estimator == "rloo":
        scale = len(scored) / (len(scored) - 1)
    return [0.0 if reward is None else (reward - mean) * scale for reward in rewards]


def has_spread(rewards: Sequence[float | None]) -> bool:
    """Whether the scored rewards differ: without that there is nothing to prefer."""
    return len({reward for reward in rewards if reward is not None}) > 1
