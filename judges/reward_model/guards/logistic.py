"""Logistic regression with a ridge, for what guards learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def logistic_loss(
    true: Tensor, false: Sequence[tuple[float, Tensor]], ridge: float
) -> Callable[[Tensor], Tensor]:
    """The mean loss over each class, times the weight of the class, and the ridge: of the
    weights, (inputs + 1), the bias last.

    Args:
        true, false: (texts, inputs).
        ridge: times the squared weights.
    """
    from torch.nn.functional import softplus

    def loss(weights: Tensor) -> Tensor:
        slope, bias = weights[:-1], weights[-1]
        total = softplus(-(true @ slope + bias)).mean()
        for weight, rows in false:
            total = total + weight * softplus(rows @ slope + bias).mean()
        return total / 2 + ridge * slope @ slope

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
