"""Where a raw reward lies among those of the reference set, and what guards leave of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judges.reward_model.model.model import Reference

CAP_PERCENTILE = 0.05
"""The share of the reference set that a flagged text beats, at most."""


def scale(reference: Reference | None) -> float:
    """The reference set's deviation; 1 where there is none."""
    return reference.std if reference and reference.std > 0 else 1.0


def normalised(raw: float, reference: Reference | None) -> float:
    """Deviations above the reference set's mean; the raw reward where there is none."""
    return (raw - (reference.mean if reference else 0.0)) / scale(reference)


def percentile(raw: float, reference: Reference) -> float:
    """The share of the reference set below `raw`, in [0, 1]."""
    steps = reference.quantiles
    above = bisect_right(steps, raw)
    if above == 0:
        return 0.0
    if above == len(steps):
        return 1.0
    low, high = steps[above - 1], steps[above]
    return (above - 1 + (raw - low) / (high - low)) / (len(steps) - 1)


def quantile(share: float, reference: Reference) -> float:
    """The raw reward that `share` of the reference set does not exceed."""
    place = share * (len(reference.quantiles) - 1)
    below = min(math.floor(place), len(reference.quantiles) - 2)
    low, high = reference.quantiles[below : below + 2]
    return low + (high - low) * (place - below)


def guarded(raw: float, penalty: float, cap: float | None, reference: Reference) -> float:
    """What guards leave of a raw reward.

    Args:
        penalty: deviations of the reference set; see `Guards.penalty`.
        cap: the share of the reference set that the text may beat; None where nothing is flagged.
    """
    left = raw - penalty * scale(reference)
    return left if cap is None else min(left, quantile(cap, reference))
