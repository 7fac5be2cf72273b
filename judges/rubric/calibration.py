"""Makes a judge's values mean what they say, by what was fitted on labelled data.

A calibration maps a value in [0, 1] to the probability that the label is 1. It is small enough to
stand in a scorer's spec, which makes it part of the digest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from judges.statistics import interpolated, isotonic, lowest_scale, sigmoid, softplus
from verifiers.base import Parameters

MIN_TEMPERATURE = 1e-3
MAX_TEMPERATURE = 1e3
LEAST_DOUBT = 1e-3
"""A verdict in words is worth 0 or 1, of which the logit is infinite."""

MAX_KNOTS = 1_000

Share = Annotated[float, Field(ge=0.0, le=1.0)]


Scale = Annotated[float, Field(ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)]


class Temperature(Parameters):
    """p = sigmoid(logit(v) / T), for values that are probabilities (arXiv 1706.04599)."""

    kind: Literal["temperature"] = Field("temperature", description="For probabilities.")
    temperature: Scale = Field(description="Above 1 where values claim too much.")

    def __call__(self, value: float) -> float:
        return sigmoid(logit(value) / self.temperature)


class Vote(Parameters):
    """p = sigmoid((2 v - 1) / T), for values that are shares of votes.

    The logit of a weighted vote is its margin, times the sum of the weights, as long as judges
    err independently; T makes up for how far they do not.
    """

    kind: Literal["vote"] = Field("vote", description="For shares of votes.")
    temperature: Scale = Field(description="High where the margin says little.")

    def __call__(self, value: float) -> float:
        return sigmoid((2.0 * value - 1.0) / self.temperature)


class Isotonic(Parameters):
    """The least-squares non-decreasing function through the data, linear between its knots."""

    kind: Literal["isotonic"] = Field("isotonic", description="As many parameters as it takes.")
    values: list[Share] = Field(
        min_length=1, max_length=MAX_KNOTS, description="Values of judges, rising."
    )
    probabilities: list[Share] = Field(
        min_length=1, max_length=MAX_KNOTS, description="The probability at each, never falling."
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.values) != len(self.probabilities):
            raise ValueError("`values` and `probabilities` are of one length")
        if any(b <= a for a, b in pairwise(self.values)):
            raise ValueError("`values` must rise")
        if any(b < a for a, b in pairwise(self.probabilities)):
            raise ValueError("`probabilities` may not fall")
        return self

    def __call__(self, value: float) -> float:
        return interpolated(value, self.values, self.probabilities)


Calibration = Annotated[Vote | Temperature | Isotonic, Field(discriminator="kind")]


def logit(value: float) -> float:
    """log(v / (1 - v)), of a value that is kept away from 0 and 1."""
    kept = min(1.0 - LEAST_DOUBT, max(LEAST_DOUBT, value))
    return math.log(kept / (1.0 - kept))


def fitted_temperature(values: Sequence[float], labels: Sequence[bool]) -> Temperature:
    return Temperature(temperature=likeliest_scale([logit(v) for v in values], labels))


def fitted_vote(values: Sequence[float], labels: Sequence[bool]) -> Vote:
    return Vote(temperature=likeliest_scale([2.0 * v - 1.0 for v in values], labels))


def likeliest_scale(logits: Sequence[float], labels: Sequence[bool]) -> float:
    """The T of the likeliest labels under sigmoid(logit / T).

    The negative log-likelihood is convex in 1/T, and so has one minimum over log T.
    """
    margins = [x if label else -x for x, label in zip(logits, labels, strict=True)]

    def loss(scale: float) -> float:
        return math.fsum(softplus(-margin / scale) for margin in margins)

    return lowest_scale(loss, MIN_TEMPERATURE, MAX_TEMPERATURE)


def fitted_isotonic(values: Sequence[float], labels: Sequence[bool]) -> Isotonic:
    knots = isotonic(values, labels)
    return Isotonic(values=list(knots), probabilities=list(knots.values()))
