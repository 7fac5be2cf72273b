"""The policy: a tiny Qwen3 built from scratch, or any causal language model of Hugging Face.

The tiny one reads and writes single characters. Both are ordinary `transformers` objects:
what is saved loads with `AutoModelForCausalLM` and `AutoTokenizer` and nothing of ours.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from trainer_client.train.config import PolicyConfig
from trainer_client.train.tasks.problem import Prompt

CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " \n"
PAD, END, USER, ASSISTANT, UNKNOWN = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unk|>"

MAX_POSITIONS = 512

MARK = "\ue000"
"""Stands for a spelled special token while the chat template is filled in (private use)."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}<|assistant|>{{ message.content }}<|end|>"
    "{% else %}<|user|>{{ message.content }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""One token before each turn: the shortest prompt is the cheapest one."""


def character_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character: printable ASCII, the line feed, and five special tokens."""
    special = [PAD, END, USER, ASSISTANT, UNKNOWN]
    vocabulary = {token: index for index, token in enumerate([*special, *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def from_scratch(sizes: PolicyConfig, seed: int) -> Policy:
    """A Qwen3 with random weights, by default of 166,752 parameters."""
    tokenizer = character_tokenizer()
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=sizes.hidden_size,
        intermediate_size=sizes.mlp_size,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        max_position_embeddings=MAX_POSITIONS,
        # Large models turn their slowest frequency once in a million tokens. In texts of
        # some forty characters every frequency must turn noticeably to be of use.
        rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Policy(Qwen3ForCausalLM(config).eval(), tokenizer)


def load(name_or_path: str | Path, device: str = "cpu") -> Policy:
    """A policy by Hugging Face id or from a folder, in single precision."""
    tokenizer = AutoTokenizer.from_pretrained(name_or_path)
    model: Any = AutoModelForCausalLM.from_pretrained(name_or_path, dtype=torch.float32)
    return Policy(model.to(device).eval(), tokenizer)


@dataclass(frozen=True, slots=True)
class Policy:
    """A model with its tokenizer."""

    model: PreTrainedModel
    tokenizer: Any

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The tokens that end a completion."""
        ids = self.model.generation_config.eos_token_id
        listed = ids if isinstance(ids, list) else [ids]
        return tuple({id for id in (*listed, self.tokenizer.eos_token_id) if id is not None})

    @property
    def pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.end_ids[0] if pad is None else pad)

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The token ids of each prompt, up to where the assistant's turn begins.

        A special token comes from the chat template alone. A prompt that spells one, such as
        "<|end|>", is read as these characters: it could otherwise end a turn or begin one.
        """
        special = self.spelled_special()
        return [
            self.encode_chat(
                [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt,
                special,
            )
            for prompt in prompts
        ]

    def encode_chat(self, messages: list[dict[str, str]], special: re.Pattern[str]) -> list[int]:
        """The token ids of a conversation. What matches `special` is tokenized on its own."""
        spelled = list[str]()

        def hide(match: re.Match[str]) -> str:
            spelled.append(match[0])
            return f"{MARK}{len(spelled) - 1}{MARK}"

        text = self.tokenizer.apply_chat_template(
            [{key: special.sub(hide, value) for key, value in m.items()} for m in messages],
            add_generation_prompt=True,
            tokenize=False,
        )
        ids = list[int]()
        for index, part in enumerate(re.split(f"{MARK}([0-9]+){MARK}", text)):
            if index % 2:
                ids += self.tokenize([spelled[int(part)]])[0]
            elif part:
                ids += self.tokenizer(part, add_special_tokens=False)["input_ids"]
        return ids

    def spelled_special(self) -> re.Pattern[str]:
        """Finds special tokens, and our mark, in text."""
        added = self.tokenizer.added_tokens_decoder.values()
        found = [MARK, *(token.content for token in added if token.special)]
        return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of plain texts, none of them special."""
        ids: list[list[int]] = self.tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True
        )["input_ids"]
        return ids

    def decode(self, completions: Sequence[list[int]]) -> list[str]:
        """The texts of completions, without special tokens."""
        texts: list[str] = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        return texts

    def save(self, folder: Path) -> None:
        """Writes a folder that `AutoModelForCausalLM` and `AutoTokenizer` load."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
