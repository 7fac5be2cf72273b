"""The classifier behind the relevance guard: does a completion belong to its prompt?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from judges.reward_model.guards import Relevance, Vector

if TYPE_CHECKING:
    from torch import Tensor

PENALTY = 0.5
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


def fit_relevance(
    prompts: Sequence[Vector],
    completions: Sequence[Vector],
    hollow_prompts: Sequence[Vector] = (),
    hollow_completions: Sequence[Vector] = (),
) -> Relevance:
    """A logistic regression that tells completions of their prompt from those of others, and
    from those that answer none.

    Args:
        prompts, completions: embeddings, row by row of one pair.
        hollow_prompts, hollow_completions: the same, of pairs whose completion answers nothing.
    """
    import torch

    own, theirs = rows_of(prompts), rows_of(completions)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(own), (STRANGERS, len(own)), generator=generator)
    strange = torch.cat([interactions(own[each], theirs) for each in drawn])
    is_other = torch.cat([(own[each] != own).any(dim=1) for each in drawn])
    true, false = interactions(own, theirs), strange[is_other]
    mean, std = true.mean(0), spread(true, own.shape[1])
    wrong = [(1.0, (false - mean) / std)]
    if hollow_prompts:
        hollow = interactions(rows_of(hollow_prompts), rows_of(hollow_completions))
        wrong.append((HOLLOW_WEIGHT, (hollow - mean) / std))
    weights = minimised(logistic_loss((true - mean) / std, wrong), true.shape[1])
    slope, bias = weights[:-1] / std, float(weights[-1] - (weights[:-1] * mean / std).sum())
    product, completion = slope.chunk(2)
    return Relevance(
        product=tuple(round(w, 6) for w in product.tolist()),
        completion=tuple(round(w, 6) for w in completion.tolist()),
        bias=bias,
    )


def rows_of(vectors: Sequence[Vector]) -> Tensor:
    """(texts, hidden)"""
    import torch

    return torch.tensor([*map(list, vectors)])


def interactions(prompts: Tensor, completions: Tensor) -> Tensor:
    """p * c and c: (texts, 2 * hidden)."""
    import torch

    return torch.cat([prompts * completions, completions], dim=1)


def spread(rows: Tensor, hidden: int) -> Tensor:
    """What the inputs are divided by: (2 * hidden). What hardly varies among natural texts may
    do so in others, and would then count for more than all the rest."""
    import torch

    std = rows.std(0)
    product, completion = (part + LEAST_SPREAD * part.mean() + 1e-6 for part in std.split(hidden))
    return torch.cat([product, completion / FREEDOM])


def logistic_loss(
    true: Tensor, false: Sequence[tuple[float, Tensor]]
) -> Callable[[Tensor], Tensor]:
    """The mean loss over each class, times the weight of the class, plus the penalty."""
    from torch.nn.functional import softplus

    def loss(weights: Tensor) -> Tensor:
        slope, bias = weights[:-1], weights[-1]
        total = softplus(-(true @ slope + bias)).mean()
        for weight, rows in false:
            total = total + weight * softplus(rows @ slope + bias).mean()
        return total / 2 + PENALTY * slope @ slope

    return loss


def minimised(loss: Callable[[Tensor], Tensor], inputs: int) -> Tensor:
    """The weights at the minimum of a convex loss: (inputs + 1), the bias last."""
    import torch

    weights = torch.zeros(inputs + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(weights)
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach()
