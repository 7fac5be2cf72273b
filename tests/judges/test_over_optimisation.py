"""Over-optimisation is found where it is, and not where it is not."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict
from itertools import combinations
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.over_optimisation import (
    Candidates,
    Monitor,
    Observation,
    Regime,
    Verdict,
    best_of_n,
    best_of_n_kl,
    chances_to_be_best,
    fitted,
    turnover,
)

NS = [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256]


def drawn(seed: int, *, bias: float, prompts: int = 60, candidates: int = 256) -> list[Candidates]:
    """Quality and log length are independent. Gold dislikes length beyond the usual; a biased
    proxy likes it instead."""
    rng = random.Random(seed)
    made = []
    for _ in range(prompts):
        quality = [rng.gauss() for _ in range(candidates)]
        length = [rng.gauss() for _ in range(candidates)]
        gold = [q - 0.35 * max(z, 0.0) ** 2 for q, z in zip(quality, length, strict=True)]
        seen = [q + bias * z for q, z in zip(quality, length, strict=True)] if bias else gold
        proxy = [each + 0.5 * rng.gauss() for each in seen]
        made.append(Candidates(proxy, gold, [math.exp(z) for z in length]))
    return made


def watched(seed: int, bias: float) -> Verdict:
    monitor = Monitor("best_of_n")
    for observation in best_of_n(drawn(seed, bias=bias), NS):
        verdict = monitor.add(observation)
    return verdict


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_length_bias_is_found_near_its_true_peak(seed: int) -> None:
    verdict = watched(seed, bias=1.6)
    assert verdict.alarm
    assert "while gold fell" in verdict.reason
    # The mean of 16,000 prompts peaks at a KL of 0.82; these are 60.
    assert verdict.turnover_kl == pytest.approx(0.82, rel=0.25)
    assert verdict.length_change is not None
    assert verdict.length_change > 1.5


@pytest.mark.parametrize("seed", range(3))
def test_an_unbiased_proxy_raises_no_alarm(seed: int) -> None:
    verdict = watched(seed, bias=0)
    assert (verdict.alarm, verdict.turnover_kl) == (False, None)


def look(step: int, gold: float, proxy: float | None = None, error: float = 0.01) -> Observation:
    return Observation(step, step * 0.5, proxy if proxy is not None else step, gold, error)


def after(*looks: Observation) -> Verdict:
    monitor = Monitor()
    for each in looks:
        verdict = monitor.add(each)
    return verdict


RISE = [look(step, gold) for step, gold in enumerate([0.0, 0.3, 0.5, 0.6])]


def test_the_alarm_takes_a_fall_that_lasts() -> None:
    assert not after(*RISE, look(4, 0.3), look(5, 0.6)).alarm
    assert after(*RISE, look(4, 0.3), look(5, 0.2)).alarm
    assert not after(*RISE, look(4, 0.3, error=0.2), look(5, 0.2, error=0.2)).alarm


def test_a_proxy_that_falls_along_is_no_over_optimisation() -> None:
    assert not after(*RISE, look(4, 0.3, proxy=2), look(5, 0.2, proxy=1)).alarm


def test_an_alarm_stays() -> None:
    assert after(*RISE, look(4, 0.3), look(5, 0.2), look(6, 0.9)).alarm


def test_a_run_resumed_from_before_the_alarm_starts_there() -> None:
    monitor = Monitor()
    for each in [*RISE, look(4, 0.3), look(5, 0.2)]:
        assert monitor.add(each) == monitor.verdict()
    assert monitor.verdict().alarm
    assert not monitor.add(look(4, 0.7)).alarm
    assert [each.step for each in monitor.observations] == [0, 1, 2, 3, 4]


def test_falls_of_the_same_prompts_are_compared_prompt_by_prompt() -> None:
    """Prompts differ widely; that all of them fell a little is certain all the same."""

    def of(step: int, gold: float) -> Observation:
        prompts = [gold + 10 * prompt + 0.001 * (prompt * step % 3) for prompt in range(20)]
        return Observation.of(step, step * 0.5, [float(step)], prompts, by_prompt=prompts)

    levels = [0.0, 0.3, 0.5, 0.6, 0.5, 0.4]
    assert after(*(of(step, gold) for step, gold in enumerate(levels))).alarm
    apart = [of(step, gold) for step, gold in enumerate(levels)]
    unpaired = [Observation(o.step, o.kl, o.proxy, o.gold, o.gold_error) for o in apart]
    assert not after(*unpaired).alarm


@given(a=st.floats(0.5, 3), b=st.floats(0.2, 1), regime=st.sampled_from(["best_of_n", "training"]))
def test_the_laws_of_gao_et_al_are_recovered(a: float, b: float, regime: Regime) -> None:
    distances = [0.05 + 0.15 * i for i in range(20)]
    bend = {"best_of_n": lambda d: b * d, "training": lambda d: b * math.log(d)}[regime]
    looks = [
        Observation(i, d * d, d, 0.25 + d * (a - bend(d)), 0.01) for i, d in enumerate(distances)
    ]
    fit = fitted(looks, regime)
    assert fit is not None
    assert (fit.start, fit.a, fit.b) == pytest.approx((0.25, a, b), abs=1e-5)
    assert fit.residual < 1e-3
    expected = (a / (2 * b)) ** 2 if regime == "best_of_n" else math.exp(2 * (a / b - 1))
    assert fit.peak_kl == (pytest.approx(expected, rel=1e-3) if expected < 1e4 else None)
    if regime == "best_of_n" and 0.8 < a / (2 * b) < 2.5:
        assert turnover(looks) == pytest.approx(expected, rel=1e-3)


@given(size=st.integers(1, 12), data=st.data())
def test_best_of_n_is_the_mean_over_all_subsets(size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, size))
    proxy = data.draw(st.lists(st.floats(-5, 5), min_size=size, max_size=size, unique=True))
    gold = data.draw(st.lists(st.floats(-5, 5), min_size=size, max_size=size))
    subsets = combinations(range(size), n)
    expected = fmean(gold[max(subset, key=proxy.__getitem__)] for subset in subsets)
    [found] = best_of_n([Candidates(proxy, gold)] * 2, [n])
    assert found.gold == pytest.approx(expected, abs=1e-9)
    assert math.fsum(chances_to_be_best(size, n)) == pytest.approx(1)


NUMBERS = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e-300, -1e-12, 1.0])


@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, st.lists(NUMBERS, min_size=2)), max_size=12),
    regime=st.sampled_from(["best_of_n", "training"]),
)
def test_any_numbers_get_a_finite_verdict(rows: list[Any], regime: Regime) -> None:
    monitor = Monitor(regime)
    for step, (kl, proxy, gold) in enumerate(rows):
        verdict = monitor.add(Observation.of(step, kl, [proxy], gold, length=abs(proxy)))
        json.dumps(asdict(verdict), allow_nan=False)


def test_the_kl_of_best_of_n() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(1024) == pytest.approx(5.9324, abs=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_observations_are_of_finite_numbers(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Observation(0, 0.1, bad, 0.0, 0.1)


def test_candidates_must_suffice() -> None:
    few = [Candidates([1.0, 2.0], [1.0, 2.0])] * 2
    with pytest.raises(ValueError, match="best of 3 among 2"):
        best_of_n(few, [3])
    with pytest.raises(ValueError, match="two prompts"):
        best_of_n(few[:1], [1])


def test_nothing_observed_is_no_alarm() -> None:
    assert Monitor().verdict().alarm is False
