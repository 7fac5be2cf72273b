"""What a reward model learned, in figures that length cannot flatter.

All take pairs and their differences: reward of the chosen completion less that of the
rejected, (pairs,). Accuracies count equal rewards as half right.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from judges.reward_model.preferences import Pair, length_balanced
from judges.statistics import lowest_scale

RESAMPLES = 1_000
CONFIDENCE = 0.95
MATCHED = math.log(1.1)
"""Lengths within a tenth of each other count as equal."""
CALIBRATION_BINS = 10
TEMPERATURES = 0.01, 100.0


@dataclass(frozen=True)
class Accuracy:
    """A share, its interval, and how many pairs it was measured on."""

    pairs: int
    value: float | None
    low: float | None = None
    high: float | None = None


def accuracy(pairs: Sequence[Pair], differences: Sequence[float], seed: int = 0) -> Accuracy:
    """With a percentile bootstrap over groups, because pairs of one prompt are not independent
    (Cameron, Gelbach and Miller 2008, pairs cluster bootstrap)."""
    if not pairs:
        return Accuracy(0, None)
    hits = [0.5 if d == 0 else float(d > 0) for d in differences]
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for pair, hit in zip(pairs, hits, strict=True):
        sums[pair.group][0] += hit
        sums[pair.group][1] += 1
    low, high = _interval(list(sums.values()), seed)
    return Accuracy(len(pairs), sum(hits) / len(hits), low, high)


def _interval(groups: list[list[float]], seed: int) -> tuple[float, float]:
    """Percentiles of the share in samples of groups: (hits, pairs) each."""
    table = torch.tensor(groups)
    generator = torch.Generator().manual_seed(seed)
    shares = torch.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        drawn = table[torch.randint(len(table), (len(table),), generator=generator)].sum(0)
        shares[resample] = drawn[0] / drawn[1]
    tail = (1 - CONFIDENCE) / 2
    low, high = torch.quantile(shares, torch.tensor([tail, 1 - tail])).tolist()
    return low, high


def longer_wins(pairs: Iterable[Pair]) -> bool:
    """What a model that saw nothing but length would have learned from these pairs."""
    return sum((p.log_length_ratio > 0) - (p.log_length_ratio < 0) for p in pairs) > 0


def by_length(pairs: Sequence[Pair], *, longer: bool) -> list[float]:
    """Differences of a model that rewards length, or the lack of it."""
    return [pair.log_length_ratio if longer else -pair.log_length_ratio for pair in pairs]


def on(
    part: Sequence[int], pairs: Sequence[Pair], differences: Sequence[float], seed: int = 0
) -> Accuracy:
    """The accuracy on these indices alone."""
    return accuracy([pairs[i] for i in part], [differences[i] for i in part], seed)


def balanced_part(pairs: Sequence[Pair], seed: int = 0) -> list[int]:
    """Indices of as many pairs won by the longer completion as by the shorter."""
    wanted = {id(pair) for pair in length_balanced(pairs, seed)}
    return [index for index, pair in enumerate(pairs) if id(pair) in wanted]


def shorter_won(pairs: Sequence[Pair]) -> list[int]:
    return [index for index, pair in enumerate(pairs) if pair.log_length_ratio < 0]


def equally_long(pairs: Sequence[Pair]) -> list[int]:
    return [index for index, pair in enumerate(pairs) if abs(pair.log_length_ratio) <= MATCHED]


# --- correlation ------------------------------------------------------------------------


def correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Pearson's; None where either does not vary."""
    both = torch.tensor([a, b], dtype=torch.double)
    if both.shape[1] < 2 or bool((both.std(1) == 0).any()):
        return None
    return float(torch.corrcoef(both)[0, 1])


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's: Pearson's of the ranks, equal values sharing their mean rank."""
    return correlation(_ranks(a), _ranks(b))


def _ranks(values: Sequence[float]) -> list[float]:
    places: dict[float, list[int]] = defaultdict(list)
    for place, value in enumerate(sorted(values)):
        places[value].append(place)
    return [sum(places[value]) / len(places[value]) for value in values]


# --- calibration ------------------------------------------------------------------------


@dataclass(frozen=True)
class Calibration:
    """How far the stated probabilities are from what happened."""

    error: float
    """Expected calibration error."""
    temperature: float
    """What differences must be divided by to state the truth best, on these pairs."""
    error_after: float
    """With that temperature. Fitted on the same pairs, so somewhat too kind."""
    bins: tuple[tuple[float, float, int], ...]
    """(mean stated probability, share of right ones, pairs)"""


def calibration(differences: Sequence[float]) -> Calibration | None:
    """Of σ(|difference|), the stated probability that the preferred one is the better one.

    Expected calibration error over bins of equal count (Naeini et al. 2015; Guo et al. 2017,
    arXiv 1706.04599, equation 3) and their temperature.
    """
    if not differences:
        return None
    values = torch.tensor(differences, dtype=torch.double)
    temperature = lowest_scale(
        lambda scale: float(-torch.nn.functional.logsigmoid(values / scale).mean()), *TEMPERATURES
    )
    error, bins = _calibration_error(values)
    return Calibration(error, temperature, _calibration_error(values / temperature)[0], bins)


def _calibration_error(
    differences: Tensor,
) -> tuple[float, tuple[tuple[float, float, int], ...]]:
    stated, order = torch.sigmoid(differences.abs()).sort()
    right = torch.where(differences == 0, 0.5, (differences > 0).double())[order]
    edges = torch.linspace(0, len(stated), min(CALIBRATION_BINS, len(stated)) + 1).long().tolist()
    bins = tuple(
        (float(stated[a:b].mean()), float(right[a:b].mean()), b - a) for a, b in pairwise(edges)
    )
    error = sum(abs(said - was) * count for said, was, count in bins) / len(stated)
    return error, bins
