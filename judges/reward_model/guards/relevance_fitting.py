"""The classifier behind the relevance guard: does a completion belong to its prompt?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from judges.reward_model.guards.guards import Relevance, Vector
from judges.reward_model.guards.logistic import logistic_loss, minimised
from judges.reward_model.model.embedding import Embedded

if TYPE_CHECKING:
    from torch import Tensor

RIDGE = 0.5
"""Of the squared weights of the relevance classifier. Its inputs outnumber the prompts."""

FREEDOM = 3.0
"""Of the weights of the completion alone, which do not multiply noise: so much larger before they
cost as much as the others."""

HOLLOW_WEIGHT = 0.1
"""Of texts that answer nothing, beside answers to other prompts. More, and the classifier knows
filler by its words and is worse at telling answers apart."""

LEAST_SPREAD = 0.1
"""Of an input of the relevance classifier, added to its own: a share of the mean over inputs."""

STRANGERS = 5
"""Other prompts that each completion is paired with, to learn what does not belong."""


def fit_relevance(natural: Embedded, hollow: Embedded | None = None) -> Relevance:
    """A logistic regression that tells completions of their prompt from those of others, and
    from those that answer none.

    Args:
        natural: texts whose completion answers its prompt.
        hollow: texts whose completion answers nothing.
    """
    import torch

    prompts, turns, completions = map(rows_of, natural)
    own, theirs = torch.cat([prompts, turns], dim=1), completions
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(own), (STRANGERS, len(own)), generator=generator)
    strange = torch.cat([interactions(own[each], theirs) for each in drawn])
    is_other = torch.cat([(own[each] != own).any(dim=1) for each in drawn])
    true, false = interactions(own, theirs), strange[is_other]
    mean, std = true.mean(0), spread(true, theirs.shape[1])
    wrong = [(1.0, (false - mean) / std)]
    if hollow and hollow[0]:
        prompts, turns, completions = map(rows_of, hollow)
        empty = interactions(torch.cat([prompts, turns], dim=1), completions)
        wrong.append((HOLLOW_WEIGHT, (empty - mean) / std))
    weights = minimised(logistic_loss((true - mean) / std, wrong, RIDGE), true.shape[1])
    slope, bias = weights[:-1] / std, float(weights[-1] - (weights[:-1] * mean / std).sum())
    rounded = [tuple(round(w, 6) for w in part.tolist()) for part in slope.chunk(3)]
    return Relevance(prompt=rounded[0], turn=rounded[1], completion=rounded[2], bias=bias)


def rows_of(vectors: Sequence[Vector]) -> Tensor:
    """(texts, hidden)"""
    import torch

    return torch.tensor([*map(list, vectors)])


def interactions(asked: Tensor, completions: Tensor) -> Tensor:
    """p * c, t * c and c: (texts, 3 * hidden). asked: p and t, (texts, 2 * hidden)."""
    import torch

    return torch.cat([asked * completions.repeat(1, 2), completions], dim=1)


def spread(rows: Tensor, hidden: int) -> Tensor:
    """What the inputs are divided by: (3 * hidden). What hardly varies among natural texts may
    do so in others, and would then count for more than all the rest."""
    import torch

    std = rows.std(0)
    *products, completion = (part + LEAST_SPREAD * part.mean() + 1e-6 for part in std.split(hidden))
    return torch.cat([*products, completion / FREEDOM])
