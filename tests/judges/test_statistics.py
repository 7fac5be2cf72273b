"""What judges compute in plain Python agrees with numpy, and with torch's optimizers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from judges.statistics import (
    RIDGE,
    interpolated,
    isotonic,
    least_squares,
    lowest_scale,
    non_negative_logistic,
    sigmoid,
    softplus,
)

FEW = st.integers(-4, 4).map(float)
LOGS = st.floats(math.log(0.02), math.log(50))


@given(st.floats(-1e3, 1e3))
def test_sigmoid_and_softplus_neither_overflow_nor_differ_from_torch(x: float) -> None:
    exact = torch.tensor(x, dtype=torch.double)
    assert sigmoid(x) == pytest.approx(float(torch.sigmoid(exact)), rel=1e-12, abs=1e-300)
    assert softplus(x) == pytest.approx(float(torch.logaddexp(exact, exact * 0)), abs=1e-12)


@given(st.sets(FEW, min_size=1).map(sorted), st.floats(-6, 6))
def test_interpolation_is_numpys(xs: list[float], x: float) -> None:
    ys = [math.sin(each) for each in xs]
    assert interpolated(x, xs, ys) == pytest.approx(float(np.interp(x, xs, ys)), abs=1e-12)


@given(LOGS)
def test_the_lowest_scale_is_found_between_its_bounds(place: float) -> None:
    found = lowest_scale(lambda scale: (math.log(scale) - place) ** 2, 0.01, 100.0)
    assert math.log(found) == pytest.approx(place, abs=1e-6)
    assert lowest_scale(lambda scale: scale, 0.01, 100.0) == pytest.approx(0.01)


@given(st.lists(st.tuples(FEW, FEW), min_size=1, max_size=12))
def test_an_isotonic_fit_is_the_best_of_all_that_never_fall(
    points: list[tuple[float, float]],
) -> None:
    """By its own definition (Barlow et al., 1972): the max over starts of the min over ends."""
    xs, ys = zip(*points, strict=True)
    distinct = sorted(set(xs))

    def mean(low: float, high: float) -> float:
        inside = [y for x, y in points if low <= x <= high]
        return sum(inside) / len(inside)

    knots = isotonic(xs, ys)
    for x in distinct:
        ends = [high for high in distinct if high >= x]
        best = max(min(mean(low, high) for high in ends) for low in distinct if low <= x)
        assert interpolated(x, list(knots), list(knots.values())) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_least_squares_are_numpys(seed: int) -> None:
    rng = random.Random(seed)
    points = [(rng.uniform(0, 3), rng.gauss(), rng.uniform(0.1, 9)) for _ in range(12)]
    terms = [lambda x: 1.0, lambda x: x, lambda x: x * x]
    roots = np.sqrt([weight for *_, weight in points])
    matrix = np.array([[term(x) for term in terms] for x, *_ in points])
    wanted = np.linalg.lstsq(matrix * roots[:, None], np.array([y for _, y, _ in points]) * roots)
    assert least_squares(points, terms) == pytest.approx(wanted[0].tolist(), abs=1e-8)


def test_a_direction_that_no_point_tells_of_gets_nothing() -> None:
    level, slope = least_squares([(2.0, 5.0, 1.0), (2.0, 7.0, 1.0)], [lambda x: 1.0, lambda x: x])
    assert (level + 2 * slope, 0.0 in (level, slope)) == (pytest.approx(6.0), True)


@pytest.mark.parametrize("seed", range(3))
def test_non_negative_weights_are_at_the_minimum_of_their_loss(seed: int) -> None:
    rng = random.Random(seed)
    rows = {
        tuple(rng.choice([-1.0, 0.2, 1.0]) for _ in range(3)): rng.randint(1, 9) for _ in "1234567"
    }
    found = torch.tensor(non_negative_logistic(rows), dtype=torch.double, requires_grad=True)
    matrix = torch.tensor([*rows], dtype=torch.double)
    counts = torch.tensor([*rows.values()], dtype=torch.double)
    loss = (counts * torch.nn.functional.softplus(-(matrix @ found))).sum()
    (loss + RIDGE / 2 * found @ found).backward()
    assert found.grad is not None
    for weight, gradient in zip(found.tolist(), found.grad.tolist(), strict=True):
        assert gradient == pytest.approx(0, abs=1e-4) if weight > 0 else gradient >= 0
