"""Sampling: what comes out is what the model would have said, and in whole groups."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from tests.trainer_client.tiny import sampling, tiny_policy
from trainer_client.decoder import supports
from trainer_client.policy import Policy, character_tokenizer
from trainer_client.rollout import Completion, Sampling, choose, generator_for, sample

PROMPTS = ["a", "Hello, you", "to be or not", "42!"]


def of_another_kind(kind: str) -> Policy:
    """A tiny policy of another architecture: with biases in Qwen2's case."""
    tokenizer = character_tokenizer()
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(1)
    if kind == "qwen2":
        model: Any = Qwen2ForCausalLM(Qwen2Config(**sizes))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    else:
        model = LlamaForCausalLM(LlamaConfig(**sizes))
    return Policy(model.eval(), tokenizer)


def policy_of(kind: str) -> Policy:
    return tiny_policy() if kind == "qwen3" else of_another_kind(kind)


def write(policy: Policy, seed: int = 0, **changes: Any) -> list[Completion]:
    settings = sampling(policy, **changes)
    generator = generator_for(policy.model.device, seed, "test", 0)
    batches = sample(policy.model, policy.encode(PROMPTS), settings, generator)
    return [completion for batch in batches for completion in batch]


@torch.no_grad()
def forward(policy: Policy, completion: Completion, temperature: float = 1.0) -> torch.Tensor:
    """The model's own log-probabilities at each place of a completion, (tokens, vocabulary)."""
    prompt = policy.encode(PROMPTS)[completion.prompt]
    logits = policy.model(torch.tensor([prompt + completion.token_ids])).logits[0]
    return (logits[len(prompt) - 1 : -1] / temperature).log_softmax(-1)


KINDS = ["qwen3", "qwen2", "llama"]


def test_only_what_the_cached_decoder_computes_is_given_to_it() -> None:
    assert [supports(policy_of(kind).model) for kind in KINDS] == [True, True, False]


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.6])
@pytest.mark.parametrize("kind", KINDS)
def test_log_probs_are_those_of_the_models_own_forward_pass(kind: str, temperature: float) -> None:
    policy = policy_of(kind)
    for completion in write(policy, temperature=temperature):
        expected = forward(policy, completion, temperature)
        own = expected.gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert (own - torch.tensor(completion.log_probs)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_temperature_zero_takes_the_likeliest_token(kind: str) -> None:
    policy = policy_of(kind)
    for completion in write(policy, temperature=0.0, group_size=2):
        assert forward(policy, completion).argmax(-1).tolist() == completion.token_ids


@pytest.mark.parametrize("kind", KINDS)
def test_every_prompt_gets_its_group_whole_and_once(kind: str) -> None:
    policy = policy_of(kind)
    settings = sampling(policy, batch_size=8)
    generator = generator_for(policy.model.device, 0, "test", 0)
    batches = list(sample(policy.model, policy.encode(PROMPTS), settings, generator))
    for batch in batches:
        assert set(Counter(completion.prompt for completion in batch).values()) == {4}
    assert Counter(c.prompt for batch in batches for c in batch) == dict.fromkeys(range(4), 4)
    assert len(batches) > 1


def ending_soon(policy: Policy) -> Sampling:
    """Settings under which a third of all tokens end a completion, so that many stop early."""
    ends = tuple(range(policy.end_ids[0], len(policy.tokenizer), 3))
    return Sampling(4, 12, 1.0, ends, policy.pad_id)


@pytest.mark.parametrize("kind", KINDS)
def test_a_completion_ends_with_its_end_token_and_others_go_on(kind: str) -> None:
    policy = policy_of(kind)
    settings = ending_soon(policy)
    generator = generator_for(policy.model.device, 3, "test", 0)
    batches = sample(policy.model, policy.encode(PROMPTS * 8), settings, generator)
    completions = [completion for batch in batches for completion in batch]
    assert len({len(completion.token_ids) for completion in completions}) > 4
    for completion in completions:
        *body, last = completion.token_ids
        assert not set(body) & set(settings.end_ids)
        assert (last in settings.end_ids) == (completion.finish_reason == "stop")
        assert completion.finish_reason == "stop" or len(completion.token_ids) == 12
        assert len(completion.log_probs) == len(completion.token_ids)


def test_groups_that_leave_early_do_not_disturb_the_others() -> None:
    policy = tiny_policy()
    prompts = policy.encode(PROMPTS * 8)
    batches = sample(
        policy.model, prompts, ending_soon(policy), generator_for(policy.model.device, 3, "test", 0)
    )
    for completion in (completion for batch in batches for completion in batch):
        named = Completion(
            completion.prompt % len(PROMPTS),
            completion.token_ids,
            completion.log_probs,
            completion.finish_reason,
        )
        own = forward(policy, named).gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert (own - torch.tensor(completion.log_probs)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_writes_the_same(kind: str) -> None:
    policy = policy_of(kind)
    assert write(policy, seed=1) == write(policy, seed=1) != write(policy, seed=2)


def test_sampling_leaves_the_global_generator_alone() -> None:
    for kind in ("qwen3", "llama"):
        policy = policy_of(kind)
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        write(policy)
        assert torch.equal(torch.rand(1), expected)


def test_a_models_own_habits_of_generation_are_not_taken_over() -> None:
    policy = of_another_kind("llama")
    plainly = write(policy)
    habits = {"top_k": 1, "top_p": 0.1, "temperature": 0.01, "repetition_penalty": 9.0}
    policy.model.generation_config.update(do_sample=True, **habits)
    assert write(policy) == plainly


def test_tokens_are_chosen_as_often_as_they_are_likely() -> None:
    likely = torch.tensor([0.5, 0.25, 0.0, 0.125, 0.125])
    logits = likely.log().expand(40_000, -1)
    chosen, log_probs = choose(logits, 1.0, torch.Generator().manual_seed(0))
    shares = torch.bincount(chosen, minlength=5) / len(chosen)
    assert shares[2] == 0
    assert (shares - likely).abs().max() < 0.01
    assert torch.allclose(log_probs.exp(), likely[chosen])


def test_temperature_sharpens_the_choice() -> None:
    logits = torch.tensor([0.8, 0.2]).log().expand(40_000, -1)
    chosen, _ = choose(logits, 0.5, torch.Generator().manual_seed(0))
    assert (chosen == 0).float().mean() == pytest.approx(0.64 / 0.68, abs=0.01)
