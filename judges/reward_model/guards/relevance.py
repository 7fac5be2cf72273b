"""Answers to another prompt, and filler: does a completion belong to its prompt?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from judges.reward_model.guards.guard import EmbeddingGuard, Examples
from judges.reward_model.guards.logistic import logistic_loss, minimised
from judges.reward_model.model.embedding import Embedded, Vector
from verifiers.base import first_fault

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


class Weights(BaseModel):
    """Log-odds that a completion belongs to its prompt, from embeddings of the prompt, its last
    turn and the completion: bias + prompt . (p * c) + turn . (t * c) + completion . c, of which
    the last is what the completion has under any prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prompt: tuple[float, ...]
    turn: tuple[float, ...]
    completion: tuple[float, ...]
    bias: float


class Relevance(EmbeddingGuard):
    """Minus the log-odds of `Weights`."""

    name = "relevance"
    needs_prompt = True
    penalises = True
    stored_as = "relevance"

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    @classmethod
    def fit(cls, examples: Examples) -> Self | None:
        if examples.embedded is None:
            return None
        return cls(fitted_weights(examples.embedded, examples.hollow))

    @classmethod
    def load(cls, stored: Any) -> Self:
        try:
            return cls(Weights.model_validate(stored))
        except ValidationError as error:
            raise ValueError(first_fault("relevance", error)) from None

    def stored(self) -> JsonValue:
        return self._weights.model_dump(mode="json")

    def measure(self, prompt: Vector, turn: Vector, completion: Vector) -> float:
        known = self._weights
        weights = zip(known.prompt, known.turn, known.completion, strict=True)
        values = zip(prompt, turn, completion, strict=True)
        return -(
            known.bias
            + sum(
                c * (p * u + t * v + w)
                for (p, t, c), (u, v, w) in zip(values, weights, strict=True)
            )
        )


def fitted_weights(natural: Embedded, hollow: Embedded | None = None) -> Weights:
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
    return Weights(prompt=rounded[0], turn=rounded[1], completion=rounded[2], bias=bias)


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
