"""What a forward pass of training need not compute again.

Layers that stay as they are see the same texts in every epoch: what they make of them is read
once, and a stand-in hands it on (Lee et al. 2019, arXiv 1911.03090, found that the last layers
alone reach most of what training all of them does). And the layer that averages MiniLM's tokens
takes as long as any other to do so.

Both change how rewards are computed, not which: the network that is saved has all its layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification, PreTrainedModel

from judges.reward_model.model.loading_checks import ModelRefused
from judges.reward_model.train.bases import AVERAGE_SCALE
from judges.reward_model.train.texts import Texts, budgeted, features_of

KEPT_AS = torch.bfloat16
"""2 bytes a number: a million tokens of MiniLM take 0.8 GB."""


class Recall(nn.Module):
    """Stands for a layer and all below it: hands on the states that it holds."""

    states: Tensor

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.states.to(hidden.dtype)


class Skip(nn.Module):
    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden


class Average(nn.Module):
    """What `bases.average_tokens` made of a layer, at the first token, the only one read."""

    def __init__(self, normalization: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization

    def forward(
        self, hidden: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        seen = hidden.new_ones(hidden.shape[:2])  # (texts, length)
        if attention_mask is not None:  # (texts, 1, length or 1, length): true, or 0 if added
            row = attention_mask[:, 0, 0]
            seen = (row if row.dtype == torch.bool else row == 0).to(hidden.dtype)
        mean = (hidden * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        added = self.normalization(AVERAGE_SCALE * mean + hidden[:, 0])
        return self.normalization(added)[:, None]


def layers_of(network: PreTrainedModel) -> nn.ModuleList:
    """The stack of layers.

    Raises:
        ModelRefused: there is none.
    """
    stacks = [m for m in network.base_model.modules() if isinstance(m, nn.ModuleList)]
    if not stacks:
        raise ModelRefused(f"{type(network).__name__} has no stack of layers to keep some of")
    return max(stacks, key=len)


def features_and_states(
    network: PreTrainedModel, texts: Texts, count: int, most_tokens: int
) -> tuple[Tensor, list[Tensor]]:
    """What the last layer is given for every text: (texts, hidden); and what the first `count`
    layers make of it: (tokens, hidden) each. One pass for both.
    """
    layers = layers_of(network)
    if not 0 < count < len(layers):
        raise ModelRefused(f"of {len(layers)} layers, 1 to {len(layers) - 1} can stay as they are")
    seen: list[Tensor] = []
    overhear = layers[count - 1].register_forward_hook(
        lambda layer, given, states: seen.append(states.to(KEPT_AS))
    )
    try:
        with averaging_at_once(network):
            features = features_of(network, texts, most_tokens)
    finally:
        overhear.remove()
    lengths = [len(ids) for ids in texts.ids]
    order = [index for batch in budgeted(lengths, most_tokens) for index in batch]
    rows = (row for batch in seen for row in batch)
    states = {index: row[: lengths[index]] for index, row in zip(order, rows, strict=True)}
    return features, [states[index] for index in range(len(texts))]


@contextmanager
def recalling(network: PreTrainedModel, count: int) -> Iterator[Recall]:
    """While this lasts, the first `count` layers hand on what the `Recall` holds, and learn
    nothing."""
    recall = Recall()
    stand_ins: list[nn.Module] = [*(Skip() for _ in range(count - 1)), recall][:count]
    with replaced(layers_of(network), dict(enumerate(stand_ins))):
        yield recall


def padded_states(states: Sequence[Tensor], device: torch.device | str) -> Tensor:
    """(texts, longest, hidden), zeros on the right."""
    return nn.utils.rnn.pad_sequence(list(states), batch_first=True).to(device)


@contextmanager
def averaging_at_once(network: PreTrainedModel) -> Iterator[None]:
    """While this lasts, a last layer that averages does nothing else."""
    layers = layers_of(network)
    last: Any = layers[-1]
    stand_in = {len(layers) - 1: Average(last.output.LayerNorm)} if averages(network) else {}
    with replaced(layers, stand_in):
        yield


def averages(network: PreTrainedModel) -> bool:
    """Whether the last layer is one of `bases.average_tokens`."""
    if not isinstance(network, BertForSequenceClassification):
        return False
    last: Any = network.bert.encoder.layer[-1]
    return not (last.output.dense.weight.any() or last.attention.self.query.weight.any())


@contextmanager
def replaced(layers: nn.ModuleList, stand_ins: Mapping[int, nn.Module]) -> Iterator[None]:
    own = {index: layers[index] for index in stand_ins}
    for index, stand_in in stand_ins.items():
        layers[index] = stand_in
    try:
        yield
    finally:
        for index, layer in own.items():
            layers[index] = layer
