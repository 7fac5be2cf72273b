"""The adapters inside the frameworks' own classes, beyond what the examples show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

PROMPT = "<|user|>Reverse abc<|assistant|>"


def test_openrlhf_loads_the_reward_file_and_gets_numbers(
    load_example: Callable[[str], ModuleType],
) -> None:
    agent = pytest.importorskip("openrlhf.utils.agent")
    import torch

    path = load_example("openrlhf_reward").__file__
    executor = agent.SingleTurnAgentExecutor(path)

    def fetched(query: str, label: Any) -> Any:
        asked = executor._fetch_rewards_via_func([query], [PROMPT], [label])
        return asyncio.run(asked)[0]

    for query, label, reward, valid in (
        (PROMPT + "cba<|end|>", "abc", 1.0, 1.0),
        (PROMPT + "abc<|end|>", "abc", 0.0, 1.0),
        (PROMPT + "cba<|end|>", None, 0.0, 0.0),
    ):
        found = fetched(query, label)
        # As the trainer makes tensors of them.
        assert torch.tensor([found["rewards"]]).tolist() == [reward]
        assert found["extra_logs"]["valid"].flatten()[0].item() == valid
        assert set(found["extra_logs"]) == {"valid", "correct"}


def test_atropos_takes_the_group_and_hands_it_out(
    load_example: Callable[[str], ModuleType],
) -> None:
    server = pytest.importorskip("atroposlib.api.server")
    from fastapi.testclient import TestClient

    group = load_example("atropos_env").group("abc")
    with TestClient(server.app) as rollouts:
        trainer = {
            "wandb_group": "g", "wandb_project": "p", "batch_size": 3, "max_token_len": 64,
            "checkpoint_dir": "", "save_checkpoint_interval": 0, "starting_step": 0, "num_steps": 1,
        }  # fmt: skip
        rollouts.post("/register", json=trainer).raise_for_status()
        rollouts.get("/batch")
        environment = {
            "max_token_length": 64,
            "desired_name": "assay",
            "weight": 1,
            "group_size": 3,
        }
        registered = rollouts.post("/register-env", json=environment).json()
        pushed = rollouts.post("/scored_data", json={**group, "env_id": registered["env_id"]})
        assert pushed.json() == {"status": "received"}
        [batch] = rollouts.get("/batch").json()["batch"]
    assert batch["scores"] == [1.0, 0.0, 0.0]
    assert batch["tokens"] == group["tokens"]


def test_verifiers_leaves_no_reward_on_a_trace_that_could_not_be_scored(
    load_example: Callable[[str], ModuleType],
) -> None:
    vf = pytest.importorskip("verifiers.v1")
    example = load_example("verifiers_task")
    task = example.Reverse(example.ReverseData(prompt="Reverse abc", answer=None))
    trace = example.trace_of(task, "cba")
    with pytest.raises(vf.TaskError, match="missing_field"):
        asyncio.run(task.score(trace))
    assert trace.rewards == {"assay": None}


def test_verls_manager_gives_the_same_keys_whatever_happens(
    load_example: Callable[[str], ModuleType], service: str
) -> None:
    pytest.importorskip("verl")
    rewards = asyncio.run(load_example("verl_reward").rewards(service))
    assert [reward["reward_score"] for reward in rewards] == [1.0, 0.0, 0.0]
    keys = {tuple(reward["reward_extra_info"]) for reward in rewards}
    assert keys == {("score", "acc", "valid")}
