"""A reward model in memory. Its last layer has one output per member of the ensemble.

The mean of linear heads is a linear head, so the plain checkpoint's score is exactly the
ensemble's mean. Where an architecture's head has more than one layer, all but the last are
shared by the members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import BertModel, PreTrainedModel, PreTrainedTokenizerBase

from judges.reward_model.model.card import Card
from judges.reward_model.model.loading_checks import ModelRefused


@dataclass
class RewardModel:
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    card: Card
    digest: str = ""
    """Of all files in the folder: equal digests score equally."""
    deeper: nn.ModuleList | None = None
    """Of a BERT whose last layer averages, what followed instead; see `encoder`."""

    @cached_property
    def encoder(self) -> PreTrainedModel:
        """What embeds texts: the base, or with `deeper`, that instead of its last layer."""
        if self.deeper is None:
            return cast(PreTrainedModel, self.network.base_model)
        own: Any = self.network.base_model
        with torch.device("meta"):
            whole: Any = BertModel(own.config, add_pooling_layer=False)
        whole.embeddings = own.embeddings
        whole.encoder.layer = nn.ModuleList([*own.encoder.layer[:-1], *self.deeper])
        return cast(PreTrainedModel, whole.eval())

    @property
    def heads(self) -> int:
        return last_layer(self.network)[1].out_features

    def padded(self, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """See the function `padded`."""
        return padded(ids, self.tokenizer.pad_token_id, self.network.device)

    def rewards(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Raw rewards of each member: (batch, heads). Their mean is the model's reward.

        Args:
            input_ids: (batch, length), padded on the right.
            attention_mask: (batch, length), 1 where there is a token.
        """
        output = self.network(input_ids=input_ids, attention_mask=attention_mask)
        return cast(Tensor, output.logits).float()


def last_layer(network: PreTrainedModel) -> tuple[str, nn.Linear]:
    """Name and module of the layer that ends in the label.

    Raises:
        ModelRefused: the network has none outside its base model.
    """
    base = network.base_model_prefix + "."
    found = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and not name.startswith(base)
    ]
    if not found:
        raise ModelRefused(
            f"{type(network).__name__} has no linear last layer; "
            "pass a checkpoint of AutoModelForSequenceClassification"
        )
    return found[-1]


def set_last_layer(network: PreTrainedModel, layer: nn.Module) -> None:
    name, old = last_layer(network)
    network.set_submodule(name, layer.to(old.weight.device, old.weight.dtype))
    if isinstance(layer, nn.Linear):
        network.config.num_labels = layer.out_features


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer of these values. weight: (outputs, inputs), bias: (outputs)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def padded(
    ids: Sequence[Sequence[int]], pad_id: int, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Token ids padded on the right, and the mask of what is real: (texts, longest), twice."""
    longest = max(map(len, ids))
    tokens = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    return tokens.to(device), mask.to(device)
