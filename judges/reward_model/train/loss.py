"""The Bradley–Terry loss of an ensemble of heads."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def preference_loss(
    chosen: Tensor,
    rejected: Tensor,
    margin: Tensor,
    weight: Tensor,
    *,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
) -> Tensor:
    """The weighted sum over pairs and heads of the loss of one comparison: a scalar.

    -(1 - s) log σ(Δ - m) - s log σ(-(Δ - m)) + c (r_chosen + r_rejected)²

    with Δ = r_chosen - r_rejected. The first term is Bradley and Terry (1952) as in Ouyang
    et al. 2022 (arXiv 2203.02155, equation 1), the margin m that of Llama 2 (2307.09288,
    equation 2), s the share of labels taken to be wrong, and the last term keeps rewards
    around zero, which comparisons leave free (Eisenstein et al. 2023, 2312.09244).

    Args:
        chosen, rejected: rewards, (pairs, heads).
        margin: (pairs, 1).
        weight: (pairs, heads); a head's bootstrap sample times the pair's own weight.
    """
    difference = chosen - rejected - margin
    loss = -(1 - label_smoothing) * logsigmoid(difference)
    loss = loss - label_smoothing * logsigmoid(-difference)
    return (weight * (loss + centering * (chosen + rejected) ** 2)).sum()
