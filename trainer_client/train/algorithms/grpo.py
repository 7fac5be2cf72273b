"""The loss of Group Relative Policy Optimization. Pure functions over tensors of tokens.

Each completion is pushed up or down by how much better than its group it did (DeepSeekMath,
Shao et al. 2024, arXiv:2402.03300). Departures from the paper, and why:

- Every token weighs the same, whichever completion it is in (DAPO, Yu et al. 2025,
  arXiv:2503.14476, eq. 8). A mean over each completion first would weigh the tokens of long
  completions less, and so punish long mistakes less. The loop divides the sum.
- The clip range has two sides of its own, wider upwards (DAPO, "clip-higher"), so that
  unlikely tokens can grow.
- No KL penalty unless `kl_beta` is set; then it is k3 to the policy at the start, which is
  never refreshed.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor


def clipped_surrogate(
    new: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """The loss of each token (Schulman et al. 2017, eq. 7, with a bound for either side).

    Args:
        new: (tokens,) log-probabilities under the policy being trained.
        old: (tokens,) the same when the tokens were sampled.
        advantage: (tokens,) that of the completion the token is in.

    Returns:
        (tokens,) minus the smaller of ratio * advantage and clipped ratio * advantage.
    """
    ratio = (new - old).exp()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratio * advantage, clipped * advantage)


def held_back(
    new: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float
) -> Counter[str]:
    """How many tokens the clip range holds back on either side. Arguments as above."""
    ratio = (new.detach() - old).exp()
    low = (ratio < 1 - clip_low) & (advantage < 0)
    high = (ratio > 1 + clip_high) & (advantage > 0)
    return Counter(low=int(low.sum()), high=int(high.sum()))


def k3(new: Tensor, reference: Tensor) -> Tensor:
    """An estimate of KL(policy || reference) from each sampled token, (tokens,).

    Unbiased, never negative, and of low variance (Schulman 2020, "Approximating KL
    divergence"): with r = reference / policy, it is r - 1 - log r.
    """
    log_ratio = reference - new
    return log_ratio.exp() - 1 - log_ratio
