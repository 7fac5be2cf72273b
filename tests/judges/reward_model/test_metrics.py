"""The figures of the report, against cases that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from judges.reward_model.preferences import Pair
from judges.reward_model.report import metrics


def pair(chosen: int, rejected: int, group: str = "g") -> Pair:
    """A pair of completions with so many characters."""
    return Pair("p", "a" * chosen, "b" * rejected, group)


FIVE = [pair(9, 3, "1"), pair(9, 3, "2"), pair(3, 9, "3"), pair(3, 9, "4"), pair(5, 5, "5")]


def test_equal_rewards_are_half_right() -> None:
    assert metrics.accuracy(FIVE, [1, 1, -1, 0, 0]).value == pytest.approx(0.6)


def test_no_pairs_have_no_accuracy() -> None:
    assert metrics.accuracy([], []) == metrics.Accuracy(0, None)


def test_the_interval_resamples_prompts_and_not_pairs() -> None:
    """A hundred pairs of four prompts know no more than four prompts do."""
    alone = [pair(1, 2, str(number)) for number in range(100)]
    of_four = [pair(1, 2, str(number % 4)) for number in range(100)]
    hits = [1.0 if number % 4 < 2 else -1.0 for number in range(100)]
    narrow, wide = metrics.accuracy(alone, hits), metrics.accuracy(of_four, hits)
    assert narrow.value == wide.value == 0.5
    assert narrow.high is not None
    assert narrow.low is not None
    assert wide.high is not None
    assert wide.low is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_length_alone_is_right_as_often_as_its_direction_says() -> None:
    assert metrics.longer_wins([*FIVE, pair(9, 3)])
    assert not metrics.longer_wins([*FIVE, pair(3, 9)])
    assert metrics.accuracy(FIVE, metrics.by_length(FIVE, longer=True)).value == 0.5


def test_parts_are_chosen_by_length() -> None:
    assert metrics.shorter_won(FIVE) == [2, 3]
    assert metrics.equally_long(FIVE) == [4]
    assert metrics.balanced_part(FIVE) == [0, 1, 2, 3, 4]
    assert len(metrics.balanced_part([*FIVE, pair(9, 3)])) == 5


def test_length_tells_nothing_about_the_balanced_part() -> None:
    pairs = [pair(9, 3, str(i)) for i in range(30)] + [pair(3, 9, str(i)) for i in range(10)]
    part = metrics.balanced_part(pairs)
    assert metrics.on(part, pairs, metrics.by_length(pairs, longer=True)).value == 0.5


def test_correlations() -> None:
    assert metrics.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert metrics.rank_correlation([1, 2, 3, 4], [1, 8, 27, -64]) == pytest.approx(-0.2)
    assert metrics.rank_correlation([1, 1, 2], [5, 5, 9]) == pytest.approx(1)
    assert metrics.correlation([1, 1], [2, 3]) is None


def test_probabilities_that_come_true_are_calibrated() -> None:
    """Three in four are right where 3/4 is stated."""
    differences = [math.log(3)] * 300 + [-math.log(3)] * 100
    found = metrics.calibration(torch.tensor(differences)[torch.randperm(400)].tolist())
    assert found is not None
    assert found.temperature == pytest.approx(1, abs=1e-4)
    assert found.error < 0.1


def test_an_overconfident_model_is_told_by_how_much() -> None:
    differences = [10 * math.log(3)] * 300 + [-10 * math.log(3)] * 100
    found = metrics.calibration(differences)
    assert found is not None
    assert found.temperature == pytest.approx(10, rel=1e-4)
    assert found.error == pytest.approx(0.25, abs=1e-3)
    assert sum(count for _, _, count in found.bins) == 400


def test_nothing_is_not_calibrated() -> None:
    assert metrics.calibration([]) is None
    assert metrics.calibration([0.3]) is not None
