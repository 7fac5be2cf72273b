"""How much better than its group each completion did, as the trainers compute it.

A reward is None where the completion could not be scored. Such a completion stays out of mean
and deviation, and its advantage is None, too. A group whose rewards are all equal gets zeros.

| estimator | advantage of reward r in a group of n scored rewards                             |
| grpo      | (r - mean) / (deviation + eps) (Shao et al. 2024, section 4.1.2)                 |
| verl      | the same, but a group of one has mean 0 and deviation 1: r / (1 + eps)           |
| dr_grpo   | r - mean (Liu et al. 2025)                                                       |
| rloo      | r - mean of the n - 1 others (Ahmadian et al. 2024)                              |
| none      | r                                                                                |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Estimator = Literal["grpo", "verl", "dr_grpo", "rloo", "none"]
Preset = Literal["trl", "grpo", "trl_async", "verl", "dr_grpo", "rloo", "none"]

DIVIDES_BY_DEVIATION: Final = frozenset({"grpo", "verl"})
DEFAULT_EPS: Final = {"grpo": 1e-4, "verl": 1e-6}


class Advantage(BaseModel):
    """An estimator with its constants. `ddof` and `eps` are null where nothing is divided."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    estimator: Estimator
    ddof: Literal[0, 1] | None = Field(
        None,
        description="What is subtracted from n in the variance: 1 for the sample deviation "
        "(the default), 0 for the population's.",
    )
    eps: float | None = Field(
        None,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="Added to the deviation. Default: 1e-4, of `verl` 1e-6.",
    )

    @model_validator(mode="after")
    def _constants_belong_to_deviations(self) -> Self:
        divides = self.estimator in DIVIDES_BY_DEVIATION
        ddof = 1 if self.ddof is None else self.ddof
        eps = DEFAULT_EPS.get(self.estimator, 0.0) if self.eps is None else self.eps
        # The model is frozen for everyone else.
        object.__setattr__(self, "ddof", ddof if divides else None)
        object.__setattr__(self, "eps", eps if divides else None)
        return self


TRL: Final = Advantage(estimator="grpo", ddof=1, eps=1e-4)
PRESETS: Final[Mapping[Preset, Advantage]] = {
    "trl": TRL,  # GRPOTrainer
    "grpo": TRL,
    "trl_async": Advantage(estimator="grpo", ddof=0, eps=1e-8),  # AsyncGRPOTrainer
    "verl": Advantage(estimator="verl", ddof=1, eps=1e-6),
    "dr_grpo": Advantage(estimator="dr_grpo"),
    "rloo": Advantage(estimator="rloo"),
    "none": Advantage(estimator="none"),
}


def advantages(rewards: Sequence[float | None], advantage: Advantage) -> list[float | None]:
    """One advantage for each of a group's rewards, None where there is no reward."""
    scored = [reward for reward in rewards if reward is not None]
    shift, scale = 0.0, 1.0
    if advantage.estimator == "verl" and len(rewards) == 1:
        scale = 1 / (1 + (advantage.eps or 0.0))
    elif advantage.estimator != "none":
        shift, scale = shift_and_scale(scored, advantage)
    return [None if reward is None else (reward - shift) * scale for reward in rewards]


def shift_and_scale(scored: Sequence[float], advantage: Advantage) -> tuple[float, float]:
    """What is subtracted from every reward, and what the rest is multiplied by."""
    if len(set(scored)) < 2:
        return 0.0, 0.0
    mean, n = fmean(scored), len(scored)
    if advantage.estimator == "rloo":
        return mean, n / (n - 1)
    if advantage.ddof is None or advantage.eps is None:
        return mean, 1.0
    squares = math.fsum((reward - mean) ** 2 for reward in scored)
    divisor = math.sqrt(squares / (n - advantage.ddof)) + advantage.eps
    # Rewards that differ by less than their squares can hold have no spread to speak of.
    return mean, 1 / divisor if divisor > 0 else 0.0
