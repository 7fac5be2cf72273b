"""How a group's rewards, answers and lengths are spread."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from statistics import fmean, pstdev

from verifiers.base import Score


def is_correct(score: Score) -> bool | None:
    """Whether a completion is right; None where nobody can tell: unscored, or only judged."""
    if score.reward is None or score.outcome in (None, "judged"):
        return None
    return score.outcome == "correct"


def pass_at_k(n: int, correct: int, k: int) -> float | None:
    """The chance that at least one of k completions is right, from n of which some were.

    The unbiased estimator of Chen et al. 2021 (equation 1), 1 - C(n - c, k) / C(n, k): the
    share of the subsets of size k that hold a right one. None where k exceeds n.
    """
    if k > n:
        return None
    draws = math.comb(n, k)
    return (draws - math.comb(n - correct, k)) / draws


def entropy(labels: Iterable[Hashable]) -> float | None:
    """Of the shares of the labels, in nats: 0 where all are the same. None without labels."""
    counts = Counter(labels)
    total = counts.total()
    if not total:
        return None
    return math.fsum(-n / total * math.log(n / total) for n in counts.values()) + 0.0


def mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """The population's, as in the summary of a request."""
    return pstdev(values) if values else None
