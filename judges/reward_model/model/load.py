"""Reads a reward model's folder, and refuses what cannot serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.bert.modeling_bert import BertLayer

from judges.reward_model.model.card import CARD, DEEPER, HEADS, Card
from judges.reward_model.model.loading_checks import (
    ModelRefused,
    check_device,
    check_files,
    check_memory,
    refuse_non_finite,
)
from judges.reward_model.model.model import RewardModel, last_layer, linear, set_last_layer
from judges.reward_model.model.save import digest_of
from verifiers.base import first_fault

TRIAL_TOKENS = 600
"""Of the text that a model reads when it is loaded. Tables of positions end at 512, or at 514 of
which two are not for use; longer models compute theirs."""

UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)
"""What transformers raises of files that are not what they should be."""

DEFAULT_MAX_LENGTH = 512
"""Tokens, where neither the model nor its tokenizer states a limit."""


def load(folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> RewardModel:
    """Loads a folder that `save` wrote, or any sequence classifier with one label.

    Nothing is fetched from a hub, no code of the checkpoint is run, and pickled weights,
    which are code, are not read.

    Raises:
        ModelRefused: with a sentence that says what to do.
    """
    check_files(folder)
    check_device(device)
    check_memory(folder, device, dtype)
    config = _load_config(folder)
    tokenizer = _load_tokenizer(folder)
    network = _load_network(folder, config, dtype)
    refuse_non_finite(network)
    _install_heads(network, folder)
    _agree_on_padding(network, tokenizer)
    _agree_on_vocabulary(network, tokenizer)
    card = _load_card(folder, network, tokenizer)
    deeper = _load_deeper(network, folder)
    model = RewardModel(network.eval(), tokenizer, card, digest_of(folder), deeper)
    _settle_on(device, model)
    return model


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise ModelRefused(
            f"the tokenizer does not load ({_short(error)}); save it again"
        ) from None
    if not tokenizer.is_fast:
        raise ModelRefused(
            "the tokenizer has no tokenizer.json, so its tokens cannot be traced to the text; "
            "convert it with AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained"
        )
    return cast(PreTrainedTokenizerBase, tokenizer)


def _load_network(folder: Path, config: Any, dtype: torch.dtype) -> PreTrainedModel:
    if not any("ForSequenceClassification" in name for name in config.architectures or ()):
        raise ModelRefused(
            f"config.json names {config.architectures}, which has no reward head; train one "
            "with `assay reward-model train --base`, or save an AutoModelForSequenceClassification"
        )
    if config.num_labels != 1:
        raise ModelRefused(
            f"the head has {config.num_labels} labels and a reward is one number; "
            "save the model with num_labels=1"
        )
    try:
        network, seen = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (*UNREADABLE, RuntimeError, SafetensorError) as error:
        if "mismatched_sizes" in str(error):
            raise ModelRefused(
                "the weights have other shapes than config.json says; save both again, together"
            ) from None
        raise ModelRefused(
            f"the weights do not load ({_short(error)}); save the checkpoint again"
        ) from None
    if absent := sorted(seen["missing_keys"]):
        raise ModelRefused(
            f"the checkpoint has no weights for {', '.join(absent[:3])}, which would be random; "
            "save the trained model, head included"
        )
    return cast(PreTrainedModel, network)


def _load_config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as error:
        raise ModelRefused(
            f"config.json does not load ({_short(error)}); it may need a newer transformers"
        ) from None


def _install_heads(network: PreTrainedModel, folder: Path) -> None:
    if not (folder / HEADS).exists():
        return
    _, mean = last_layer(network)
    try:
        heads = load_file(folder / HEADS)
        weight, bias = heads["weight"], heads["bias"]
        fits = weight.shape == (len(bias), mean.in_features) and len(bias) > 0
    except (SafetensorError, OSError, KeyError):
        fits = False
    if not fits:
        raise ModelRefused(
            f"{HEADS} does not belong to this model; delete it to serve the mean head alone, "
            "or train again"
        )
    members = linear(weight, bias if mean.bias is not None else None)
    refuse_non_finite(members)
    set_last_layer(network, members)


def _load_deeper(network: PreTrainedModel, folder: Path) -> nn.ModuleList | None:
    if not (folder / DEEPER).exists():
        return None
    refusal = f"{DEEPER} does not belong to this model; train again, or delete it and the guards"
    if not isinstance(network, BertForSequenceClassification):
        raise ModelRefused(refusal)
    try:
        weights = load_file(folder / DEEPER)
        count = 1 + max(int(name.split(".")[0]) for name in weights)
        layers = nn.ModuleList(BertLayer(network.config) for _ in range(count))
        layers.load_state_dict(weights)
    except (SafetensorError, OSError, ValueError, RuntimeError):
        raise ModelRefused(refusal) from None
    refuse_non_finite(layers)
    return layers.to(network.dtype).eval()


def _agree_on_padding(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Decoders look for the last token that is not padding: both sides must name the same."""
    if tokenizer.pad_token_id is None:
        raise ModelRefused(
            "the tokenizer has no padding token, so texts cannot share a batch; set "
            "tokenizer.pad_token and model.config.pad_token_id, and save both"
        )
    text_config = network.config.get_text_config()
    if text_config.pad_token_id is None:
        text_config.pad_token_id = tokenizer.pad_token_id
    if text_config.pad_token_id != tokenizer.pad_token_id:
        raise ModelRefused(
            f"the model pads with token {text_config.pad_token_id} and the tokenizer with "
            f"{tokenizer.pad_token_id}, so the wrong token would be scored; make them equal"
        )
    tokenizer.padding_side = "right"


def _agree_on_vocabulary(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """A token without an embedding fails its text on a CPU, and every later text on a GPU."""
    embeddings: Any = network.get_input_embeddings()
    rows = len(embeddings.weight)
    last = max(tokenizer.get_vocab().values(), default=0)
    if last >= rows:
        raise ModelRefused(
            f"the tokenizer has tokens up to {last} and the model embeds {rows} of them; save the "
            "tokenizer that the model was trained with beside it"
        )


def _settle_on(device: str, model: RewardModel) -> None:
    """Moves the model, and has it read one text: what cannot work is refused before it serves."""
    length = min(model.card.max_length, TRIAL_TOKENS)
    word = model.tokenizer("a")["input_ids"] or [0]
    try:
        model.network.to(device)  # type: ignore[arg-type]
        if model.deeper is not None:
            model.deeper.to(device)
        ids = torch.tensor([(word * length)[:length]], device=device)
        with torch.inference_mode():
            rewards = model.rewards(ids, torch.ones_like(ids))
    except torch.OutOfMemoryError:
        raise ModelRefused(
            f"{device} has no room for the model and one text; load in bfloat16, free memory "
            "(while models are swapped, both are in it), or use a smaller model"
        ) from None
    except (RuntimeError, IndexError, ValueError) as error:
        raise ModelRefused(
            f"the model fails on a text of {length} tokens ({_short(error)}); lower max_length in "
            f"{CARD}, or model_max_length in the tokenizer, to what it takes"
        ) from None
    if not bool(torch.isfinite(rewards).all()):
        raise ModelRefused(
            f"the model's rewards are not finite as {model.network.dtype}; load in bfloat16 or "
            "float32"
        )


def _load_card(folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Card:
    longest = longest_text(network, tokenizer)
    if not (folder / CARD).exists():
        return Card(max_length=longest)
    try:
        card = Card.model_validate_json((folder / CARD).read_bytes())
    except (ValidationError, UnicodeDecodeError) as error:
        fault = first_fault("card", error) if isinstance(error, ValidationError) else str(error)
        raise ModelRefused(f"{CARD} is not valid ({fault}); train again") from None
    if card.max_length > longest:
        raise ModelRefused(
            f"{CARD} allows {card.max_length} tokens and the model takes {longest}; "
            "lower its max_length"
        )
    return card


def longest_text(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that the model and its tokenizer take."""
    positions = getattr(network.config.get_text_config(), "max_position_embeddings", None)
    stated = [n for n in (positions, tokenizer.model_max_length) if n and 0 < n < 10**9]
    return int(min(stated, default=DEFAULT_MAX_LENGTH))


def _short(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
