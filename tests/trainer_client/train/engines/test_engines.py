"""The samplers: what they write is what the model says, one token at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from tests.trainer_client.train.tiny_models import (
    ARCHITECTURES,
    END,
    PAD,
    VOCABULARY,
    log_probs_alone,
    tiny_model,
)
from trainer_client.train.engines import sample
from trainer_client.train.engines.cached import choose
from trainer_client.train.engines.decoder import supports
from trainer_client.train.engines.sampling import Completion, Sampling, generator_for

CPU = torch.device("cpu")

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [3, 4], [15, 16]]

SAMPLING = Sampling(
    group_size=3, max_new_tokens=9, temperature=1.0, end_ids=(END, 5, 12), pad_id=PAD
)
"""Several tokens end a completion, so that some end early and others not at all."""

GREEDY = replace(SAMPLING, group_size=1, temperature=0.0)


def completions_of(
    model: PreTrainedModel,
    sampling: Sampling,
    prompts: Sequence[list[int]] = PROMPTS,
    seed: int = 0,
) -> list[Completion]:
    """In the order of the prompts."""
    generator = generator_for(CPU, seed, "test", 0)
    ended = chain.from_iterable(sample(model, prompts, sampling, generator))
    return sorted(ended, key=lambda completion: completion.prompt)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny_model(request.param)


def test_the_two_qwens_are_sampled_with_the_cache_and_others_by_generate() -> None:
    supported = {name: supports(tiny_model(name)) for name in ARCHITECTURES}
    assert supported == {"qwen3": True, "qwen2": True, "llama": False, "gpt2": False}


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_log_probs_are_those_of_the_model_at_the_temperature(
    model: PreTrainedModel, temperature: float
) -> None:
    for completion in completions_of(model, replace(SAMPLING, temperature=temperature)):
        prompt, ids = PROMPTS[completion.prompt], completion.token_ids
        expected = log_probs_alone(model, prompt, ids, temperature)
        assert completion.log_probs == pytest.approx(expected.tolist(), abs=1e-4)


def test_every_prompt_gets_a_whole_group(model: PreTrainedModel) -> None:
    generator = generator_for(CPU, 0, "test", 0)
    batches = list(sample(model, PROMPTS, SAMPLING, generator))
    for batch in batches:
        indices = [completion.prompt for completion in batch]
        assert all(indices.count(index) == SAMPLING.group_size for index in indices)
    assert sorted(c.prompt for c in chain.from_iterable(batches)) == sorted([*range(5)] * 3)


def test_a_completion_stops_at_its_first_end_token_or_at_its_length(
    model: PreTrainedModel,
) -> None:
    seen = set()
    for seed in range(3):
        for completion in completions_of(model, SAMPLING, seed=seed):
            ids, reason = completion.token_ids, completion.finish_reason
            seen.add(reason)
            assert len(completion.log_probs) == len(ids)
            assert not set(ids[:-1]) & set(SAMPLING.end_ids)
            if reason == "stop":
                assert ids[-1] in SAMPLING.end_ids
            else:
                assert ids[-1] not in SAMPLING.end_ids
                assert len(ids) == SAMPLING.max_new_tokens
    assert seen == {"stop", "length"}


def test_an_end_token_as_the_last_one_allowed_is_a_stop(model: PreTrainedModel) -> None:
    everything = replace(SAMPLING, end_ids=tuple(range(VOCABULARY)), max_new_tokens=1)
    for completion in completions_of(model, everything):
        assert completion.finish_reason == "stop"
        assert len(completion.token_ids) == 1


def test_the_same_seed_writes_the_same_and_another_one_does_not(model: PreTrainedModel) -> None:
    first = completions_of(model, SAMPLING, seed=1)
    torch.manual_seed(99)
    assert completions_of(model, SAMPLING, seed=1) == first
    assert completions_of(model, SAMPLING, seed=2) != first


def test_sampling_leaves_the_global_generator_alone(model: PreTrainedModel) -> None:
    before = torch.get_rng_state()
    completions_of(model, SAMPLING)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_greedy_completions_do_not_depend_on_what_else_is_in_the_batch(
    model: PreTrainedModel, batch_size: int
) -> None:
    alone = [completions_of(model, GREEDY, [prompt])[0].token_ids for prompt in PROMPTS]
    together = completions_of(model, replace(GREEDY, batch_size=batch_size))
    assert [completion.token_ids for completion in together] == alone


def test_a_batch_smaller_than_a_group_still_writes_whole_groups(model: PreTrainedModel) -> None:
    completions = completions_of(model, replace(SAMPLING, batch_size=1))
    assert [completion.prompt for completion in completions] == sorted([*range(5)] * 3)


def test_greedy_is_what_transformers_generates(model: PreTrainedModel) -> None:
    settings = GenerationConfig(
        max_new_tokens=GREEDY.max_new_tokens,
        do_sample=False,
        eos_token_id=list(GREEDY.end_ids),
        pad_token_id=PAD,
    )
    for prompt, completion in zip(PROMPTS, completions_of(model, GREEDY), strict=True):
        ids = torch.tensor([prompt])
        generate: Any = model.generate
        output = generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        assert completion.token_ids == output[0, len(prompt) :].tolist()


@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_models_own_generation_settings_are_not_obeyed(
    architecture: str, temperature: float
) -> None:
    """They would change what is sampled from, and so what the log-probabilities are of."""
    model, sampling = tiny_model(architecture), replace(SAMPLING, temperature=temperature)
    expected = completions_of(model, sampling)
    own = model.generation_config = GenerationConfig(
        do_sample=True, top_k=1, top_p=0.1, min_p=0.9, temperature=0.1, repetition_penalty=5.0,
        no_repeat_ngram_size=1, min_new_tokens=9, suppress_tokens=[8], eos_token_id=23,
        pad_token_id=PAD,
    )  # fmt: skip
    assert completions_of(model, sampling) == expected
    assert model.generation_config is own


# --- choosing a token -------------------------------------------------------------------


def test_tokens_are_drawn_in_proportion_to_their_probability() -> None:
    draws = 40_000
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, float("-inf"), 0.5])
    chosen, log_probs = choose(logits.expand(draws, -1), 0.8, generator_for(CPU, 0, "test", 0))
    expected = (logits / 0.8).softmax(-1)
    shares = torch.bincount(chosen, minlength=len(logits)) / draws
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.01)
    assert shares[4] == 0
    torch.testing.assert_close(log_probs.exp(), expected[chosen])


def test_a_token_without_probability_is_not_drawn_from_either_end() -> None:
    logits = torch.full((2000, 5), float("-inf"))
    logits[:, 1:3] = 0.0
    chosen, _ = choose(logits, 1.0, generator_for(CPU, 0, "test", 0))
    assert set(chosen.tolist()) == {1, 2}


def test_draws_depend_on_seed_purpose_and_step() -> None:
    places = [(0, "rollout", 0), (1, "rollout", 0), (0, "evaluation", 0), (0, "rollout", 1)]
    draws = [float(torch.rand((), generator=generator_for(CPU, *place))) for place in places]
    assert len(set(draws)) == len(draws)
    assert draws[0] == float(torch.rand((), generator=generator_for(CPU, *places[0])))
