"""Reward models served in a test: tiny ones, made on the spot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from judges.reward_model.model.baseline import Baseline
from judges.reward_model.model.card import Card
from judges.reward_model.model.model import RewardModel
from judges.reward_model.model.save import save
from judges.reward_model.serve.pool import RewardModels, RewardModelSettings
from judges.reward_model.serve.scorer import RewardModelScorer
from tests.judges.reward_model.tiny import encoder, tokenizer, with_heads
from verifiers.base import Sample, Score
from verifiers.registry import Registry

REFERENCE = Baseline(count=200, mean=0.5, std=2.0, quantiles=tuple(i / 10 - 5 for i in range(101)))


def model_folder(folder: Path, *, seed: int = 0, heads: int = 3, **card: Any) -> Path:
    """A model's folder, as training writes it, with a reference set unless told otherwise."""
    card = {"max_length": 32, "reference": REFERENCE, **card}
    save(RewardModel(with_heads(encoder(seed), heads, seed), tokenizer(), Card(**card)), folder)
    return folder


@contextlib.asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[RewardModels]:
    models = RewardModels({"taste": RewardModelSettings(path=folder, **settings)})
    await models.start()
    try:
        yield models
    finally:
        await models.stop()


def registry(models: RewardModels) -> Registry:
    """As the service makes it."""
    made = Registry(more=[RewardModelScorer], hosted={RewardModels: models})
    models.on_change = made.forget
    return made


async def scored(models: RewardModels, samples: Sequence[Sample], **parameters: Any) -> list[Score]:
    return await registry(models).build({"type": "reward_model", **parameters}).score(samples)


def sample(completion: str, prompt: Any = "what is a good answer") -> Sample:
    return Sample(prompt=prompt, completion=completion)
