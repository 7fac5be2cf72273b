"""A judge trained from nothing, through the scorer, against a truth that programs know."""

from __future__ import annotations

import pytest

from benchmarks.rubric import labels_of, probabilities
from benchmarks.small_judge import FAMILIES, SmallJudge, items
from judges.rubric.agreement import calibration_error
from judges.rubric.calibration import fitted_temperature
from judges.rubric.fitting import agreement

pytestmark = pytest.mark.slow


def test_items_are_balanced_and_their_truth_is_repeatable() -> None:
    found = items(560, seed=5)
    assert found == items(560, seed=5)
    for family in FAMILIES:
        labels = [item.label for item in found if item.family == family]
        assert sum(labels) * 2 == len(labels) == 80


def test_a_trained_judge_beats_chance_and_its_probabilities_are_calibrated() -> None:
    judge = SmallJudge()
    untrained = probabilities(judge, items(100, seed=3))
    assert set(untrained) == {0.5}
    judge.train(items(4_000, seed=1))
    fitted = fitted_temperature(probabilities(judge, items(1_000, seed=2)), labels_of(1_000, 2))
    held_out = probabilities(judge, items(1_500, seed=3))
    labels = labels_of(1_500, 3)
    found = agreement(held_out, labels)
    assert found.beats_chance
    assert found.accuracy > 0.85
    assert found.kappa > 0.7
    assert calibration_error([fitted(value) for value in held_out], labels) <= 0.05
