"""What every engine is asked for and gives back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. Temperature 0 takes the likeliest token."""

    group_size: int
    max_new_tokens: int
    temperature: float
    end_ids: tuple[int, ...]
    pad_id: int
    batch_size: int = 2048
    """Completions written at the same time, at most: they share the memory of one cache."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled completion.

    `token_ids` include the end token, which the policy chose like any other. `log_probs`
    are those of the distribution that was sampled from, so with the temperature in it.
    """

    prompt: int
    """The index of the prompt that it answers."""
    token_ids: list[int]
    log_probs: list[float]
    finish_reason: FinishReason


def generator_for(device: torch.device, seed: int, purpose: str, step: int) -> torch.Generator:
    """Draws that depend on these and nothing else, so that a resumed run repeats them."""
    number = random.Random(f"{seed}/{purpose}/{step}").getrandbits(63)
    return torch.Generator(device).manual_seed(number)


def left_padded(prompts: Sequence[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token ids and which of them are real, both (prompts, length of the longest)."""
    width = max(map(len, prompts))
    ids = [[pad_id] * (width - len(prompt)) + prompt for prompt in prompts]
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    return torch.tensor(ids), torch.arange(width) >= width - lengths[:, None]


def completions_of(
    prompts: Tensor, tokens: Tensor, log_probs: Tensor, written: Tensor, ended: Tensor
) -> list[Completion]:
    """Completions in order, from how far each got.

    Args:
        prompts: (groups,) the index of each group's prompt.
        tokens, log_probs: (groups, group_size, max_new_tokens)
        written: (groups, group_size) tokens, up to and with the end token.
        ended: (groups, group_size) whether it is there.
    """
    rows = zip(
        prompts.repeat_interleave(ended.shape[1]).tolist(),
        tokens.flatten(0, 1).tolist(),
        log_probs.flatten(0, 1).tolist(),
        written.flatten().tolist(),
        ended.flatten().tolist(),
        strict=True,
    )
    return [
        Completion(prompt, ids[:count], log_probs[:count], "stop" if ended else "length")
        for prompt, ids, log_probs, count, ended in rows
    ]
