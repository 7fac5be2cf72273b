"""Makes a judge's values mean what they say, by what was fitted on labelled data.

A calibration maps a value in [0, 1] to the probability that the label is 1. It is small enough to
stand in a scorer's spec, which makes it part of the digest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from verifiers.base import Parameters

MIN_TEMPERATURE = 1e-3
MAX_TEMPERATURE = 1e3
SEARCH_STEPS = 60
"""Of a golden section over six decades: the temperature is then known to ten digits."""

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
        right = bisect_right(self.values, value)
        if right == 0:
            return self.probabilities[0]
        if right == len(self.values):
            return self.probabilities[-1]
        x0, x1 = self.values[right - 1 : right + 1]
        y0, y1 = self.probabilities[right - 1 : right + 1]
        return y0 + (y1 - y0) * (value - x0) / (x1 - x0)


Calibration = Annotated[Vote | Temperature | Isotonic, Field(discriminator="kind")]


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def logit(value: float) -> float:
    """log(v / (1 - v)), of a value that is kept away from 0 and 1."""
    kept = min(1.0 - LEAST_DOUBT, max(LEAST_DOUBT, value))
    return math.log(kept / (1.0 - kept))


def softplus(x: float) -> float:
    """log(1 + exp(x)), without overflow: the loss of a label 0."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def fitted_temperature(values: Sequence[float], labels: Sequence[bool]) -> Temperature:
    return Temperature(temperature=likeliest_scale([logit(v) for v in values], labels))


def fitted_vote(values: Sequence[float], labels: Sequence[bool]) -> Vote:
    return Vote(temperature=likeliest_scale([2.0 * v - 1.0 for v in values], labels))


def likeliest_scale(logits: Sequence[float], labels: Sequence[bool]) -> float:
    """The T of the likeliest labels under sigmoid(logit / T), by golden section over log T.

    The negative log-likelihood is convex in 1/T, and so has one minimum over log T.
    """
    margins = [x if label else -x for x, label in zip(logits, labels, strict=True)]

    def loss(log_scale: float) -> float:
        inverse = math.exp(-log_scale)
        return math.fsum(softplus(-margin * inverse) for margin in margins)

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(SEARCH_STEPS):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) <= loss(b) else (a, high)
    found = math.exp((low + high) / 2.0)
    return min(MAX_TEMPERATURE, max(MIN_TEMPERATURE, found))


@dataclass(slots=True)
class Pool:
    """Neighbouring values that share a probability."""

    first: float
    last: float
    total: float
    count: int

    @property
    def mean(self) -> float:
        return self.total / self.count


def fitted_isotonic(values: Sequence[float], labels: Sequence[bool]) -> Isotonic:
    """Pool adjacent violators (Ayer et al., 1955), over the means of equal values."""
    by_value: dict[float, list[bool]] = {}
    for value, label in zip(values, labels, strict=True):
        by_value.setdefault(value, []).append(label)
    pools: list[Pool] = []
    for value in sorted(by_value):
        pools.append(Pool(value, value, sum(by_value[value]), len(by_value[value])))
        while len(pools) > 1 and pools[-2].mean >= pools[-1].mean:
            right, left = pools.pop(), pools.pop()
            total, count = left.total + right.total, left.count + right.count
            pools.append(Pool(left.first, right.last, total, count))
    ends = {end: pool.mean for pool in pools for end in (pool.first, pool.last)}
    return Isotonic(values=list(ends), probabilities=list(ends.values()))
