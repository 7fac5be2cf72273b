"""Makes a judge's values mean what they say, by what was fitted on labelled data.

A calibration maps a value in [0, 1] to the probability that the label is 1. It is small enough to
stand in a scorer's spec, which makes it part of the digest.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from verifiers.base import Parameters

MIN_TEMPERATURE = 1e-3
MAX_TEMPERATURE = 1e3
SEARCH_STEPS = 100
"""Halvings of a golden section: the temperature is then known to twelve digits."""

MAX_KNOTS = 1_000

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Temperature(Parameters):
    """p = 1 / (1 + exp(-(2 v - 1) / T)): one parameter, and 1/2 stays 1/2.

    The logit is the margin 2 v - 1, and not the logit of v, which is infinite for a verdict
    that all judges agree on.
    """

    kind: Literal["temperature"] = Field("temperature", description="One parameter.")
    temperature: float = Field(
        ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE, description="High where verdicts say too much."
    )

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


Calibration = Annotated[Temperature | Isotonic, Field(discriminator="kind")]


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)), without overflow."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


def softplus(logit: float) -> float:
    """log(1 + exp(logit)), without overflow: the loss of a label 0."""
    return max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))


def fitted_temperature(values: Sequence[float], labels: Sequence[bool]) -> Temperature:
    """The temperature under which the labels are likeliest, by golden section over its logarithm.

    The negative log-likelihood is convex in 1/T, and so has one minimum over log T.
    """
    margins = [(2.0 * v - 1.0) * (1 if y else -1) for v, y in zip(values, labels, strict=True)]

    def loss(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        return math.fsum(softplus(-margin * inverse) for margin in margins)

    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(SEARCH_STEPS):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) <= loss(b) else (a, high)
    found = math.exp((low + high) / 2.0)
    return Temperature(temperature=min(MAX_TEMPERATURE, max(MIN_TEMPERATURE, found)))


def fitted_isotonic(values: Sequence[float], labels: Sequence[bool]) -> Isotonic:
    """Pool adjacent violators (Ayer et al., 1955), with equal values pooled first."""
    pools: list[tuple[float, float, int]] = []  # last value, sum of labels, count
    points = sorted(zip(values, labels, strict=True))
    for value, label in points:
        pools.append((value, float(label), 1))
        while len(pools) > 1 and violates(pools[-2], pools[-1]):
            (_, total, count), (last, more, extra) = pools[-2:]
            pools[-2:] = [(last, total + more, count + extra)]
    knots = flattened(pools, [value for value, _ in points])
    return Isotonic(values=[x for x, _ in knots], probabilities=[y for _, y in knots])


def violates(left: tuple[float, float, int], right: tuple[float, float, int]) -> bool:
    return left[0] == right[0] or left[1] / left[2] >= right[1] / right[2]


def flattened(
    pools: Sequence[tuple[float, float, int]], values: Sequence[float]
) -> list[tuple[float, float]]:
    """The first and last value of each pool with the pool's mean: a step as two knots."""
    knots: list[tuple[float, float]] = []
    start = 0
    for last, total, count in pools:
        mean = total / count
        first = values[start]
        start += count
        knots += [(first, mean)] if first == last else [(first, mean), (last, mean)]
    return knots
