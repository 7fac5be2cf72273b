"""The tokens of preference pairs, in batches of bounded size, and an encoder's view of them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from judges.reward_model.model.model import last_layer, padded
from judges.reward_model.model.render import Prompt, TextTooLong, Truncation, encode
from judges.reward_model.preferences import Pair
from judges.reward_model.train.options import Options

ENCODED_TOGETHER = 1_000
"""Pairs. A tokenizer's own records of a text take a hundred times the memory of its ids."""


@dataclass(frozen=True)
class Texts:
    """Pair i is the texts 2i (chosen) and 2i + 1 (rejected)."""

    ids: Sequence[Sequence[int]]
    pad_id: int

    def __len__(self) -> int:
        return len(self.ids)


def encode_pairs(
    pairs: Sequence[Pair],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Truncation,
) -> tuple[tuple[Pair, ...], Texts, Counter[str]]:
    """The pairs whose both texts fit, their tokens, and counts of what was trimmed or left out."""
    kept: list[Pair] = []
    ids: list[Sequence[int]] = []
    counts: Counter[str] = Counter()
    for start in range(0, len(pairs), ENCODED_TOGETHER):
        some = pairs[start : start + ENCODED_TOGETHER]
        encoded = encode(
            [t for pair in some for t in pair.texts], tokenizer, max_length, truncation
        )
        for pair, chosen, rejected in zip(some, encoded[0::2], encoded[1::2], strict=True):
            if isinstance(chosen, TextTooLong) or isinstance(rejected, TextTooLong):
                counts["left out, completion too long"] += 1
                continue
            counts["prompt trimmed from the left"] += bool(chosen.trimmed or rejected.trimmed)
            kept.append(pair)
            ids += [array("i", chosen.ids), array("i", rejected.ids)]
    return tuple(kept), Texts(ids, int(tokenizer.pad_token_id)), counts


def budgeted(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Indices in order of length, cut so that a padded batch has at most `most_tokens`."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[index] * (len(batch) + 1) > most_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.no_grad()
def scores_of(
    network: PreTrainedModel,
    texts: Texts,
    most_tokens: int,
    watch: Callable[[int], None] | None = None,
) -> Tensor:
    """What the network's last layer gives for every text: (texts, outputs), in fp32."""
    network.eval()
    rows: list[Tensor | None] = [None] * len(texts)
    for batch in budgeted([len(ids) for ids in texts.ids], most_tokens):
        ids, mask = padded([texts.ids[i] for i in batch], texts.pad_id, network.device)
        found = network(input_ids=ids, attention_mask=mask).logits.float().cpu()
        for index, row in zip(batch, found, strict=True):
            rows[index] = row
        if watch:
            watch(len(batch))
    return torch.stack([row for row in rows if row is not None])


def features_of(
    network: PreTrainedModel,
    texts: Texts,
    most_tokens: int,
    watch: Callable[[int], None] | None = None,
) -> Tensor:
    """What the network's last layer is given for every text: (texts, hidden)."""
    name, layer = last_layer(network)
    network.set_submodule(name, nn.Identity())
    try:
        return scores_of(network, texts, most_tokens, watch)
    finally:
        network.set_submodule(name, layer)


def score_texts(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    options: Options,
    texts: Sequence[tuple[Prompt, str]],
) -> list[float | None]:
    """The mean rewards of any texts; None where one is too long."""
    encoded = encode(texts, tokenizer, options.max_length, options.truncation)
    fitting = [one.ids for one in encoded if not isinstance(one, TextTooLong)]
    if not fitting:
        return [None] * len(texts)
    packed = Texts(fitting, int(tokenizer.pad_token_id))
    rewards = iter(scores_of(network, packed, options.micro_batch_tokens).mean(1).tolist())
    return [None if isinstance(one, TextTooLong) else next(rewards) for one in encoded]
