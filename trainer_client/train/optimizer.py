"""The optimizers and their learning rate, the same for both stages of training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel

from trainer_client.train.config import GrpoConfig, SftConfig

BETAS = (0.9, 0.95)
"""A shorter memory of squared gradients than the default 0.999: runs have hundreds of steps."""

MUON_RATE = 4.0
"""Muon's learning rate for each unit of AdamW's. Its updates have unit singular values."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients that bring singular values near 1 in five rounds (Jordan et al. 2024)."""


def adamw(parameters: Iterable[Parameter]) -> AdamW:
    """AdamW without weight decay. The learning rate is set at every step."""
    return AdamW(parameters, lr=0.0, betas=BETAS, weight_decay=0.0, fused=True)


def for_scratch(model: PreTrainedModel) -> list[Optimizer]:
    """Muon for the matrices inside the model, AdamW for embeddings and norms.

    From random weights Muon needs about half of the steps that AdamW alone does, and, what
    matters more to a demo, about the same number of them for every seed.
    """
    embeddings = model.get_input_embeddings().weight
    inside = [p for p in model.parameters() if p.ndim == 2 and p is not embeddings]
    rest = [p for p in model.parameters() if p.ndim != 2 or p is embeddings]
    return [Muon(inside), adamw(rest)]


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal before they are taken as updates.

    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", with
    Nesterov momentum and without weight decay. Unlike `torch.optim.Muon` it computes in
    single precision and takes all matrices of one shape at a time: on a processor without
    bfloat16 (AVX2) a step of the demo's policy takes 3 ms instead of 52.
    """

    def __init__(self, matrices: Iterable[Parameter], momentum: float = 0.95) -> None:
        shapes = defaultdict[torch.Size, list[Parameter]](list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        groups = [{"params": parameters} for parameters in shapes.values()]
        super().__init__(groups, {"lr": 0.0, "scale": MUON_RATE, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            parameters, momentum = group["params"], group["momentum"]
            gradients = torch.stack([parameter.grad for parameter in parameters])
            state = self.state[parameters[0]]
            average = state.setdefault("average", torch.zeros_like(gradients))
            average.lerp_(gradients, 1 - momentum)
            updates = orthogonal(gradients.lerp(average, momentum))
            rows, columns = parameters[0].shape
            rate = group["lr"] * max(1.0, rows / columns) ** 0.5
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.sub_(update, alpha=rate)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: singular values end up about 0.7 to 1.2.

    Args:
        matrices: (count, rows, columns)
    """
    x: Tensor = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        squared = x @ x.mT
        x = a * x + (b * squared + c * squared @ squared) @ x
    return x.mT if tall else x


def learning_rate(step: int, settings: SftConfig | GrpoConfig, decay_from: float = 0.0) -> float:
    """The rate of `step`, counted from 0.

    Rises linearly over the warm-up, stays at its peak, and falls linearly to its final share of
    that from the share `decay_from` of all steps on.
    """
    risen = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    progress = step / settings.steps
    fallen = max(0.0, (progress - decay_from) / (1 - decay_from)) if decay_from < 1 else 0.0
    return settings.learning_rate * risen * (1 - (1 - settings.final_learning_rate) * fallen)


def take_step(optimizers: Sequence[Optimizer], rate: float, max_norm: float) -> float:
    """Updates the weights with their gradients and clears these. Returns the gradient's norm."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    norm = torch.nn.utils.clip_grad_norm_(
        [p for group in groups for p in group["params"]], max_norm
    )
    for group in groups:
        group["lr"] = rate * group.get("scale", 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return float(norm)
