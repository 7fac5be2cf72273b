"""The engine of Qwen2 and Qwen3: all groups at once, a token at a time, over a cache.

Groups leave the batch when the last of their completions has ended, and are handed out at
once, so that they can be scored while others are still being written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from trainer_client.train.engines.decoder import Decoder
from trainer_client.train.engines.sampling import (
    Completion,
    Sampling,
    completions_of,
    left_padded,
)

LEAVE_AT = 0.2
"""Ended groups leave once they are this share of the batch: moving the cache has a cost."""


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
        return completions_of(self.prompt, self.tokens, self.log_probs, self.written, self.ended)


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
