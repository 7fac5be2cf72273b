"""Over-optimisation: finds where the proxy reward still rises and the true one no longer does.

A policy is trained on a proxy (the reward model). A sample of its completions is scored by
gold as well: an exact verifier, or a judge that was held out. As the policy moves away from
where it started, d = sqrt(KL(policy, start)) in nats, gold follows (Gao et al. 2023,
"Scaling Laws for Reward Model Overoptimization", equations 1 and 2)

    best-of-n                 gold(d) - gold(0) = d (a - b d)        peak at a / (2 b)
    reinforcement learning    gold(d) - gold(0) = d (a - b log d)    peak at exp(a / b - 1)

The alarm is no fit. It is raised when gold has fallen from its best level by more than chance
explains while the proxy has risen since. The turnover is where gold was best, by a parabola
through the observations around there, since the truth keeps to no formula.

Departures: the fits are weighted by the standard errors of gold, and take gold(0) from the
data instead of normalising it away.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import mul
from statistics import fmean, stdev
from typing import Any, Literal

from judges.statistics import Point, least_squares

Regime = Literal["best_of_n", "training"]

SIGNIFICANCE = 3.0
"""Standard errors that gold must have fallen by. The best level so far is the luckiest of
many, so two would not do."""

PATIENCE = 2
"""Observations in a row that must show the fall."""

MIN_OBSERVATIONS = 5

NEIGHBOURHOOD = 0.6
"""The parabola is laid through the observations whose distance d is within this share of that
of the top. Fewer of them, and the noise of gold moves a flat top to and fro."""

ROUNDS = 10
"""The best observation is only the luckiest around the top, so the parabola is laid anew around
its own top until that stays."""

SMALLEST_ERROR = 1e-9

FARTHEST = 100.0
"""A distance, sqrt(KL), that no policy reaches and makes sense."""

NEGLIGIBLE = 1e-15
"""A chance below which a candidate is never the best."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a policy: a training step, or one n of best-of-n.

    Attributes:
        step: counts looks; any increasing number.
        kl: from the policy's start, in nats.
        proxy: mean reward by the proxy.
        gold: mean reward by gold of the completions that gold has seen.
        gold_error: the standard error of `gold`.
        length: mean length of completions, in any unit.
        flagged: share of completions that a guard flagged.
        by_prompt: gold's mean for each prompt, where every observation has the same prompts:
            a fall is then known more exactly, prompt by prompt.
    """

    step: int
    kl: float
    proxy: float
    gold: float
    gold_error: float
    length: float | None = None
    flagged: float | None = None
    by_prompt: Sequence[float] = ()

    def __post_init__(self) -> None:
        numbers = [self.kl, self.proxy, self.gold, self.gold_error]
        if not all(map(math.isfinite, numbers)) or self.gold_error < 0:
            raise ValueError("an observation is of finite numbers, and errors are not negative")

    @property
    def distance(self) -> float:
        """An estimate of a KL may be negative by chance; the KL is not."""
        return math.sqrt(max(self.kl, 0.0))

    @classmethod
    def of(
        cls, step: int, kl: float, proxy: Sequence[float], gold: Sequence[float], **more: Any
    ) -> Observation:
        """From the single rewards of one step; gold needs two or more."""
        error = stdev(gold) / math.sqrt(len(gold))
        return cls(step, kl, fmean(proxy), fmean(gold), error, **more)


@dataclass(frozen=True, slots=True)
class Fit:
    """A law of gold over distance."""

    start: float
    a: float
    b: float
    residual: float
    """Root mean square of what it leaves unexplained, in standard errors of gold."""
    peak_kl: float | None
    """None where gold has no peak by this law."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the monitor makes of all observations so far."""

    alarm: bool
    reason: str
    turnover_kl: float | None = None
    """Where gold was best; None without an alarm."""
    best_step: int | None = None
    """The step with the best gold."""
    fit: Fit | None = None
    length_change: float | None = None
    """Mean length now over that where gold was best: the usual suspect."""
    flagged: float | None = None


class Monitor:
    """Watches one run. The KL may go to and fro from one observation to the next."""

    def __init__(self, regime: Regime = "training") -> None:
        self.regime: Regime = regime
        self.observations: list[Observation] = []
        self._falls = 0
        self._alarmed: Observation | None = None

    def add(self, observation: Observation) -> Verdict:
        """Takes one more look into account. An alarm once raised stays, unless the run is
        resumed from before it: a step that was seen already takes all since back."""
        if self.observations and observation.step <= self.observations[-1].step:
            self._rewind(observation.step)
        self._note(observation)
        return self.verdict()

    def _rewind(self, step: int) -> None:
        earlier = [each for each in self.observations if each.step < step]
        self.observations, self._falls, self._alarmed = [], 0, None
        for each in earlier:
            self._note(each)

    def _note(self, observation: Observation) -> None:
        self.observations.append(observation)
        best = self._best
        fallen = (
            len(self.observations) >= MIN_OBSERVATIONS
            and best is not observation
            and observation.proxy > best.proxy
            and best.gold - observation.gold > SIGNIFICANCE * error_of_fall(best, observation)
        )
        self._falls = self._falls + 1 if fallen else 0
        if self._falls >= PATIENCE and self._alarmed is None:
            self._alarmed = observation

    @property
    def _best(self) -> Observation:
        return max(self.observations, key=lambda each: each.gold)

    def verdict(self) -> Verdict:
        if not self.observations:
            return Verdict(False, "nothing was observed yet")
        last, best = self.observations[-1], self._best
        fit = fitted(self.observations, self.regime)
        if self._alarmed is None:
            reason = "gold has not turned"
            return Verdict(False, reason, best_step=best.step, fit=fit, flagged=last.flagged)
        reason = (
            f"since step {best.step} the proxy rose from {best.proxy:.4g} to {last.proxy:.4g} "
            f"while gold fell from {best.gold:.4g} to {last.gold:.4g}"
        )
        change = (
            last.length / best.length
            if last.length and best.length and best.length > 1e-6
            else None
        )
        peak = turnover(self.observations)
        return Verdict(True, reason, peak, best.step, fit, change, last.flagged)


def error_of_fall(best: Observation, now: Observation) -> float:
    """The standard error of the difference in gold of two observations."""
    if len(best.by_prompt) == len(now.by_prompt) > 1:
        falls = [a - b for a, b in zip(best.by_prompt, now.by_prompt, strict=True)]
        return stdev(falls) / math.sqrt(len(falls))
    return math.hypot(best.gold_error, now.gold_error)


# --- best-of-n --------------------------------------------------------------------------


def best_of_n_kl(n: float) -> float:
    """KL of best-of-n from the policy itself: log n - (n - 1) / n, in nats (an upper bound
    that is tight unless completions repeat)."""
    return math.log(n) - (n - 1) / n


@dataclass(frozen=True)
class Candidates:
    """Completions of one prompt: rewards by proxy and gold, and lengths, in any same order."""

    proxy: Sequence[float]
    gold: Sequence[float]
    length: Sequence[float] = ()

    @cached_property
    def order(self) -> list[int]:
        return sorted(range(len(self.proxy)), key=self.proxy.__getitem__)

    def ranked(self, values: Sequence[float]) -> list[float]:
        """`values` from the lowest proxy reward to the highest."""
        return [values[i] for i in self.order]


def best_of_n(prompts: Sequence[Candidates], ns: Iterable[int]) -> list[Observation]:
    """What best-of-n by the proxy would earn, for every n, without sampling anew.

    The expectation over all subsets of n of the N candidates at hand, which is unbiased (the
    estimator of Nakano et al. 2021, "WebGPT", appendix I).

    Raises:
        ValueError: there are fewer candidates than n, or fewer than two prompts.
    """
    sizes = {len(each.proxy) for each in prompts}
    if len(prompts) < 2 or len(sizes) != 1:
        raise ValueError("two prompts or more are needed, with equally many candidates each")
    [size] = sizes
    proxies = [each.ranked(each.proxy) for each in prompts]
    golds = [each.ranked(each.gold) for each in prompts]
    lengths = [each.ranked(each.length) for each in prompts if each.length]
    observations = []
    for step, n in enumerate(ns):
        weights = chances_to_be_best(size, n)
        start = bisect_left(weights, NEGLIGIBLE)  # they rise
        gold, proxy, length = (
            [math.fsum(map(mul, weights[start:], each[start:])) for each in ranked]
            for ranked in (golds, proxies, lengths)
        )
        kl = best_of_n_kl(n)
        mean_length = fmean(length) if length else None
        observations.append(
            Observation.of(step, kl, proxy, gold, length=mean_length, by_prompt=gold)
        )
    return observations


def chances_to_be_best(size: int, n: int) -> list[float]:
    """The chance that the i-th lowest of `size` candidates is the best of n drawn of them."""
    if not 1 <= n <= size:
        raise ValueError(f"there is no best of {n} among {size}")
    # C(i, n - 1) / C(size, n) for i = 0 ... size - 1, from the top down, where it is n / size.
    ratios = ((i - n + 2) / (i + 1) for i in range(size - 2, -1, -1))
    downwards = accumulate(ratios, lambda chance, ratio: max(chance * ratio, 0.0), initial=n / size)
    return list(downwards)[::-1]


# --- laws and peaks ---------------------------------------------------------------------


def turnover(observations: Sequence[Observation]) -> float:
    """The KL where gold is best: the top of a parabola through the observations around it."""
    found = points(observations)
    top = max(observations, key=lambda each: each.gold).distance
    for _ in range(ROUNDS):
        around = [point for point in found if abs(point[0] - top) <= NEIGHBOURHOOD * top]
        if len({distance for distance, _, _ in around}) < 3:
            break
        _, slope, curve = least_squares(around, (one, identity, square))
        if curve >= 0:
            break
        low, high = min(around)[0], max(around)[0]
        top = min(max(-slope / (2 * curve), low), high)
    return float(top**2)


def fitted(observations: Sequence[Observation], regime: Regime) -> Fit | None:
    """The law of this regime; None where there are too few distances to fit it to."""
    found = points(observations)
    if len({distance for distance, _, _ in found}) < MIN_OBSERVATIONS:
        return None
    bends = square if regime == "best_of_n" else entropic
    start, a, minus_b = least_squares(found, (one, identity, bends))
    unexplained = [w * (gold - start - a * d - minus_b * bends(d)) ** 2 for d, gold, w in found]
    return Fit(start, a, -minus_b, math.sqrt(fmean(unexplained)), peak_kl(a, -minus_b, regime))


def peak_kl(a: float, b: float, regime: Regime) -> float | None:
    """Where the law has its peak; None where it has none within `FARTHEST`."""
    if b <= 0:
        return None
    d = max(a / b / 2, 0.0) if regime == "best_of_n" else math.exp(min(a / b - 1, FARTHEST))
    return d * d if d < FARTHEST else None


def points(observations: Iterable[Observation]) -> list[Point]:
    """Distance d and gold, weighted by how exactly gold is known."""
    return [
        (each.distance, each.gold, 1 / max(each.gold_error, SMALLEST_ERROR) ** 2)
        for each in observations
    ]


def one(d: float) -> float:
    return 1.0


def identity(d: float) -> float:
    return d


def square(d: float) -> float:
    return d * d


def entropic(d: float) -> float:
    return d * math.log(d) if d > 0 else 0.0
