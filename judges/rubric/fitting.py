"""Fits a panel of judges to labelled data: who may sit on it, with what weight, how calibrated.

A panel is wrong where its members are wrong together, and equal weights let weak judges outvote a
good one. So weights are fitted jointly, and a judge is refused unless the lower 95 % bound of its
balanced accuracy is above chance.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from judges.rubric.agreement import (
    accuracy,
    balanced_accuracy,
    balanced_lower_bound,
    calibration_error,
    kappa,
)
from judges.rubric.calibration import (
    Calibration,
    fitted_isotonic,
    fitted_temperature,
    fitted_vote,
)
from judges.statistics import dot, non_negative_logistic

CHANCE = 0.5

LEAST_SHARE = 1e-3
"""Of the weights: who has less is not worth its calls."""

FOLDS = 10

MIN_LABELS = 20
"""With fewer, hardly any judge's lower bound would be above chance."""

Method = Literal["vote", "temperature", "isotonic"]

Values = Mapping[str, Sequence[float]]
"""Of each judge by name, one a label."""

FITS: Mapping[Method, Callable[[Sequence[float], Sequence[bool]], Calibration]] = {
    "vote": fitted_vote,
    "temperature": fitted_temperature,
    "isotonic": fitted_isotonic,
}


class NoJudgeIsGoodEnough(Exception):
    """No judge's lower bound is above chance, or there are too few labels to tell."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well one judge, or a panel, agrees with the labels."""

    accuracy: float
    balanced_accuracy: float
    lower_bound: float
    """Of the balanced accuracy, at 95 %."""
    kappa: float
    calibration_error: float

    @property
    def beats_chance(self) -> bool:
        return self.lower_bound > CHANCE


@dataclass(frozen=True, slots=True)
class FittedPanel:
    """Weights, which sum to 1, and a calibration."""

    weights: Mapping[str, float]
    calibration: Calibration

    def probabilities(self, values: Values) -> list[float]:
        return [self.calibration(value) for value in joined(values, self.weights)]


def agreement(values: Sequence[float], labels: Sequence[bool]) -> Agreement:
    return Agreement(
        accuracy=accuracy(values, labels),
        balanced_accuracy=balanced_accuracy(values, labels),
        lower_bound=balanced_lower_bound(values, labels),
        kappa=kappa(values, labels),
        calibration_error=calibration_error(values, labels),
    )


def fitted_panel(values: Values, labels: Sequence[bool], method: Method = "vote") -> FittedPanel:
    """The panel of all judges that beat chance.

    Raises:
        NoJudgeIsGoodEnough: none does, or there are fewer than `MIN_LABELS`.
    """
    if len(labels) < MIN_LABELS:
        raise NoJudgeIsGoodEnough(f"{len(labels)} labels tell nothing; {MIN_LABELS} are the least")
    agreements = {name: agreement(found, labels) for name, found in values.items()}
    seated = {name: values[name] for name, found in agreements.items() if found.beats_chance}
    if not seated:
        bounds = ", ".join(f"{name} {found.lower_bound:.1%}" for name, found in agreements.items())
        raise NoJudgeIsGoodEnough(f"no judge's lower bound is above chance: {bounds}")
    weights = fitted_weights(seated, labels)
    return FittedPanel(weights, FITS[method](joined(seated, weights), labels))


def fitted_weights(values: Values, labels: Sequence[bool]) -> dict[str, float]:
    """Weights w >= 0 of the likeliest labels under P(yes) = sigmoid(sum of w_j (2 v_j - 1)).

    That is the weighted vote which is best for independent judges (Nitzan and Paroush, 1982),
    fitted jointly because judges are not independent. Votes take few values, so thousands of
    labels are some dozens of different rows.

    Judges that add nothing to the others get no weight, and are left out.
    """
    names = sorted(values)
    columns = [values[name] for name in names]
    weights = non_negative_logistic(
        Counter(
            tuple((2.0 * v - 1.0) * (1.0 if label else -1.0) for v in row)
            for *row, label in zip(*columns, labels, strict=True)
        )
    )
    total = math.fsum(weights)
    if total == 0.0:
        return {name: 1.0 / len(names) for name in names}
    return {n: w / total for n, w in zip(names, weights, strict=True) if w > LEAST_SHARE * total}


def joined(values: Values, weights: Mapping[str, float]) -> list[float]:
    """The weighted mean of the judges' values, for each label: what a panel's value is."""
    total = math.fsum(weights.values())
    columns = [values[name] for name in weights]
    return [
        min(1.0, max(0.0, dot(list(weights.values()), row) / total))
        for row in zip(*columns, strict=True)
    ]


def cross_validated(
    values: Values,
    labels: Sequence[bool],
    groups: Sequence[str],
    method: Method = "vote",
    seed: int = 0,
) -> list[float]:
    """Each label's probability from a panel that was fitted without its fold.

    Groups, such as the labels of one prompt, stay in one fold: what is held out is unseen.
    """
    fold_of = folds(groups, seed)
    found = [0.0] * len(labels)
    for fold in set(fold_of.values()):
        held = [i for i, group in enumerate(groups) if fold_of[group] == fold]
        kept = [i for i, group in enumerate(groups) if fold_of[group] != fold]
        panel = fitted_panel(rows_of(values, kept), [labels[i] for i in kept], method)
        for i, probability in zip(held, panel.probabilities(rows_of(values, held)), strict=True):
            found[i] = probability
    return found


def folds(groups: Sequence[str], seed: int) -> dict[str, int]:
    """A fold for every group, in a shuffled turn."""
    distinct = sorted(set(groups))
    random.Random(seed).shuffle(distinct)
    return {group: place % FOLDS for place, group in enumerate(distinct)}


def rows_of(values: Values, indices: Sequence[int]) -> dict[str, list[float]]:
    return {name: [column[i] for i in indices] for name, column in values.items()}


def best_single(values: Values, labels: Sequence[bool]) -> str:
    """The judge of the highest balanced accuracy, which is known only with all labels."""
    return max(sorted(values), key=lambda name: balanced_accuracy(values[name], labels))
