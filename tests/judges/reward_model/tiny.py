"""Models of a few thousand parameters, made on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from judges.reward_model.model.card import Card
from judges.reward_model.model.model import RewardModel, linear, set_last_layer
from judges.reward_model.model.save import save

WORDS = (
    "what is a good bad red blue answer question yes no the of and word User : Assistant".split()
)
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]

CHAT_TEMPLATE = (
    "{% for m in messages %}[CLS] {{ m.role }} : {{ m.content }} [SEP] {% endfor %}"
    "{% if add_generation_prompt %}[CLS] assistant : {% endif %}"
)


def tokenizer(*, chat: bool = False) -> PreTrainedTokenizerFast:
    """One token a word, [CLS] before and [SEP] behind; with a chat template on request."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_max_length=64,
    )
    if chat:
        made.chat_template = CHAT_TEMPLATE
    return made


SIZES = {
    "vocab_size": len(WORDS) + len(SPECIAL),
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 66,
    "pad_token_id": 0,
    "num_labels": 1,
}


def encoder(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return BertForSequenceClassification(BertConfig(**SIZES)).eval()


def encoder_with_deep_head(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return RobertaForSequenceClassification(RobertaConfig(**SIZES)).eval()


def decoder(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8)
    return Qwen3ForSequenceClassification(config).eval()


def with_heads(network: PreTrainedModel, heads: int, seed: int = 0) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(heads, 16, generator=generator)
    has_bias = not isinstance(network, Qwen3ForSequenceClassification)
    bias = torch.randn(heads, generator=generator) if has_bias else None
    set_last_layer(network, linear(weight, bias))
    return network


def saved_model(folder: Path, network: PreTrainedModel | None = None, heads: int = 3) -> Path:
    network = with_heads(network or encoder(), heads)
    save(RewardModel(network, tokenizer(), Card(max_length=32)), folder)
    return folder
