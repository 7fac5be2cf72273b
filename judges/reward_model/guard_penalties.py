"""What a suspicious text loses, as lines over what guards measure.

Where natural and degenerate texts overlap, no threshold parts them. A logistic regression tells
how much likelier a measure is in degenerate texts than in natural ones, and a text loses, in
deviations of the reference set, one more than those log-odds. So what nobody can tell apart loses
nothing that others do not lose, and what hardly any natural text does loses most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from judges.reward_model.guards import GuardName, Measures, Penalty
from judges.reward_model.logistic import logistic_loss, minimised

PENALISING: tuple[GuardName, ...] = ("repetition", "echo", "order", "relevance")
"""The other guards' degenerate texts lie far from natural ones, and brevity must not cost."""

PRIOR = 1.0
"""Log-odds of a degenerate text to come, before its measure is known: a policy looks for them."""

MOST_PENALISED = 0.3
"""Of natural texts, by each guard."""

RIDGE = 5e-4
"""Of the squared slope, of a measure in units of its deviation in natural texts."""


def choose_penalties(
    natural: Sequence[Measures], degenerate: Sequence[Measures], strangers: Sequence[float]
) -> dict[GuardName, Penalty]:
    """
    Args:
        strangers: relevance of answers to other prompts. Other guards learn from those of the
            degenerate texts that no guard finds more suspicious than they do.
    """
    found = found_by_each(natural, degenerate)
    penalties: dict[GuardName, Penalty] = {}
    for name in PENALISING:
        odd = list(strangers) if name == "relevance" else found[name]
        frequency = 1.0 if name == "relevance" else len(odd) / max(len(degenerate), 1)
        if odd and name in natural[0]:
            line = fit_line([each[name] for each in natural], odd, frequency)
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

    usual = torch.tensor(natural)
    mean, std = usual.mean(), usual.std() + 1e-6
    standard, strange = (usual - mean) / std, (torch.tensor(odd) - mean) / std
    loss = logistic_loss(standard[:, None], [(frequency, strange[:, None])], RIDGE)
    slope, bias = (-weight for weight in minimised(loss, 1).tolist())
    if slope <= 0:
        return None
    start = max(-(bias + PRIOR) / slope, float(standard.quantile(1 - MOST_PENALISED)))
    return Penalty(start=float(mean + std * start), slope=slope / float(std))
