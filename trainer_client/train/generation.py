"""Samples completions: batched and cached for Qwen2 and Qwen3, by `generate` for the rest.

Groups leave the batch when the last of their completions has ended, and are handed out at
once, so that they can be scored while others are still being written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from trainer_client.train.decoder import Decoder, supports

LEAVE_AT = 0.2
"""Ended groups leave once they are this share of the batch: moving the cache has a cost."""

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


def sample(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[list[Completion]]:
    """`group_size` completions of every prompt, in whole groups, as they end."""
    engine = cached if supports(model) else generated
    groups = max(1, sampling.batch_size // sampling.group_size)
    for first in range(0, len(prompts), groups):
        for ended in engine(model, prompts[first : first + groups], sampling, generator):
            yield [replace(completion, prompt=first + completion.prompt) for completion in ended]


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


# --- cached -----------------------------------------------------------------------------


@dataclass(slots=True)
class Live:
    """The g groups that are still being written."""

    prompt: Tensor  # (g,) the index of the prompt
    position: Tensor  # (g,) of the next token in its own sequence
    mask: Tensor  # (g, 1, group_size, slots) added to attention scores
    tokens: Tensor  # (g, group_size, max_new_tokens)
    log_probs: Tensor  # (g, group_size, max_new_tokens)
    written: Tensor  # (g, group_size) tokens, up to and with the end token
    ended: Tensor  # (g, group_size)

    def select(self, groups: Tensor) -> Live:
        return Live(*(getattr(self, name)[groups] for name in self.__slots__))

    def completions(self) -> list[Completion]:
        group_size = self.ended.shape[1]
        rows = zip(
            self.prompt.repeat_interleave(group_size).tolist(),
            self.tokens.flatten(0, 1).tolist(),
            self.log_probs.flatten(0, 1).tolist(),
            self.written.flatten().tolist(),
            self.ended.flatten().tolist(),
            strict=True,
        )
        return [
            Completion(prompt, ids[:count], log_probs[:count], "stop" if ended else "length")
            for prompt, ids, log_probs, count, ended in rows
        ]


@torch.no_grad()
def cached(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[list[Completion]]:
    """Writes one token of every live completion at a time."""
    ids, real = (x.to(model.device) for x in left_padded(prompts, sampling.pad_id))
    size, width = sampling.group_size, ids.shape[1]
    decoder = Decoder(model, len(prompts), width + size * sampling.max_new_tokens)
    hidden = read_prompts(decoder, ids, real).expand(-1, size, -1)
    live = all_groups(real, sampling, decoder)
    end_ids = torch.tensor(sampling.end_ids, device=model.device)
    for step in range(sampling.max_new_tokens):
        chosen, log_probs = choose(decoder.logits(hidden), sampling.temperature, generator)
        live.tokens[:, :, step], live.log_probs[:, :, step] = chosen, log_probs
        live.written += ~live.ended
        live.ended |= torch.isin(chosen, end_ids)
        ended = live.ended.all(1)
        leaving = int(ended.sum())
        if leaving == len(ended) or step == sampling.max_new_tokens - 1:
            break
        if leaving >= LEAVE_AT * len(ended):
            yield live.select(ended).completions()
            live, chosen = live.select(~ended), chosen[~ended]
            decoder.keep(~ended)
        start = width + step * size
        positions = live.position[:, None].expand(-1, size)
        hidden = decoder.forward(chosen, positions, start, live.mask[..., : start + size])
        live.position += 1
    yield live.completions()


def read_prompts(decoder: Decoder, ids: Tensor, real: Tensor) -> Tensor:
    """Fills the cache with the prompts. Returns each last hidden state, (g, 1, hidden)."""
    width = ids.shape[1]
    positions = (real.cumsum(1) - 1).clamp_min(0)
    earlier = torch.ones(width, width, dtype=torch.bool, device=ids.device).tril()
    # Padding sees itself: attention to nothing at all would be NaN.
    itself = torch.eye(width, dtype=torch.bool, device=ids.device)
    seen = (earlier & real[:, None, :]) | itself
    return decoder.forward(ids, positions, 0, added(seen[:, None], decoder))[:, -1:]


def all_groups(real: Tensor, sampling: Sampling, decoder: Decoder) -> Live:
    """Every group, with nothing written yet."""
    groups, size, length = len(real), sampling.group_size, sampling.max_new_tokens
    device = real.device
    members = torch.arange(size, device=device)
    own = (torch.arange(size * length, device=device) % size) == members[:, None]
    seen = torch.cat(
        (real[:, None].expand(-1, size, -1), own.expand(groups, -1, -1)), dim=-1
    )  # (g, group_size, slots)
    return Live(
        prompt=torch.arange(groups, device=device),
        position=real.sum(1),
        mask=added(seen[:, None], decoder),
        tokens=torch.zeros(groups, size, length, dtype=torch.long, device=device),
        log_probs=torch.zeros(groups, size, length, device=device),
        written=torch.zeros(groups, size, dtype=torch.long, device=device),
        ended=torch.zeros(groups, size, dtype=torch.bool, device=device),
    )


def added(seen: Tensor, decoder: Decoder) -> Tensor:
    """The mask as a number added to attention scores."""
    dtype = decoder.embedding.dtype
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(
        ~seen, torch.finfo(dtype).min
    )


def choose(logits: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens and their log-probabilities, both of the shape of `logits` less its last.

    Samples by inverting the cumulative distribution: one uniform number a token, where
    `torch.multinomial` draws one for every entry of the vocabulary.
    """
    if temperature not in (0.0, 1.0):
        logits = logits / temperature
    log_probs = logits.log_softmax(-1)
    if temperature == 0:
        chosen = log_probs.argmax(-1, keepdim=True)
    else:
        cumulative = log_probs.double().exp_().cumsum_(-1)
        total = cumulative[..., -1:]
        uniform = torch.rand(
            total.shape, dtype=total.dtype, device=total.device, generator=generator
        )
        chosen = torch.searchsorted(cumulative, uniform * total, right=True)
        chosen = chosen.clamp_max_(logits.shape[-1] - 1)
    return chosen.squeeze(-1), log_probs.gather(-1, chosen).squeeze(-1)


# --- any other architecture -------------------------------------------------------------


@torch.no_grad()
def generated(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[list[Completion]]:
    """All completions at once, by `generate` of transformers."""
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
    shape = (len(prompts), size)
    yield Live(
        prompt=torch.arange(len(prompts)),
        position=real.sum(1),
        mask=real,
        tokens=tokens.unflatten(0, shape),
        log_probs=log_probs.unflatten(0, shape),
        written=written.unflatten(0, shape),
        ended=ended.unflatten(0, shape),
    ).completions()


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
