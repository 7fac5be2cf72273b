"""The service's advantages are those that the trainers compute themselves."""

from __future__ import annotations

import asyncio
import random
from types import ModuleType
from typing import Any

import pytest

EXACT = 1e-6


def random_groups(size: int, count: int = 40) -> list[list[float]]:
    """Rewards of many kinds. Eighths and the like, which single precision holds exactly."""
    dice = random.Random(size)
    kinds = ([0, 1], [-1, 0, 1], [k / 8 for k in range(9)], [k / 4 - 3 for k in range(25)])
    groups = []
    while len(groups) < count:
        values = dice.choice(kinds)
        group = [float(dice.choice(values)) for _ in range(size)]
        if size == 1 or len(set(group)) > 1:
            groups.append(group)
    return groups


def ours(module: ModuleType, preset: str, rewards: list[Any]) -> list[float]:
    found = module.advantages(rewards, module.PRESETS[preset])
    return [0.0 if value is None else value for value in found]


# Groups of one have no spread here; of them, verl's own preset alone reproduces verl.
SIZES = [2, 3, 8, 64]


@pytest.mark.parametrize(
    ("preset", "size"),
    [("verl", 1), *((p, n) for p in ("verl", "dr_grpo", "rloo") for n in SIZES)],
)
def test_verl(preset: str, size: int, service_advantages: ModuleType) -> None:
    algorithms = pytest.importorskip("verl.trainer.ppo.core_algos")
    import numpy as np
    import torch

    groups = random_groups(size)
    rewards = torch.tensor(groups, dtype=torch.float64).reshape(-1, 1)
    index = np.repeat(np.arange(len(groups)), size)
    mask = torch.ones_like(rewards)
    if preset == "rloo":
        found, _ = algorithms.compute_rloo_outcome_advantage(rewards, mask, index)
    else:
        found, _ = algorithms.compute_grpo_outcome_advantage(
            rewards, mask, index, norm_adv_by_std_in_grpo=preset == "verl"
        )
    expected = [value for group in groups for value in ours(service_advantages, preset, group)]
    assert found.squeeze(-1).tolist() == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("missing", [0, 2])
@pytest.mark.parametrize("size", [3, 8, 64])
def test_trl_async(size: int, missing: int, service_advantages: ModuleType) -> None:
    worker = pytest.importorskip("trl.experimental.async_grpo.async_rollout_worker")
    from accelerate import PartialState

    PartialState()  # the worker's logger asks for it
    for group in random_groups(size):
        rewards: list[float | None] = [*group[missing:], *[None] * missing]
        expected = ours(service_advantages, "trl_async", rewards)
        if len({reward for reward in rewards if reward is not None}) > 1:
            assert trl_async_advantages(worker, rewards) == pytest.approx(expected, abs=EXACT)


def trl_async_advantages(worker: ModuleType, rewards: list[float | None]) -> list[float]:
    """Those of AsyncGRPOTrainer's worker, whose loop is not started."""
    loop = object.__new__(worker._AsyncRolloutLoop)
    loop.reward_funcs = [lambda **_: rewards]
    loop.reward_func_names = ["given"]
    loop._env_reward_types = []
    loop._provides_rollout_reward = False
    count = len(rewards)
    row = worker.TrainingSequence(
        rollout_id="r", input_ids=[1], completion_mask=[1], old_log_probs=[0.0]
    )
    group = worker.RolloutGroup(
        prompts=[[]] * count,
        reward_kwargs={},
        completions=[[]] * count,
        completions_ids=[[1]] * count,
        completions_sequences=[[row]] * count,
        tool_call_counts=[0] * count,
        tool_failure_counts=[0] * count,
        model_version=0,
        group_id=0,
        env_rewards=[None] * count,
        rollout_rewards=[None] * count,
    )
    return [sample.advantage for sample in asyncio.run(loop._score_group(group))]
