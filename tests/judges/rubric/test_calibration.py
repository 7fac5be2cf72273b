"""Agreement with labels, and what is fitted to them."""

from __future__ import annotations

import asyncio
import json
import math
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from benchmarks.rubric_judges import Honest, Read, contains
from judges.rubric import agreement as metrics
from judges.rubric.calibrate import DataError, calibrate, read_lines
from judges.rubric.calibration import (
    Calibration,
    Isotonic,
    Temperature,
    fitted_isotonic,
    fitted_temperature,
    logit,
    sigmoid,
    softplus,
)
from judges.rubric.fitting import (
    NoJudgeIsGoodEnough,
    agreement,
    cross_validated,
    fitted_panel,
    fitted_weights,
    folds,
)
from tests.judges.rubric.test_scorer import PARIS, SEINE, registry
from verifiers.base import run_here
from verifiers.errors import JudgeFailed

VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
POINTS = st.lists(st.tuples(VALUES, st.booleans()), min_size=1, max_size=25)


# --- agreement --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        ([1.0, 0.0, 1.0, 0.0], [True, False, True, False], 1.0),
        ([1.0, 0.0, 1.0, 0.0], [False, True, False, True], -1.0),
        ([1.0, 1.0, 0.0, 0.0], [True, False, True, False], 0.0),
        ([1.0, 1.0, 1.0, 1.0], [True, True, True, True], 0.0),
        ([1.0, 1.0, 0.0, 0.0], [True, True, True, False], 0.5),
    ],
)
def test_kappa(values: list[float], labels: list[bool], expected: float) -> None:
    assert metrics.kappa(values, labels) == pytest.approx(expected)


def test_who_always_says_yes_is_at_chance_however_common_yes_is() -> None:
    labels = [True] * 95 + [False] * 5
    found = agreement([1.0] * 100, labels)
    assert found.accuracy == 0.95
    assert found.balanced_accuracy == 0.5
    assert not found.beats_chance


def test_the_wilson_bound_is_that_of_the_literature() -> None:
    assert metrics.wilson_lower(81, 263) == pytest.approx(0.2553, abs=5e-5)
    assert metrics.wilson_lower(10, 10) == pytest.approx(0.7225, abs=5e-5)
    assert metrics.wilson_lower(0, 10) == 0.0


@given(POINTS)
def test_bounds_lie_below_what_they_bound(points: list[tuple[float, bool]]) -> None:
    values, labels = [v for v, _ in points], [y for _, y in points]
    found = agreement(values, labels)
    assert 0.0 <= found.lower_bound <= found.balanced_accuracy + 1e-12 or len(set(labels)) == 1
    assert -1.0 <= found.kappa <= 1.0
    assert 0.0 <= found.calibration_error <= 1.0


def test_calibration_error_is_the_gap_between_probability_and_share() -> None:
    assert metrics.calibration_error([0.7] * 10, [True] * 7 + [False] * 3) == pytest.approx(0.0)
    assert metrics.calibration_error([0.9] * 10, [True] * 7 + [False] * 3) == pytest.approx(0.2)
    assert metrics.calibration_error([1.0, 0.0], [False, True]) == 1.0


# --- calibrations -----------------------------------------------------------------------


@pytest.mark.slow
@given(POINTS)
def test_isotonic_is_a_calibration_that_never_falls(points: list[tuple[float, bool]]) -> None:
    values, labels = [v for v, _ in points], [y for _, y in points]
    fitted = fitted_isotonic(values, labels)
    assert Isotonic.model_validate(fitted.model_dump()) == fitted
    found = [fitted(v) for v in sorted(values)]
    assert all(a <= b + 1e-12 for a, b in pairwise(found))
    assert all(0.0 <= p <= 1.0 for p in found)
    assert math.fsum(found) == pytest.approx(sum(labels), abs=1e-9)


@given(POINTS)
def test_isotonic_is_the_least_squares_fit(points: list[tuple[float, bool]]) -> None:
    """By the min-max formula: the largest, over where a stretch begins, of the least mean."""
    fitted = fitted_isotonic([v for v, _ in points], [y for _, y in points])
    distinct = sorted({v for v, _ in points})

    def mean(low: float, high: float) -> float:
        return metrics.mean([float(y) for v, y in points if low <= v <= high])

    for v in distinct:
        lows, highs = [a for a in distinct if a <= v], [b for b in distinct if b >= v]
        expected = max(min(mean(a, b) for b in highs) for a in lows)
        assert fitted(v) == pytest.approx(expected)


def test_isotonic_pools_what_falls() -> None:
    fitted = fitted_isotonic([0.1, 0.2, 0.3, 0.4], [False, True, False, True])
    assert [fitted(v) for v in (0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 1.0)] == pytest.approx(
        [0.0, 0.0, 0.5, 0.5, 0.5, 0.75, 1.0, 1.0]
    )


@given(POINTS, st.floats(0.05, 20))
def test_no_other_temperature_makes_the_labels_likelier(
    points: list[tuple[float, bool]], other: float
) -> None:
    values, labels = [v for v, _ in points], [y for _, y in points]

    def loss(temperature: float) -> float:
        margins = [logit(v) * (1 if y else -1) for v, y in zip(values, labels, strict=True)]
        return math.fsum(softplus(-margin / temperature) for margin in margins)

    fitted = fitted_temperature(values, labels).temperature
    assert loss(fitted) <= loss(other) + 1e-6


@pytest.mark.parametrize("fit", [fitted_temperature, fitted_isotonic])
def test_overconfident_values_are_put_right(fit: Any) -> None:
    source = random.Random(0)
    truths = [source.random() for _ in range(4_000)]
    labels = [source.random() < truth for truth in truths]
    values = [sigmoid(4 * math.log(t / (1 - t))) for t in truths]
    half = len(values) // 2
    fitted = fit(values[:half], labels[:half])
    before = metrics.calibration_error(values[half:], labels[half:])
    after = metrics.calibration_error([fitted(v) for v in values[half:]], labels[half:])
    assert before > 0.15
    assert after <= 0.06


@given(st.floats(-800, 800))
def test_sigmoid_and_its_loss_do_not_overflow(logit: float) -> None:
    assert 0.0 <= sigmoid(logit) <= 1.0
    assert softplus(logit) >= max(0.0, logit)
    assert sigmoid(logit) + sigmoid(-logit) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "temperature", "temperature": 0.0},
        {"kind": "isotonic", "values": [0.0], "probabilities": []},
        {"kind": "isotonic", "values": [0.5, 0.5], "probabilities": [0.0, 1.0]},
        {"kind": "isotonic", "values": [0.0, 1.0], "probabilities": [1.0, 0.0]},
        {"kind": "isotonic", "values": [0.0, 2.0], "probabilities": [0.0, 1.0]},
        {"kind": "platt"},
    ],
)
def test_what_is_no_calibration_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Calibration).validate_python(broken)


def test_a_temperature_leaves_one_half_alone() -> None:
    assert Temperature(temperature=0.3)(0.5) == 0.5
    assert Temperature(temperature=1e-3)(1.0) == 1.0


# --- panels -----------------------------------------------------------------------------


def votes(labels: list[bool], accuracy: float, seed: int) -> list[float]:
    source = random.Random(seed)
    return [float(y if source.random() < accuracy else not y) for y in labels]


LABELS = [n % 2 == 0 for n in range(600)]
GROUPS = [str(n) for n in range(len(LABELS))]


def test_independent_judges_are_weighed_by_their_log_odds() -> None:
    accuracies = {"good": 0.9, "fair": 0.75, "poor": 0.6}
    values = {name: votes(LABELS, share, n) for n, (name, share) in enumerate(accuracies.items())}
    weights = fitted_weights(values, LABELS)
    odds = {name: math.log(share / (1 - share)) for name, share in accuracies.items()}
    for name, weight in weights.items():
        assert weight == pytest.approx(odds[name] / sum(odds.values()), abs=0.12)


def test_copies_of_a_weak_judge_do_not_outvote_a_good_one() -> None:
    weak = votes(LABELS, 0.65, 1)
    values = {"good": votes(LABELS, 0.95, 0)} | {f"weak-{n}": weak for n in range(5)}
    panel = fitted_panel(values, LABELS)
    held_out = cross_validated(values, LABELS, GROUPS)
    assert metrics.accuracy(held_out, LABELS) >= metrics.accuracy(values["good"], LABELS)
    together = sum(w for name, w in panel.weights.items() if name.startswith("weak"))
    assert together < panel.weights["good"]


def test_a_judge_that_does_not_beat_chance_is_refused() -> None:
    values = {
        "good": votes(LABELS, 0.9, 0),
        "coin": votes(LABELS, 0.5, 1),
        "contrary": votes(LABELS, 0.2, 2),
    }
    assert set(fitted_panel(values, LABELS).weights) == {"good"}
    with pytest.raises(NoJudgeIsGoodEnough, match=r"chance: .* [0-9.]+%"):
        fitted_panel({"coin": values["coin"]}, LABELS)
    with pytest.raises(NoJudgeIsGoodEnough, match="19 labels"):
        fitted_panel({"good": values["good"][:19]}, LABELS[:19])


def test_a_good_judge_with_few_labels_is_not_believed_yet() -> None:
    labels = [True] * 12 + [False] * 12
    values = [1.0] * 8 + [0.0] * 4 + [0.0] * 8 + [1.0] * 4
    assert metrics.accuracy(values, labels) == pytest.approx(2 / 3)
    with pytest.raises(NoJudgeIsGoodEnough):
        fitted_panel({"maybe": values}, labels)


@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=50), st.integers(0, 9))
def test_a_group_is_never_torn_apart(groups: list[str], seed: int) -> None:
    assume(len(set(groups)) > 1)
    fold_of = folds(groups, seed)
    assert set(fold_of) == set(groups)
    assert len(set(fold_of.values())) == min(10, len(set(groups)))


# --- from labelled lines to a spec ------------------------------------------------------


def lines(count: int = 60) -> list[str]:
    """Completions of which two in three name Paris and one in two the Seine, each labelled."""
    found = []
    for n in range(count):
        paris, seine = n % 3 > 0, n % 2 > 0
        text = f"{n}: {'Paris' if paris else 'Rome'} on the {'Seine' if seine else 'Tiber'}"
        row = {"prompt": f"p{n}", "completion": text, "labels": {"paris": paris, "seine": seine}}
        found.append(json.dumps(row))
    return found


def careless(seed: int, share: float) -> Any:
    """Right in most cases: the same ones whenever it is asked."""

    def truth(key: str, seen: Read) -> bool:
        text = f"{seed} {seen.criteria[key]} {seen.blocks['completion']}"
        return contains(key, seen) == (random.Random(text).random() < share)

    return truth


SPEC = {"type": "rubric", "rubric": {"criteria": [PARIS, SEINE]}}


def fitted(*judges: Any, data: list[str], **spec: Any) -> Any:
    build = registry(*judges).build
    names = [judge.name for judge in judges]
    return asyncio.run(calibrate({**SPEC, **spec}, names, read_lines(data), build, run_here))


def test_labelled_lines_make_a_spec_that_builds_and_a_report() -> None:
    good = Honest(careless(0, 0.9), name="good")
    fair = Honest(careless(1, 0.8), name="fair")
    coin = Honest(careless(2, 0.5), name="coin")
    spec, report = fitted(good, fair, coin, data=lines())
    assert report.labels == 120
    assert report.best_judge == "good"
    assert report.refused == ["coin"]
    assert set(spec["judge"]) == {"good", "fair"}
    assert spec["calibration"]["kind"] == "vote"
    assert report.panel.accuracy >= report.judges["good"].accuracy - 0.05
    scorer = registry(good, fair, coin).build(spec)
    assert json.dumps(report.document(), allow_nan=False)
    assert scorer.identity.digest != registry(good).build(SPEC).identity.digest


def test_pairs_are_compared_in_both_orders() -> None:
    data = [
        json.dumps({"prompt": f"p{n}", "first": a, "second": b, "better": better})
        for n in range(30)
        for a, b, better in [(f"{n} xxxx", f"{n} x", "first"), (f"{n} x", f"{n} xx", "second")]
    ]

    def longer(key: str, seen: Read) -> str:
        first = len(seen.blocks["first"]) > len(seen.blocks["second"])
        return "first" if first else "second"

    judge = Honest(longer, name="longer")
    spec, report = fitted(judge, data=data)
    assert spec["mode"] == "pairwise"
    assert report.panel.accuracy == 1.0
    assert len(judge.asks) == 120


def test_lines_that_a_judge_failed_on_are_counted_and_left_out() -> None:
    def picky(key: str, seen: Read) -> bool:
        if seen.blocks["completion"].startswith("7:"):
            raise JudgeFailed("not this one")
        return contains(key, seen)

    _, report = fitted(Honest(contains), Honest(picky, name="picky"), data=lines())
    assert report.failed == {"honest": 0, "picky": 1}
    assert report.labels == 118


def test_lines_that_no_judge_is_asked_about_are_left_out() -> None:
    silent = json.dumps({"prompt": "p", "completion": ":", "labels": {"paris": False}})
    _, report = fitted(Honest(contains), data=[*lines(), silent])
    assert report.labels == 120


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "no labelled line"),
        (["{"], "line 1: not JSON"),
        (['{"completion": "x"}'], "line 1: .*labels"),
        (['{"completion": "x", "labels": {"a": 1}}'], "line 1.labels.a"),
        (['{"completion": "x", "labels": {"a": true}, "better": "third"}'], "line 1.better"),
        (
            [
                '{"completion": "x", "labels": {"a": true}}',
                '{"first": "x", "second": "y", "better": "first"}',
            ],
            "all lines are pairs, or none",
        ),
    ],
)
def test_unusable_lines_are_named(data: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_lines(data)


def test_a_label_without_a_criterion_is_named() -> None:
    data = ['{"completion": "Paris", "labels": {"lyon": true}}'] * 30
    with pytest.raises(DataError, match="'lyon' is labelled"):
        fitted(Honest(contains), data=data)
