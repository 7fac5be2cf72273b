"""The policy: its characters, its turns, and that others can load it."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer_client.train.tiny_models import END as END_ID
from tests.trainer_client.train.tiny_models import PAD as PAD_ID
from trainer_client.train.config import PolicyConfig
from trainer_client.train.policy import (
    ASSISTANT,
    CHARACTERS,
    END,
    PAD,
    UNKNOWN,
    USER,
    Policy,
    character_tokenizer,
    from_scratch,
    load,
)

SPECIAL = [PAD, END, USER, ASSISTANT, UNKNOWN]

TINY = PolicyConfig(hidden_size=16, layers=2, heads=2, kv_heads=1, head_dim=8, mlp_size=16)

TOKENIZER = character_tokenizer()
POLICY = from_scratch(TINY, seed=0)
USER_ID, ASSISTANT_ID, UNKNOWN_ID = (TOKENIZER.vocab[token] for token in (USER, ASSISTANT, UNKNOWN))

printable = st.text(string.printable[:95] + "\n", max_size=40)
spelled = st.lists(st.sampled_from([*SPECIAL, "a", "<|", "|>", " "]), max_size=6).map("".join)
"""Texts that spell special tokens."""


def ids_of(text: str) -> list[int]:
    """One token a character."""
    return [len(SPECIAL) + CHARACTERS.index(character) for character in text]


def test_every_printable_character_of_ascii_has_a_token() -> None:
    assert sorted(CHARACTERS) == sorted(["\n", *map(chr, range(32, 127))])
    assert len(TOKENIZER) == len(SPECIAL) + 96


def test_the_special_tokens_are_where_the_model_expects_them() -> None:
    assert TOKENIZER.convert_tokens_to_ids(SPECIAL) == [0, 1, 2, 3, 4]
    assert (POLICY.pad_id, POLICY.end_ids) == (PAD_ID, (END_ID,))


@given(printable | spelled)
def test_a_prompt_is_one_token_a_character_between_two_marks(text: str) -> None:
    assert POLICY.encode([text]) == [[USER_ID, *ids_of(text), ASSISTANT_ID]]


@given(printable | spelled)
def test_what_was_tokenized_is_read_back(text: str) -> None:
    assert POLICY.decode([ids_of(text)]) == [text]


@given(st.lists(spelled, min_size=1, max_size=3))
def test_no_text_of_a_conversation_makes_a_special_token(texts: list[str]) -> None:
    """Otherwise a text to reverse could end the policy's turn, or begin another."""
    messages = [
        {"role": "assistant" if index % 2 else "user", "content": text}
        for index, text in enumerate(texts)
    ]
    expected: list[int] = []
    for index, text in enumerate(texts):
        turn = ids_of(text)
        expected += [ASSISTANT_ID, *turn, END_ID] if index % 2 else [USER_ID, *turn]
    assert POLICY.encode([messages]) == [[*expected, ASSISTANT_ID]]


@given(spelled)
def test_no_text_of_a_completion_makes_a_special_token(text: str) -> None:
    assert POLICY.tokenize([text]) == [ids_of(text)]


@pytest.mark.parametrize("text", ["tab\there", "é", "日本", "\U0001f600", "\ue0000\ue000", "\x00"])
def test_a_character_without_a_token_is_unknown(text: str) -> None:
    [[_, *middle, _]] = POLICY.encode([text])
    expected = [UNKNOWN_ID if c not in CHARACTERS else ids_of(c)[0] for c in text]
    assert middle == expected


def test_completions_are_read_without_special_tokens() -> None:
    assert POLICY.decode([[*ids_of("ab"), END_ID], [USER_ID, *ids_of("c"), PAD_ID], []]) == [
        "ab",
        "c",
        "",
    ]


def test_spaces_stay_as_they_were_written() -> None:
    text = " do n't , . clean  up ! "
    assert POLICY.decode([ids_of(text)]) == [text]


# --- the model --------------------------------------------------------------------------


def test_the_default_policy_has_between_a_tenth_of_a_million_and_a_million_parameters() -> None:
    policy = from_scratch(PolicyConfig(), seed=0)
    assert policy.model.num_parameters() == 166_752


def test_the_same_seed_makes_the_same_weights() -> None:
    [first, same, other] = [
        torch.nn.utils.parameters_to_vector(from_scratch(TINY, seed).model.parameters())
        for seed in (0, 0, 1)
    ]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_what_is_saved_loads_with_transformers_alone(tmp_path: Path) -> None:
    POLICY.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": "Hello, world! 42"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert [prompt] == POLICY.encode(["Hello, world! 42"])
    ids = torch.tensor([prompt])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, POLICY.model(ids).logits, rtol=0, atol=0)
    assert tokenizer.decode(ids_of("a . b")) == "a . b"
    assert model.generation_config.eos_token_id == END_ID


def test_what_is_saved_loads_as_the_same_policy(tmp_path: Path) -> None:
    POLICY.save(tmp_path)
    loaded = load(tmp_path)
    assert (loaded.end_ids, loaded.pad_id) == (POLICY.end_ids, POLICY.pad_id)
    assert loaded.encode([f"a{END}b"]) == POLICY.encode([f"a{END}b"])
    assert not loaded.model.training
    for name, weights in POLICY.model.state_dict().items():
        assert torch.equal(weights, loaded.model.state_dict()[name]), name


def test_a_policy_without_padding_pads_with_its_end() -> None:
    tokenizer = character_tokenizer()
    tokenizer.pad_token = None
    assert Policy(POLICY.model, tokenizer).pad_id == END_ID


def test_a_saved_folder_names_nothing_of_ours(tmp_path: Path) -> None:
    POLICY.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [
        "Qwen3ForCausalLM"
    ]
    assert not list(tmp_path.rglob("*.py"))
