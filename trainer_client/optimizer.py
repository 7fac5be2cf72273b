"""The optimizer and its learning rate, the same for both stages of training."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

BETAS = (0.9, 0.95)
"""A shorter memory of squared gradients than the default 0.999: runs have hundreds of steps."""


def adamw(model: PreTrainedModel) -> torch.optim.AdamW:
    """AdamW without weight decay. The learning rate is set at every step."""
    return torch.optim.AdamW(model.parameters(), lr=0.0, betas=BETAS, weight_decay=0.0, fused=True)


def learning_rate(
    step: int, steps: int, *, peak: float, warmup: int, decay_from: float, final: float
) -> float:
    """The rate of `step`, counted from 0 up to `steps`.

    Rises linearly over `warmup` steps, stays at `peak`, and falls linearly to `final * peak`
    from the share `decay_from` of all steps on.
    """
    risen = min(1.0, (step + 1) / (warmup + 1))
    progress = step / steps
    fallen = max(0.0, (progress - decay_from) / (1 - decay_from)) if decay_from < 1 else 0.0
    return peak * risen * (1 - (1 - final) * fallen)


def take_step(optimizer: torch.optim.Optimizer, rate: float, max_norm: float) -> float:
    """Updates the weights with their gradients and clears these. Returns the gradient's norm."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return float(norm)
