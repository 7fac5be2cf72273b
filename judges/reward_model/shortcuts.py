"""What a forward pass of training need not compute again.

Layers that stay as they are see the same texts in every epoch: what they make of them is read
once, and a stand-in hands it on (Lee et al. 2019, arXiv 1911.03090, found that the last layers
alone reach most of what training all of them does). The layer that averages MiniLM's tokens has
a feed-forward part that adds 0, and most of a layer's cost is there.

Both change how rewards are computed, not which: the network that is saved has all its layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification, PreTrainedModel

from judges.reward_model.loading_checks import ModelRefused
from judges.reward_model.texts import Texts, budgeted, features_of

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


class NormalizationAlone(nn.Module):
    """The end of a BERT layer whose feed-forward part adds nothing."""

    def __init__(self, normalization: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization

    def forward(self, inner: Tensor, attended: Tensor) -> Any:
        return self.normalization(attended)


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
        with without_idle_feed_forward(network):
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
def without_idle_feed_forward(network: PreTrainedModel) -> Iterator[None]:
    """While this lasts, a BERT's last layer has no feed-forward part, if that adds 0."""
    layer: Any = layers_of(network)[-1]
    if not isinstance(network, BertForSequenceClassification) or layer.output.dense.weight.any():
        yield
        return
    inner, output = layer.intermediate, layer.output
    layer.intermediate, layer.output = nn.Identity(), NormalizationAlone(output.LayerNorm)
    try:
        yield
    finally:
        layer.intermediate, layer.output = inner, output


@contextmanager
def replaced(layers: nn.ModuleList, stand_ins: dict[int, nn.Module]) -> Iterator[None]:
    own = {index: layers[index] for index in stand_ins}
    for index, stand_in in stand_ins.items():
        layers[index] = stand_in
    try:
        yield
    finally:
        for index, layer in own.items():
            layers[index] = layer
