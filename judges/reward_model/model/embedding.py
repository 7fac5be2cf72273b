"""Embeddings by a reward model's own encoder, for the guard that compares prompt and completion.

The mean of the last hidden states over a text's tokens, scaled to length 1, as sentence
encoders are trained to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from judges.reward_model.model.render import Prompt, asked, plain

if TYPE_CHECKING:
    from judges.reward_model.model.model import RewardModel

Vector = Sequence[float]
Embed = Callable[[Sequence[str]], Sequence[Vector]]
"""Embeddings of texts, each of length 1."""

Embedded = tuple[Sequence[Vector], Sequence[Vector], Sequence[Vector]]
"""Embeddings of prompts, of their last turns, and of completions, row by row of one text."""

BATCH = 16
"""Texts at a time outside a service, where nothing else sets the pace."""


def embed(texts: Sequence[str], model: RewardModel) -> list[list[float]]:
    """One embedding a text, in batches of similar lengths."""
    ids = embedding_ids(texts, model)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    found: dict[int, list[float]] = {}
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        found.update(zip(rows, mean_embeddings([ids[i] for i in rows], model), strict=True))
    return [found[i] for i in range(len(texts))]


def embedding_ids(texts: Sequence[str], model: RewardModel) -> list[list[int]]:
    """Token ids of texts by themselves. Of what is over the model's limit, the end is left out.

    An empty text is one padding token: every text has an embedding.
    """
    tokenizer = model.tokenizer
    batch = tokenizer(list(texts), return_attention_mask=False, verbose=False)
    limit = model.card.max_length
    return [ids[:limit] or [tokenizer.pad_token_id] for ids in batch["input_ids"]]


def mean_embeddings(ids: Sequence[Sequence[int]], model: RewardModel) -> list[list[float]]:
    """The embeddings of one batch."""
    import torch

    tokens, mask = model.padded(ids)
    with torch.inference_mode():
        states = model.encoder(input_ids=tokens, attention_mask=mask)
        hidden = states.last_hidden_state.float()  # (texts, length, hidden)
        weights = mask.unsqueeze(2).float()
        means = (hidden * weights).sum(1) / weights.sum(1)
        return list(torch.nn.functional.normalize(means, dim=1).tolist())


class Remembered:
    """Embeddings, each text's once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._vectors: dict[str, Vector] = {}

    def __call__(self, text: str) -> Vector:
        return self.of([text])[0]

    def of(self, texts: Sequence[str]) -> list[Vector]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._embed(new), strict=True))
        return [self._vectors[text] for text in texts]

    def of_pairs(self, pairs: Sequence[tuple[Prompt, str]]) -> Embedded:
        """Of the prompts, their last turns, and the completions."""
        texts = [text for prompt, said in pairs for text in (plain(prompt), asked(prompt), said)]
        rows = self.of(texts)
        return rows[0::3], rows[1::3], rows[2::3]
