"""TRL's GRPOTrainer with rewards from a live service."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

trl = pytest.importorskip("trl")
torch = pytest.importorskip("torch")

from trainer_client.adapters.trl import AsyncReward, Reward  # noqa: E402

Recorded = list[dict[str, Any]]


def recorded(trainer: Any) -> Recorded:
    """What each step's rewards and advantages were, as the trainer computes them."""
    steps: Recorded = []
    calculate, score = trainer._calculate_rewards, trainer._generate_and_score_completions

    def calculate_and_note(inputs: Any, *rest: Any) -> Any:
        rewards = calculate(inputs, *rest)
        steps.append({"inputs": inputs, "rewards": rewards.squeeze(-1).tolist()})
        return rewards

    def score_and_note(inputs: Any) -> Any:
        output = score(inputs)
        steps[-1]["advantages"] = output["advantages"].tolist()
        return output

    trainer._calculate_rewards = calculate_and_note
    trainer._generate_and_score_completions = score_and_note
    return steps


def groups_of(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def scored(rewards: Sequence[float]) -> list[float | None]:
    return [None if reward != reward else reward for reward in rewards]


@pytest.mark.parametrize("kind", [Reward, AsyncReward])
def test_a_policy_trains_on_rewards_of_which_some_are_missing(
    kind: type[Reward],
    service: str,
    tmp_path: Path,
    load_example: Callable[[str], ModuleType],
    service_advantages: ModuleType,
) -> None:
    example = load_example("trl_grpo")
    reward = kind(service, example.SHAPED, name="assay")
    trainer = example.trainer(str(tmp_path), reward, steps=3)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    steps = recorded(trainer)
    trainer.train()

    assert trainer.state.global_step == len(steps) == 3
    for step in steps:
        unscorable = [row["answer"] is None for row in step["inputs"]]
        assert any(unscorable)
        assert [reward is None for reward in scored(step["rewards"])] == unscorable
        assert all(a == 0 for a, none in zip(step["advantages"], unscorable, strict=True) if none)
        expected = [
            value or 0.0
            for group in groups_of(scored(step["rewards"]), 4)
            for value in service_advantages.advantages(group, service_advantages.TRL)
        ]
        # TRL computes in single precision, and divides by deviations as small as 1e-2.
        assert step["advantages"] == pytest.approx(expected, abs=1e-3)
    logged = [step for step in trainer.state.log_history if "reward" in step]
    assert {"assay/unscored", "assay/right", "assay/brief", "rewards/assay/mean"} <= set(logged[0])
    assert logged[0]["assay/unscored"] == pytest.approx(1 / 3)
    after = trainer.model.parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(("scale", "preset"), [("group", "trl"), ("none", "dr_grpo")])
def test_advantages_are_those_of_the_trainer(
    scale: str,
    preset: str,
    tmp_path: Path,
    load_example: Callable[[str], ModuleType],
    service_advantages: ModuleType,
) -> None:
    """Random rewards, a tenth of them missing, which single precision holds exactly."""
    dice = random.Random(preset)

    def given(completions: list[str], **_: Any) -> list[float | None]:
        return [dice.choice([0.0, 0.125, 0.5, 1.0, -2.0]) for _ in completions]

    def sometimes(**columns: Any) -> list[float | None]:
        return [None if dice.random() < 0.1 else reward for reward in given(**columns)]

    example = load_example("trl_grpo")
    trainer = example.trainer(str(tmp_path), sometimes, steps=12, scale_rewards=scale)
    steps = recorded(trainer)
    trainer.train()
    advantage = service_advantages.PRESETS[preset]
    compared = 0
    for step in steps:
        rewards, found = scored(step["rewards"]), step["advantages"]
        for group, theirs in zip(groups_of(rewards, 4), groups_of(found, 4), strict=True):
            ours = [value or 0.0 for value in service_advantages.advantages(group, advantage)]
            assert theirs == pytest.approx(ours, abs=1e-6)
            compared += 1
    assert compared == 36
