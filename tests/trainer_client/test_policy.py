"""The character tokenizer, the chat template, and folders that transformers loads by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3ForCausalLM

from tests.trainer_client.tiny import tiny_policy
from trainer_client.config import PolicyConfig
from trainer_client.policy import (
    CHARACTERS,
    UNKNOWN,
    Policy,
    character_tokenizer,
    from_scratch,
    load,
)

TOKENIZER = character_tokenizer()

TEXTS = st.text(st.sampled_from(CHARACTERS))


def ids_of(text: str) -> list[int]:
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]  # type: ignore[no-any-return]


@given(text=TEXTS)
def test_every_text_of_known_characters_survives_the_tokenizer(text: str) -> None:
    assert len(ids_of(text)) == len(text)
    assert TOKENIZER.decode(ids_of(text)) == text


@pytest.mark.parametrize("text", ["  two  spaces ", "it 's , .", "\n\n", "a\n b", "don't!"])
def test_decoding_tidies_nothing(text: str) -> None:
    assert TOKENIZER.decode(ids_of(text)) == text


def test_other_characters_are_unknown_and_one_token_each() -> None:
    assert ids_of("é🙂") == [TOKENIZER.convert_tokens_to_ids(UNKNOWN)] * 2


def test_a_prompt_ends_where_the_assistant_begins() -> None:
    [plain] = tiny_policy().encode(["ab"])
    [chat] = tiny_policy().encode([[{"role": "user", "content": "ab"}]])
    assert plain == chat
    assert TOKENIZER.convert_ids_to_tokens(plain) == ["<|user|>", "a", "b", "<|assistant|>"]


def test_an_assistants_turn_ends_with_the_end_token() -> None:
    turns = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]
    text = TOKENIZER.apply_chat_template(turns, tokenize=False)
    assert text == "<|user|>ab<|assistant|>ba<|end|>"


def test_completions_are_decoded_without_special_tokens() -> None:
    assert tiny_policy().decode([[*ids_of("dlrow"), TOKENIZER.eos_token_id]]) == ["dlrow"]


def test_the_default_policy_is_a_qwen3_of_less_than_a_million_parameters() -> None:
    policy = from_scratch(PolicyConfig(), seed=0)
    assert isinstance(policy.model, Qwen3ForCausalLM)
    assert policy.model.num_parameters() == 166_752


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (from_scratch(PolicyConfig(), seed) for seed in (0, 0, 1))
    assert same_weights(first, again)
    assert not same_weights(first, other)


def test_a_saved_policy_is_loaded_by_transformers_alone(tmp_path: Path) -> None:
    policy = tiny_policy()
    policy.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert same_weights(policy, Policy(model, tokenizer))
    assert tokenizer.decode(tokenizer("Hi 'you' .")["input_ids"]) == "Hi 'you' ."
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "ab"}], add_generation_prompt=True, return_dict=False
    )
    assert [prompt] == policy.encode(["ab"])
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_a_saved_policy_is_loaded_as_it_was(tmp_path: Path) -> None:
    policy = tiny_policy()
    policy.save(tmp_path)
    again = load(tmp_path)
    assert same_weights(policy, again)
    assert not again.model.training
    assert (again.end_ids, again.pad_id) == (policy.end_ids, policy.pad_id)


def test_all_end_tokens_of_a_model_end_its_completions() -> None:
    policy = from_scratch(PolicyConfig(layers=1), seed=0)
    policy.model.generation_config.eos_token_id = [5, 6]
    assert set(policy.end_ids) == {5, 6, policy.tokenizer.eos_token_id}


def same_weights(first: Policy, second: Policy) -> bool:
    theirs = second.model.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in first.model.state_dict().items())
