"""Trains a reward model: its layers, or a head on an encoder that stays as it is.

Departures from the usual trainers: dropout is off, since both texts of a pair must be judged
by the same network; a base's word embeddings stay fixed, since a few thousand pairs touch few
of them; what early stopping looks at is neither trained on nor reported on; completions that
are too long are left out and counted, never cut; and before every layer is trained, the head
alone is, so that the first updates do not tear up the base for a random head (Kumar et al.
2022, arXiv 2202.10054).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from judges.reward_model.model.model import last_layer, linear, padded, set_last_layer
from judges.reward_model.preferences import Pair
from judges.reward_model.train.bases import SCRATCH
from judges.reward_model.train.loop import Progress, Rewards, Run, Watch
from judges.reward_model.train.options import Options
from judges.reward_model.train.shortcuts import (
    averaging_at_once,
    features_and_states,
    padded_states,
    recalling,
)
from judges.reward_model.train.texts import Texts, features_of

HEAD_INIT_STD = 0.02

HEAD_EPOCHS = 3.0
"""So many for the head alone, before every layer is trained."""

HEAD_RATE = 10.0
"""The learning rate of a head that was trained before, in terms of the other layers'."""


def train(
    network: PreTrainedModel,
    texts: Texts,
    pairs: Sequence[Pair],
    validation: Sequence[int],
    options: Options,
    *,
    features: Tensor | None = None,
    states: Sequence[Tensor] | None = None,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
) -> Progress:
    """Trains `network` in place; its last layer then has `options.heads` outputs.

    Args:
        texts: of all pairs, in their order.
        validation: indices of the pairs that decide when to stop.
        features: of the texts, if they are known; with frozen layers, if the states are, too.
        states: what `options.frozen_layers` make of each text, if it is known.
        checkpoint: a file to go on from; not for the head alone.

    Raises:
        TrainingFailed: see `Run.go`.
    """
    network.eval()  # no dropout
    if options.base == SCRATCH:
        set_head(network, _random_head(network, options))
    else:
        if options.frozen_layers and (features is None or states is None):
            features, states = features_and_states(
                network, texts, options.frozen_layers, options.micro_batch_tokens
            )
        if features is None:
            features = features_of(network, texts, options.micro_batch_tokens)
        alone = options.train == "head"
        first = options if alone else options.model_copy(update={"epochs": HEAD_EPOCHS})
        head, progress = fit_head(features, pairs, validation, first, watch if alone else None)
        set_head(network, head)
        if alone:
            return progress
    lengths = [len(ids) for ids in texts.ids]
    longer = [max(pair) for pair in zip(lengths[0::2], lengths[1::2], strict=True)]
    groups = _parameter_groups(network, options)
    with rewards_by(network, texts, options, states) as rewards:
        return Run(rewards, groups, pairs, validation, options, longer, checkpoint).go(watch)


def _random_head(network: PreTrainedModel, options: Options) -> nn.Linear:
    torch.manual_seed(options.seed)
    outputs = torch.randn(options.heads, last_layer(network)[1].in_features) * HEAD_INIT_STD
    return linear(outputs, torch.zeros(options.heads))


# --- layers -----------------------------------------------------------------------------


@contextmanager
def rewards_by(
    network: PreTrainedModel, texts: Texts, options: Options, states: Sequence[Tensor] | None
) -> Iterator[Rewards]:
    """Rewards of texts; with `states` of their lower layers, by the upper ones alone."""

    def rewards(indices: Sequence[int]) -> Tensor:
        ids, mask = padded([texts.ids[i] for i in indices], texts.pad_id, network.device)
        if states is not None:
            recall.states = padded_states([states[i] for i in indices], network.device)
        with autocast(options, network.device):
            logits: Tensor = network(input_ids=ids, attention_mask=mask).logits
        return logits.float()

    with recalling(network, options.frozen_layers) as recall, averaging_at_once(network):
        yield rewards


def autocast(options: Options, device: torch.device) -> AbstractContextManager[Any]:
    if options.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def _parameter_groups(network: PreTrainedModel, options: Options) -> list[dict[str, Any]]:
    head_rate = options.head_learning_rate
    if options.base != SCRATCH:
        network.get_input_embeddings().requires_grad_(False)
        head_rate = HEAD_RATE * options.learning_rate
    head = list(last_layer(network)[1].parameters())
    of_head = {id(parameter) for parameter in head}
    trunk = [p for p in network.parameters() if p.requires_grad and id(p) not in of_head]
    decay = options.weight_decay
    return [
        {"params": trunk, "lr": options.learning_rate, "weight_decay": decay},
        {"params": head, "lr": head_rate, "weight_decay": decay},
    ]


def set_head(network: PreTrainedModel, head: nn.Linear) -> None:
    """Makes `head` the last layer; without its bias where the architecture has none."""
    _, old = last_layer(network)
    bias = head.bias.detach() if old.bias is not None else None
    set_last_layer(network, linear(head.weight.detach(), bias))


# --- the head alone ---------------------------------------------------------------------


def fit_head(
    features: Tensor,
    pairs: Sequence[Pair],
    validation: Sequence[int],
    options: Options,
    watch: Watch | None = None,
) -> tuple[nn.Linear, Progress]:
    """Heads on fixed features: (texts, hidden).

    They are trained on standardized features, where one learning rate and one weight decay
    suit every base, and handed back for the features as they are.
    """
    mean, std = features.mean(0), features.std(0).clamp_min(1e-6)
    standard = (features - mean) / std
    head = nn.Linear(features.shape[1], options.heads)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    group = {
        "params": list(head.parameters()),
        "lr": options.head_learning_rate,
        "weight_decay": options.head_weight_decay,
    }

    def rewards(indices: Sequence[int]) -> Tensor:
        scores: Tensor = head(standard[list(indices)])
        return scores

    progress = Run(rewards, [group], pairs, validation, options).go(watch)
    with torch.no_grad():
        head.bias.sub_(head.weight @ (mean / std))
        head.weight.div_(std)
    return head, progress
