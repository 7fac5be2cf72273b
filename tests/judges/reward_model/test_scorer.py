"""What a served reward model says of a completion, and how it becomes a reward."""

from __future__ import annotations

import asyncio
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from judges.reward_model.model.baseline import normalised, percentile, quantile
from judges.reward_model.model.load import load
from judges.reward_model.serve.pool import RewardModels
from judges.reward_model.serve.scorer import LIMITS
from judges.statistics import sigmoid
from tests.judges.reward_model.serving import (
    REFERENCE,
    model_folder,
    registry,
    sample,
    scored,
    serving,
)
from tests.judges.reward_model.tiny import WORDS, decoder, tokenizer
from verifiers.base import Sample, Score, SpecError
from verifiers.sample import Message


def scores_of(folder: Path, samples: list[Sample], **parameters: Any) -> list[Score]:
    async def run() -> list[Score]:
        async with serving(folder) as models:
            return await scored(models, samples, **parameters)

    return asyncio.run(run())


def random_text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


def test_a_score_says_what_it_rests_on(folder: Path) -> None:
    [score] = scores_of(folder, [sample("a red answer")])
    details = score.details
    assert score.outcome == "judged"
    assert details["model"] == "taste"
    assert details["model_hash"] == load(folder).digest
    assert details["normalised"] == pytest.approx((details["raw"] - REFERENCE.mean) / REFERENCE.std)
    assert score.reward == pytest.approx(sigmoid(details["normalised"]))
    assert details["percentile"] == pytest.approx((details["raw"] + 5) / 10)
    assert details["spread"] > 0
    assert details["flags"] == []
    assert details["trimmed_prompt_tokens"] == 0


@pytest.mark.parametrize("reward", LIMITS)
def test_every_form_of_reward_is_in_its_range(folder: Path, reward: str) -> None:
    [score] = scores_of(folder, [sample("a red answer")], reward=reward)
    lowest, highest = LIMITS[reward]  # type: ignore[index]
    assert score.reward is not None
    assert lowest <= score.reward <= highest
    assert score.details["clipped"] is False
    if reward in score.details:
        assert score.reward == score.details[reward]


def test_the_raw_reward_is_the_checkpoints_own(folder: Path) -> None:
    """What transformers alone makes of the same text."""
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer()("what is a good answer\n\na red answer", return_tensors="pt")
    with torch.inference_mode():
        expected = float(network(inputs.input_ids, inputs.attention_mask).logits)
    [score] = scores_of(folder, [sample("a red answer")], reward="raw")
    assert score.reward == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("network", ["encoder", "decoder"])
def test_a_score_does_not_depend_on_what_shares_its_batch(tmp_path: Path, network: str) -> None:
    from judges.reward_model.model.card import Card
    from judges.reward_model.model.model import RewardModel
    from judges.reward_model.model.save import save

    if network == "decoder":
        save(RewardModel(decoder(), tokenizer(), Card(max_length=64)), tmp_path)
    else:
        model_folder(tmp_path, max_length=64)
    rng = random.Random(0)
    samples = [sample(random_text(rng, rng.randint(1, 40))) for _ in range(40)]

    async def run() -> tuple[list[Score], list[Score]]:
        async with serving(tmp_path, batch_tokens=1) as alone:
            first = await scored(alone, samples, reward="raw")
        async with serving(tmp_path, batch_tokens=4_096) as together:
            second = await scored(together, rng.sample(samples, len(samples)), reward="raw")
            again = await scored(together, samples, reward="raw")
        assert sorted(s.reward or 0 for s in second) == sorted(s.reward or 0 for s in again)
        return first, again

    for one, many in zip(*asyncio.run(run()), strict=True):
        assert one.reward == pytest.approx(many.reward, abs=1e-5)


def test_ensembles_aggregate_in_three_ways(folder: Path) -> None:
    from statistics import fmean, pvariance

    text = sample("a red answer")
    model = load(folder)
    ids = torch.tensor([tokenizer()("what is a good answer\n\na red answer").input_ids])
    with torch.inference_mode():
        heads = model.rewards(ids, torch.ones_like(ids))[0].tolist()
    for ensemble, expected in {
        "mean": fmean(heads),
        "worst": min(heads),
        "mean_minus_variance": fmean(heads) - 0.25 * pvariance(heads) / REFERENCE.std,
    }.items():
        options = {"ensemble": ensemble, "variance_weight": 0.25, "reward": "raw"}
        [score] = scores_of(folder, [text], **options)
        assert score.reward == pytest.approx(expected, abs=1e-5), ensemble


def test_a_completion_over_the_limit_is_rejected_and_never_cut(folder: Path) -> None:
    [score] = scores_of(folder, [sample("red " * 40)])
    assert (score.reward, score.outcome) == (0.0, "rejected")
    assert "tokens" in score.details["limit"]


def test_a_prompt_over_the_limit_is_no_fault_of_the_completion(folder: Path) -> None:
    [score] = scores_of(folder, [sample("red", prompt="what " * 40)])
    assert score.error is not None
    assert score.error.code == "invalid_reference"
    assert score.error.message.startswith("prompt: ")


def test_a_trimmed_prompt_is_told(folder: Path) -> None:
    long = sample("a red answer", prompt="blue " * 40 + "what is a good answer")
    cut = sample("red " * 40, prompt="what " * 40)
    trimmed, rejected = scores_of(folder, [long, cut], too_long="trim_prompt")
    assert trimmed.outcome == "judged"
    assert trimmed.details["trimmed_prompt_tokens"] == 40 + 5 + 3 + 2 - 32
    assert rejected.outcome == "rejected"


def test_a_model_without_a_reference_set_says_so(tmp_path: Path) -> None:
    model_folder(tmp_path, reference=None)
    [score] = scores_of(tmp_path, [sample("red")])
    assert score.reward == pytest.approx(sigmoid(score.details["raw"]))
    assert score.details["normalised"] is score.details["percentile"] is None
    [refused] = scores_of(tmp_path, [sample("red")], reward="percentile")
    assert refused.error is not None
    assert (refused.error.code, refused.error.retryable) == ("model_unavailable", False)
    assert '"sigmoid" or "raw"' in refused.error.message


def test_another_trainers_checkpoint_serves_raw(tmp_path: Path) -> None:
    decoder().save_pretrained(tmp_path)
    tokenizer(chat=True).save_pretrained(tmp_path)
    chat = [Message(role="user", content="what is red")]
    [score] = scores_of(tmp_path, [sample("a good answer", prompt=chat)], reward="raw")
    assert score.reward == score.details["raw"]
    assert score.details["spread"] == 0
    assert score.details["guarded"] is False


def test_a_prompt_is_required(folder: Path) -> None:
    missing, scored = scores_of(folder, [Sample(completion="red"), sample("red")])
    assert missing.error is not None
    assert missing.error.code == "missing_field"
    assert scored.outcome == "judged"


def test_repeated_texts_come_from_the_cache(folder: Path) -> None:
    async def run() -> None:
        async with serving(folder) as models:
            first = await scored(models, [sample("red"), sample("red"), sample("blue")])
            second = await scored(models, [sample("red")], ensemble="worst")
            assert [score.cached for score in first] == [False] * 3
            assert first[0].reward == first[1].reward != first[2].reward
            assert second[0].cached
            assert second[0].reward != first[0].reward

    asyncio.run(run())


def test_an_unknown_model_is_named_with_the_known_ones(folder: Path) -> None:
    models = RewardModels({})
    with pytest.raises(SpecError, match="no reward models"):
        registry(models).build("reward_model")

    async def run() -> None:
        async with serving(folder) as models:
            with pytest.raises(SpecError, match="'nose'; known: taste"):
                registry(models).build({"type": "reward_model", "model": "nose"})

    asyncio.run(run())


def test_digests_tell_models_and_parameters_apart(folder: Path, tmp_path: Path) -> None:
    other = model_folder(tmp_path, seed=1)

    async def digests(folder: Path) -> list[str]:
        async with serving(folder) as models:
            specs = [{"type": "reward_model"}, {"type": "reward_model", "reward": "raw"}]
            return [registry(models).build(spec).identity.digest for spec in specs]

    found = [digest for each in (folder, other) for digest in asyncio.run(digests(each))]
    assert len(set(found)) == 4


@given(st.floats(-1e6, 1e6))
def test_percentile_and_normalised_reward_rise_with_the_raw_one(raw: float) -> None:
    higher = math.nextafter(raw, math.inf) + 1e-9
    assert 0 <= percentile(raw, REFERENCE) <= percentile(higher, REFERENCE) <= 1
    assert normalised(raw, REFERENCE) <= normalised(higher, REFERENCE)
    assert 0 <= sigmoid(raw) <= 1


@given(st.floats(0, 1))
def test_quantile_undoes_percentile(share: float) -> None:
    assert percentile(quantile(share, REFERENCE), REFERENCE) == pytest.approx(share, abs=1e-6)
