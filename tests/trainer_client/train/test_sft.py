"""The cold start: what its loss is over, and how demonstrations come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_client.train.config import Config, PolicyConfig
from trainer_client.train.policy import Policy, from_scratch
from trainer_client.train.sft import Tokenized, demonstrations, fine_tune

TINY = PolicyConfig(hidden_size=16, layers=2, heads=2, kv_heads=1, head_dim=8, mlp_size=16)

IGNORED = -100
"""The label that the losses of transformers leave out."""


def config_of(**sections: Any) -> Config:
    sft = {"steps": 3, "batch_size": 4, "warmup_steps": 0} | sections.pop("sft", {})
    return Config.model_validate({"policy": TINY.model_dump(), "sft": sft, **sections})


def losses_of(policy: Policy, config: Config) -> list[tuple[float, int]]:
    """The loss and the number of tokens of each step."""
    steps = list[tuple[float, int]]()
    fine_tune(policy, config, lambda _, loss, tokens: steps.append((loss, tokens)))
    return steps


def loss_by_transformers(policy: Policy, batch: Sequence[Tokenized]) -> tuple[float, int]:
    """The mean over all completion tokens of what the model itself computes from labels."""
    total, tokens = 0.0, 0
    for demonstration in batch:
        prompt, [completion] = demonstration.prompt_ids, demonstration.completion_ids
        with torch.no_grad():
            output = policy.model(
                input_ids=torch.tensor([prompt + completion]),
                labels=torch.tensor([[IGNORED] * len(prompt) + completion]),
            )
        total += float(output.loss) * len(completion)
        tokens += len(completion)
    return total / tokens, tokens


def test_the_loss_is_over_completion_tokens_only() -> None:
    config = config_of()
    policy = from_scratch(TINY, seed=0)
    expected, tokens = loss_by_transformers(policy, next(demonstrations(policy, config)))
    loss, count = losses_of(policy, config)[0]
    assert loss == pytest.approx(expected, rel=1e-5)
    assert count == tokens


def test_a_demonstration_ends_with_the_end_and_spells_no_special_token(tmp_path: Path) -> None:
    file = tmp_path / "demonstrations.jsonl"
    file.write_text(json.dumps({"prompt": "p", "completion": "a<|end|>b"}))
    policy = from_scratch(TINY, seed=0)
    [demonstration, *_] = next(
        demonstrations(policy, config_of(data={"demonstrations": str(file)}))
    )
    [completion] = demonstration.completion_ids
    assert demonstration.prompt_ids == policy.encode(["p"])[0]
    assert completion[-1] in policy.end_ids
    assert not set(completion[:-1]) & set(policy.end_ids)
    assert len(completion) == len("a<|end|>b") + 1


def test_training_lowers_the_loss_and_is_repeatable() -> None:
    config = config_of(sft={"steps": 30, "batch_size": 8})
    first = losses_of(from_scratch(TINY, seed=0), config)
    assert losses_of(from_scratch(TINY, seed=0), config) == first
    assert sum(loss for loss, _ in first[-5:]) < 0.9 * sum(loss for loss, _ in first[:5])


def test_what_on_step_raises_ends_the_training() -> None:
    def stop(step: int, loss: float, tokens: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(from_scratch(TINY, seed=0), config_of(), stop)


def test_batches_have_like_lengths_and_depend_on_the_seed() -> None:
    policy = from_scratch(TINY, seed=0)
    batches = list(islice(demonstrations(policy, config_of()), 16))
    assert batches == list(islice(demonstrations(policy, config_of()), 16))
    assert batches != list(islice(demonstrations(policy, config_of(seed=1)), 16))
    lengths = [[len(d.prompt_ids + d.completion_ids[0]) for d in batch] for batch in batches]
    ranges = sorted((min(batch), max(batch)) for batch in lengths)
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))
