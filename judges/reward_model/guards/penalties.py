"""What a suspicious text loses, as lines over what guards measure.

Where natural and degenerate texts overlap, no threshold parts them. A logistic regression tells
how much likelier a measure is in degenerate texts than in natural ones, and a text loses, in
deviations of the reference set, one more than those log-odds. So what nobody can tell apart loses
nothing that others do not lose, and what hardly any natural text does loses most.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from judges.reward_model.guards.guard import EmbeddingGuard
from judges.reward_model.guards.guards import GUARDS, GuardName, Measures, Penalty
from judges.reward_model.guards.logistic import logistic_loss, minimised

if TYPE_CHECKING:
    from torch import Tensor

PRIOR = 1.0
"""Log-odds of a degenerate text to come, before its measure is known: a policy looks for them."""

MOST_PENALISED = 0.3
"""Of natural texts, by each guard."""

RIDGE = 1e-4
"""Of the squared slope, of a measure in units of its deviation in natural and odd texts."""


def choose_penalties(
    natural: Sequence[Measures], degenerate: Sequence[Measures], strangers: Sequence[Measures]
) -> dict[GuardName, Penalty]:
    """Lines for the guards that can tell degenerate texts from natural ones.

    Args:
        strangers: measures of answers to other prompts, from which those learn that read
            embeddings. Other guards learn from those of the degenerate texts that no guard finds
            more suspicious than they do.
    """
    found = found_by_each(natural, degenerate)
    penalties: dict[GuardName, Penalty] = {}
    for guard in GUARDS:
        name = guard.name
        if not guard.penalises or name not in natural[0]:
            continue
        if issubclass(guard, EmbeddingGuard):
            odd, frequency = [each[name] for each in strangers], 1.0
        else:
            odd = found[name]
            frequency = len(odd) / max(len(degenerate), 1)
        line = fit_line([each[name] for each in natural], odd, frequency) if odd else None
        if line is not None:
            penalties[name] = line
    return penalties


def found_by_each(
    natural: Sequence[Measures], degenerate: Sequence[Measures]
) -> dict[GuardName, list[float]]:
    """The measures of degenerate texts by that guard to which they are most suspicious: fewest
    natural texts are as much so."""
    ordered = {name: sorted(each[name] for each in natural) for name in natural[0]}
    found: dict[GuardName, list[float]] = defaultdict(list)
    for each in degenerate:
        name = max(ordered, key=lambda name: bisect_left(ordered[name], each[name]))
        found[name].append(each[name])
    return found


def fit_line(natural: Sequence[float], odd: Sequence[float], frequency: float) -> Penalty | None:
    """None where larger measures are no more suspicious.

    Args:
        frequency: of what is odd in this way, among all degenerate texts.
    """
    import torch

    usual, strange = torch.tensor(natural), torch.tensor(odd)
    middle, unit = halfway(usual, strange)
    classes = [((each - middle) / unit)[:, None] for each in (usual, strange)]
    loss = logistic_loss(classes[0], [(frequency, classes[1])], RIDGE)
    slope, bias = (-weight for weight in minimised(loss, 1).tolist())
    if slope <= 0:
        return None
    start = middle - unit * (bias + PRIOR) / slope
    return Penalty(start=max(start, float(usual.quantile(1 - MOST_PENALISED))), slope=slope / unit)


def halfway(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Mean and deviation of two sets that count equally. Where natural texts have all the same
    measure, what another one has is still judged by how far odd ones are."""
    means = float(one.mean()), float(other.mean())
    variances = float(one.var(correction=0)), float(other.var(correction=0))
    between = (means[0] - means[1]) / 2
    return sum(means) / 2, math.sqrt(sum(variances) / 2 + between**2) + 1e-6
