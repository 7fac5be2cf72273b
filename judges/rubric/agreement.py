"""How well judges agree with labels. Pure; values and probabilities lie in [0, 1], labels are bool.

A value above 1/2 says yes, below says no, and 1/2 itself counts half for either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959963984540054
"""Of the normal distribution: two-sided bounds at 95 %."""

BINS = 10

Values = Sequence[float]
Labels = Sequence[bool]


def vote(value: float) -> float:
    """1 for yes, 0 for no, 1/2 for neither."""
    return 0.5 if value == 0.5 else float(value > 0.5)


def accuracy(values: Values, labels: Labels) -> float:
    """The share of labels that were met, those with no vote counting half."""
    return mean([1.0 - abs(vote(v) - y) for v, y in zip(values, labels, strict=True)])


def hit_rates(values: Values, labels: Labels) -> list[tuple[float, int]]:
    """(hits, count) among the labels that are true, and among those that are false."""
    found = []
    for wanted in (True, False):
        hits = [1.0 - abs(vote(v) - y) for v, y in zip(values, labels, strict=True) if y == wanted]
        found.append((math.fsum(hits), len(hits)))
    return found


def balanced_accuracy(values: Values, labels: Labels) -> float:
    """The mean hit rate over both labels: 1/2 for whoever does not look, however rare a label."""
    rates = [hits / count for hits, count in hit_rates(values, labels) if count]
    return mean(rates)


def balanced_lower_bound(values: Values, labels: Labels) -> float:
    """The lower 95 % bound of the balanced accuracy; 0 where a label is missing.

    Wilson's bound for either hit rate, joined by the square-and-add method (Newcombe, 1998,
    Statistics in Medicine 17): b = mean rate - sqrt(sum of (rate - its bound)^2) / 2.
    """
    rates = hit_rates(values, labels)
    if any(count == 0 for _, count in rates):
        return 0.0
    shares = [hits / count for hits, count in rates]
    gaps = [share - wilson_lower(*rate) for share, rate in zip(shares, rates, strict=True)]
    return max(0.0, mean(shares) - math.sqrt(math.fsum(gap * gap for gap in gaps)) / 2.0)


def wilson_lower(hits: float, count: int, z: float = Z) -> float:
    """The lower bound of a share (Wilson, 1927): sound also where nearly all are hits."""
    share = hits / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, (centre - spread) / (1 + z * z / count))


def kappa(values: Values, labels: Labels) -> float:
    """Cohen's kappa: the agreement beyond what the two shares of yes make likely by chance.

    Nobody agrees beyond chance where one of the two always says the same: that is 0.
    """
    yes, true = mean([vote(v) for v in values]), mean([float(y) for y in labels])
    by_chance = yes * true + (1 - yes) * (1 - true)
    if by_chance == 1.0:
        return 0.0
    return (accuracy(values, labels) - by_chance) / (1 - by_chance)


def calibration_error(probabilities: Values, labels: Labels, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap between probability and share, over equal bins."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for probability, label in zip(probabilities, labels, strict=True):
        members[min(bins - 1, int(probability * bins))].append((probability, label))
    gaps = (abs(math.fsum(p - y for p, y in bin_)) for bin_ in members)
    return math.fsum(gaps) / len(probabilities)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
