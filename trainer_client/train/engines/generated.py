"""The engine of any other architecture: all completions at once, by `generate` of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from trainer_client.train.engines.sampling import (
    Completion,
    Sampling,
    completions_of,
    left_padded,
)


@torch.no_grad()
def generated(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[list[Completion]]:
    """Every completion, when the last has ended."""
    ids, real = (x.to(model.device) for x in left_padded(prompts, sampling.pad_id))
    size, width = sampling.group_size, ids.shape[1]
    devices = [model.device] if model.device.type == "cuda" else []
    # `generate` draws from the global generator and takes no other.
    with without_habits(model), torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        generate: Any = model.generate
        output = generate(
            input_ids=ids.repeat_interleave(size, 0),
            attention_mask=real.long().repeat_interleave(size, 0),
            generation_config=generation_config(sampling),
            return_dict_in_generate=True,
            output_logits=True,
        )
    tokens = output.sequences[:, width:]
    logits = torch.stack(output.logits, 1).float() / (sampling.temperature or 1.0)
    log_probs = logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)
    ends = torch.isin(tokens, torch.tensor(sampling.end_ids, device=tokens.device))
    ended = ends.any(1)
    written = torch.where(ended, ends.int().argmax(1) + 1, tokens.shape[1])
    answers = (x.unflatten(0, (-1, size)) for x in (tokens, log_probs, written, ended))
    yield completions_of(torch.arange(len(prompts)), *answers)


@contextmanager
def without_habits(model: PreTrainedModel) -> Iterator[None]:
    """Hides the penalties and cut-offs that a model brings along.

    `generate` applies whatever of them a call leaves out, and what it samples from is then not
    the distribution that the update takes its log-probabilities from.
    """
    habits, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = habits


def generation_config(sampling: Sampling) -> GenerationConfig:
    """Plain sampling. Its 50 likeliest tokens are what `generate` keeps unless told."""
    options: dict[str, Any] = {"do_sample": False}
    if sampling.temperature:
        options = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_k": 0,
            "top_p": 1.0,
        }
    return GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=list(sampling.end_ids),
        pad_token_id=sampling.pad_id,
        **options,
    )
