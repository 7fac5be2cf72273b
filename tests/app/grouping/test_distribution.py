"""pass@k, entropy and selection."""

from __future__ import annotations

from itertools import combinations
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.grouping.distribution import entropy, is_correct, pass_at_k
from app.grouping.selection import best, shortest_correct
from verifiers.base import Outcome, Score
from verifiers.score import ScoreError

PASSES = [
    # n, right, k, pass@k
    (4, 1, 1, 0.25),
    (4, 1, 4, 1.0),
    (4, 0, 2, 0.0),
    (4, 4, 1, 1.0),
    (4, 2, 2, 5 / 6),
    (10, 3, 4, 1 - 35 / 210),
    (3, 3, 4, None),
    (0, 0, 1, None),
]


@pytest.mark.parametrize(("n", "right", "k", "expected"), PASSES)
def test_pass_at_k_by_hand(n: int, right: int, k: int, expected: float | None) -> None:
    assert pass_at_k(n, right, k) == pytest.approx(expected)


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_one(
    n: int, data: st.DataObject
) -> None:
    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations(range(n), k))
    holds = sum(any(i < right for i in subset) for subset in subsets)
    assert pass_at_k(n, right, k) == pytest.approx(holds / len(subsets))


@pytest.mark.parametrize(
    ("n", "right", "k"), [(4_096, 1, 2_048), (4_096, 4_095, 1), (4_096, 3, 4_096)]
)
def test_pass_at_k_of_large_groups_stays_within_its_bounds(n: int, right: int, k: int) -> None:
    found = pass_at_k(n, right, k)
    assert found is not None
    assert right / n <= found <= 1


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([], None), ("a", 0.0), ("aaa", 0.0), ("ab", log(2)), ("aabb", log(2)), ("abcd", log(4))],
)
def test_entropy_by_hand(labels: str, expected: float | None) -> None:
    assert entropy(labels) == pytest.approx(expected)


@given(st.lists(st.integers(0, 5), min_size=1))
def test_entropy_is_bounded_and_knows_no_order(labels: list[int]) -> None:
    found = entropy(labels)
    assert found is not None
    assert 0 <= found <= log(len(set(labels))) + 1e-12
    assert entropy(sorted(labels)) == pytest.approx(found)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("correct", True),
        ("incorrect", False),
        ("partial", False),
        ("time_limit", False),
        ("judged", None),
        (None, None),
    ],
)
def test_who_is_correct(outcome: Outcome | None, expected: bool | None) -> None:
    assert is_correct(Score(reward=1.0, outcome=outcome)) is expected


def test_nobody_knows_whether_the_unscored_are_correct() -> None:
    assert is_correct(Score(error=ScoreError("internal", "", False))) is None


@pytest.mark.parametrize(
    ("rewards", "lengths", "expected"),
    [
        ([0, 1, 0.5], [9, 9, 9], 1),
        ([1, 1, 1], [9, 3, 5], 1),
        ([1, 1, 0], [4, 4, 1], 0),
        ([None, -1, None], [1, 9, 1], 1),
        ([None, None], [1, 1], None),
    ],
)
def test_the_best(rewards: list[float | None], lengths: list[int], expected: int | None) -> None:
    assert best(rewards, lengths) == expected


@pytest.mark.parametrize(
    ("correct", "lengths", "expected"),
    [
        ([True, True, False], [9, 5, 1], 1),
        ([True, True], [5, 5], 0),
        ([False, None], [1, 1], None),
        ([None, True], [1, 9], 1),
    ],
)
def test_right_and_short(
    correct: list[bool | None], lengths: list[int], expected: int | None
) -> None:
    assert shortest_correct(correct, lengths) == expected
