"""The reference set: where a raw reward lies among its rewards, and what guards leave of it.

It is called a baseline here, since `reference` elsewhere is what is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field

from judges.statistics import interpolated

if TYPE_CHECKING:
    from torch import Tensor

QUANTILES = 101
"""The reference set's 0th to 100th percentile."""

CAP_PERCENTILE = 0.05
"""The share of the reference set that a flagged text beats, at most."""


class Baseline(BaseModel):
    """The raw rewards of natural completions that the model was not trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    count: int = Field(ge=1)
    mean: float
    std: float = Field(ge=0, description="Population deviation.")
    quantiles: tuple[float, ...] = Field(min_length=QUANTILES, max_length=QUANTILES)

    @classmethod
    def of(cls, rewards: Tensor) -> Self:
        """From raw rewards: (count,)."""
        import torch

        rewards = rewards.double()
        steps = torch.linspace(0, 1, QUANTILES, dtype=torch.double)
        return cls(
            count=len(rewards),
            mean=float(rewards.mean()),
            std=float(rewards.std(correction=0)),
            quantiles=tuple(torch.quantile(rewards, steps).tolist()),
        )


def scale(baseline: Baseline | None) -> float:
    """The reference set's deviation; 1 where there is none."""
    return baseline.std if baseline and baseline.std > 0 else 1.0


def normalised(raw: float, baseline: Baseline | None) -> float:
    """Deviations above the reference set's mean; the raw reward where there is none."""
    return (raw - (baseline.mean if baseline else 0.0)) / scale(baseline)


def percentile(raw: float, baseline: Baseline) -> float:
    """The share of the reference set below `raw`, in [0, 1]."""
    steps = baseline.quantiles
    return interpolated(raw, steps, range(len(steps))) / (len(steps) - 1)


def quantile(share: float, baseline: Baseline) -> float:
    """The raw reward that `share` of the reference set does not exceed."""
    steps = baseline.quantiles
    return interpolated(share * (len(steps) - 1), range(len(steps)), steps)


def guarded(raw: float, penalty: float, cap: float | None, baseline: Baseline) -> float:
    """What guards leave of a raw reward.

    Args:
        penalty: deviations of the reference set; see `Guards.penalty`.
        cap: the share of the reference set that the text may beat; None where nothing is flagged.
    """
    left = raw - penalty * scale(baseline)
    return left if cap is None else min(left, quantile(cap, baseline))
