"""Policies and configurations small enough for tests that really train."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from trainer_client.train.config import Config, PolicyConfig, load_config
from trainer_client.train.engines.sampling import Sampling
from trainer_client.train.policy import Policy, from_scratch

torch.set_num_threads(1)  # the same on every machine, and neighbours keep their cores

SIZES = PolicyConfig(hidden_size=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp_size=48)

SMALL_RUN = (
    "threads=1",
    "policy.hidden_size=32",
    "policy.layers=1",
    "policy.mlp_size=48",
    "data.shortest=2",
    "data.longest=6",
    "data.held_out_size=8",
    "sft.steps=4",
    "sft.batch_size=4",
    "grpo.steps=6",
    "grpo.prompts_per_step=4",
    "grpo.group_size=4",
    "grpo.max_new_tokens=8",
    "grpo.checkpoint_every=2",
    "evaluation.every=3",
    "evaluation.samples=2",
    "evaluation.max_new_tokens=8",
)


def small_run(*overrides: str) -> Config:
    return load_config(None, [*SMALL_RUN, *overrides])


@cache
def tiny_policy(seed: int = 0) -> Policy:
    """Random weights. Shared between tests: none may train it."""
    return from_scratch(SIZES, seed)


def sampling(policy: Policy, **changes: Any) -> Sampling:
    usual: dict[str, Any] = {"group_size": 4, "max_new_tokens": 6, "temperature": 1.0}
    return Sampling(end_ids=policy.end_ids, pad_id=policy.pad_id, **(usual | changes))


@dataclass
class TokenGroup:
    """A group as `packing` sees it."""

    prompt_ids: list[int]
    completion_ids: list[list[int]] = field(default_factory=list)
