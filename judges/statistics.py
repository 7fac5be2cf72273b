"""Statistics that several judges need, in plain Python.

Not numpy: the service's image holds neither numpy nor torch, and over-optimisation and panels of
judges run there. All of this sees some hundred numbers at a time, where plain Python costs
milliseconds; numpy would cost the image 68 MB of disk and each process 15 MB of memory. What has
a thousand inputs (the guards' logistic regression over embeddings) stays with torch, in
`judges.reward_model`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence

GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0

SEARCH_STEPS = 60
"""Of a golden section: a logarithm that lies within six decades is then known to ten digits."""

RIDGE = 1.0
"""Of the weights' squares, against the summed log loss: as if one more label spoke for none."""

DESCENT_STEPS = 1_000
SETTLED = 1e-7
"""Of a weight: less change than that ends the fit."""

SINGULAR = 1e-12
"""A pivot below which the data say nothing about a direction."""

Point = tuple[float, float, float]
"""x, y, and the weight of that observation."""


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def softplus(x: float) -> float:
    """log(1 + exp(x)), without overflow: the log loss of a label 0."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def interpolated(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The function that is linear between (xs, ys), xs rising, and constant beyond them."""
    right = bisect_right(xs, x)
    if right in (0, len(xs)):
        return ys[max(right - 1, 0)]
    x0, x1, y0, y1 = xs[right - 1], xs[right], ys[right - 1], ys[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def lowest_scale(loss: Callable[[float], float], low: float, high: float) -> float:
    """The scale between `low` and `high` of the least loss, by golden section over its logarithm,
    over which the loss has one minimum."""
    a, b = math.log(low), math.log(high)
    for _ in range(SEARCH_STEPS):
        left, right = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
        if loss(math.exp(left)) <= loss(math.exp(right)):
            b = right
        else:
            a = left
    return min(high, max(low, math.exp((a + b) / 2.0)))


def isotonic(xs: Sequence[float], ys: Sequence[float]) -> dict[float, float]:
    """Knots of the least-squares non-decreasing function: pool adjacent violators (Ayer et al.,
    1955), over the means of equal xs."""
    by_x: dict[float, list[float]] = {}
    for x, y in zip(xs, ys, strict=True):
        by_x.setdefault(x, []).append(y)
    pools: list[tuple[float, float, float, int]] = []  # first x, last x, sum of ys, their number
    for x in sorted(by_x):
        first, last, total, count = x, x, sum(by_x[x]), len(by_x[x])
        while pools and pools[-1][2] / pools[-1][3] >= total / count:
            first, _, more, others = pools.pop()
            total, count = more + total, others + count
        pools.append((first, last, total, count))
    return {end: total / count for first, last, total, count in pools for end in (first, last)}


def non_negative_logistic(rows: Mapping[tuple[float, ...], int]) -> list[float]:
    """The w >= 0 with the least sum of count * log(1 + exp(-w . row)), plus the ridge.

    Accelerated projected gradient descent (Beck and Teboulle, 2009) with a step that the data's
    norm makes safe.

    Args:
        rows: inputs, signed by their label, with how often they occur.
    """
    step = 1.0 / (RIDGE + sum(count * dot(row, row) for row, count in rows.items()) / 4.0)
    weights = ahead = [0.0] * len(next(iter(rows)))
    momentum = 1.0
    for _ in range(DESCENT_STEPS):
        pulls = [(count * sigmoid(-dot(ahead, row)), row) for row, count in rows.items()]
        gradient = [
            RIDGE * w - sum(pull * row[j] for pull, row in pulls) for j, w in enumerate(ahead)
        ]
        moved = [max(0.0, w - step * g) for w, g in zip(ahead, gradient, strict=True)]
        faster = (1.0 + math.sqrt(1.0 + 4.0 * momentum * momentum)) / 2.0
        changes = [new - old for new, old in zip(moved, weights, strict=True)]
        ahead = [
            new + (momentum - 1.0) / faster * change
            for new, change in zip(moved, changes, strict=True)
        ]
        weights, momentum = moved, faster
        if max(map(abs, changes)) < SETTLED:
            break
    return weights


def least_squares(
    points: Iterable[Point], terms: Sequence[Callable[[float], float]]
) -> list[float]:
    """Weighted coefficients of y as a sum of `terms` of x, by the normal equations.

    Solved by elimination with pivots. A direction that the data say nothing about gets 0.
    """
    rows = [(*(term(x) for term in terms), y, weight) for x, y, weight in points]
    heaviest = max(row[-1] for row in rows)
    size = len(terms)
    matrix = [
        [math.fsum(row[-1] / heaviest * row[i] * row[j] for row in rows) for j in range(size + 1)]
        for i in range(size)
    ]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(matrix[row][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        if abs(matrix[column][column]) < SINGULAR:
            matrix[column] = [float(i == column) for i in range(size)] + [0.0]
        for row in range(size):
            if row != column:
                factor = matrix[row][column] / matrix[column][column]
                matrix[row] = [
                    x - factor * y for x, y in zip(matrix[row], matrix[column], strict=True)
                ]
    return [row[-1] / row[i] for i, row in enumerate(matrix)]
