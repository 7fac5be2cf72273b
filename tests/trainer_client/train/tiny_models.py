"""Models of two layers with random weights, and groups for them to learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trainer_client.train.engines.sampling import Completion
from trainer_client.train.rollouts import Group, Rollout
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import Score, ScoreError

VOCABULARY, PAD, END = 24, 0, 1

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": PAD,
}

ARCHITECTURES = ("qwen3", "qwen2", "llama", "gpt2")


def tiny_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """A model far from uniform, in which biases and norms matter as well."""
    torch.manual_seed(seed)
    model = BUILDERS[architecture]().eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.2 * torch.randn(weights.shape)
    return model


def gpt2() -> PreTrainedModel:
    model: PreTrainedModel = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=4, n_positions=64,
            bos_token_id=None, eos_token_id=END, pad_token_id=PAD,
        )
    )  # fmt: skip
    return model


BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "gpt2": gpt2,
}


@torch.no_grad()
def log_probs_alone(
    model: PreTrainedModel, prompt: list[int], completion: list[int], temperature: float = 1.0
) -> Tensor:
    """What the model says of each completion token when it reads nothing else, (tokens,)."""
    return log_probs_with_gradient(model, prompt, completion, temperature)


def log_probs_with_gradient(
    model: PreTrainedModel, prompt: list[int], completion: list[int], temperature: float = 1.0
) -> Tensor:
    logits = model(torch.tensor([prompt + completion]), use_cache=False).logits[0]
    table = (logits[len(prompt) - 1 : -1] / temperature).log_softmax(-1)
    return torch.stack([row[token] for row, token in zip(table, completion, strict=True)])


def group_of(prompt: list[int], completions: list[list[int]], rewards: list[float | None]) -> Group:
    """A group as the service would have scored it, sampled by a policy of equal chances."""
    error = ScoreError("timeout", "too slow", retryable=True)
    rollouts = [
        Rollout(
            Completion(0, ids, [-2.0] * len(ids), "stop"),
            text="",
            score=Score(id="0", reward=reward, error=error if reward is None else None),
        )
        for ids, reward in zip(completions, rewards, strict=True)
    ]
    return Group(Problem("", None), prompt, rollouts)
