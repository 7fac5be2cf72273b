"""The adapters inside the frameworks' own classes, beyond what the examples show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trainer_client.adapters import nemo_rl
from trainer_client.adapters.remote import RemoteScorer

CONTRACTS = Path(__file__).parent / "contracts"
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


def test_nemo_rl_gets_tensors_and_a_list_of_what_is_valid(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over its interface as `contracts/` has it: NeMo-RL itself is not on PyPI."""
    import torch

    monkeypatch.syspath_prepend(CONTRACTS)
    environment = nemo_rl.environment(RemoteScorer(service, "string_reversal"))()
    logs = [
        [{"role": "user", "content": "Reverse abc"}, {"role": "assistant", "content": reply}]
        for reply in ("cba", "abc", "cba")
    ] + [[{"role": "user", "content": "Reverse abc"}]]
    rows = [{"ground_truth": right, "row": n} for n, right in enumerate(["abc", "abc", None, "a"])]
    step = environment.step(logs, rows)
    assert torch.equal(step.rewards, torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert step.terminateds.all()
    assert [row["valid"] for row in step.metadata] == [True, True, False, True]
    assert [row["row"] for row in step.metadata] == [0, 1, 2, 3]
    assert {len(part) for part in step} == {4}
    batch = {"extra_env_info": [*step.metadata, None]}
    assert environment.global_post_process_and_metrics(batch) == (batch, {"unscored": 0.25})


def test_verifiers_leaves_no_reward_on_a_trace_that_could_not_be_scored(
    load_example: Callable[[str], ModuleType],
) -> None:
    vf = pytest.importorskip("verifiers.v1")
    example = load_example("verifiers_task")
    task = example.Reverse(example.ReverseData(prompt="Reverse abc", answer=None))
    trace = example.trace_of(task, "cba")
    with pytest.raises(vf.TaskError, match="missing_field") as caught:
        asyncio.run(task.score(trace))
    assert trace.rewards == {"assay": None}
    trace.record_error(caught.value)  # as a rollout does
    assert trace.has_error, "by which prime-rl keeps it out of training"


def test_verls_manager_gives_the_same_keys_whatever_happens(
    load_example: Callable[[str], ModuleType], service: str
) -> None:
    pytest.importorskip("verl")
    rewards = asyncio.run(load_example("verl_reward").rewards(service))
    assert [reward["reward_score"] for reward in rewards] == [1.0, 0.0, 0.0]
    keys = {tuple(reward["reward_extra_info"]) for reward in rewards}
    assert keys == {("score", "acc", "valid")}


def test_verl_finds_the_reward_function_by_its_configuration(service: str) -> None:
    """As a run's configuration names it: a package path, and a scorer with parameters."""
    reward = pytest.importorskip("verl.trainer.ppo.reward")
    from omegaconf import OmegaConf

    function = {
        "path": "pkg://trainer_client.adapters.verl",
        "name": "compute_score",
        "reward_kwargs": {
            "url": service,
            "scorer": {"type": "weighted", "components": {"right": {"scorer": "string_reversal"}}},
            "parts": ["right"],
        },
    }
    config = OmegaConf.create({"reward": {"custom_reward_function": function}})
    compute_score = reward.get_custom_reward_fn(config)
    asked = compute_score(
        data_source="any", solution_str="cba", ground_truth="abc", extra_info={"num_turns": None}
    )
    assert asyncio.run(asked) == {"score": 1.0, "acc": 1.0, "valid": 1.0, "right": 1.0}
