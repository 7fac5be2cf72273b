"""A run learns from the rewards it is given, and gives each to the completion it is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Served, served
from tests.trainer_client.scripted_server import (
    Act,
    Received,
    ScriptedServer,
    envelope,
    scored,
    send,
)
from tests.trainer_client.train.tiny import small_run
from trainer_client.train.display import Display
from trainer_client.train.run import run
from trainer_client.train.run_folder import RunFolder, read_rows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served("--log-level", "warning") as service:
        yield service


@pytest.fixture(scope="module")
def learned(service: Served, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    scorer = '{type = "string_reversal", partial = "edit"}'  # so small a policy is never right
    config = small_run(f"reward.url={service.url}", f"reward.scorer={scorer}", "grpo.steps=60")
    return run(config, tmp_path_factory.mktemp("runs") / "learned", Display())


def test_a_run_learns_something(learned: RunFolder) -> None:
    rewards = [row["reward"] for row in read_rows(learned.metrics)]
    assert sum(rewards[-10:]) > sum(rewards[:10])


def test_the_divergence_from_the_start_is_none_at_first_and_grows(learned: RunFolder) -> None:
    found = [row["kl"] for row in read_rows(learned.metrics) if "kl" in row]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found[-1] > 1e-3


def rewarding_length(request: Received) -> Act:
    """Rewards every completion by its length."""

    async def act(request: Received, writer: Any) -> None:
        samples = request.document["samples"]
        rewards = [float(len(sample["completion"])) for sample in samples]
        scores = [
            scored(sample | {"completion": "0"}) | {"reward": reward}
            for sample, reward in zip(samples, rewards, strict=True)
        ]
        await send(writer, 200, envelope(scores))

    return act


def test_rewards_find_their_own_completions(tmp_path: Path) -> None:
    """Each completion is rewarded by its own text, whatever was sent together with it."""
    with ScriptedServer(rewarding_length) as server:
        url = f"reward.url={server.url}"
        config = small_run(url, "grpo.steps=3", "grpo.prompts_per_step=40")
        folder = run(config, tmp_path / "own", Display())
        training = [request for request in server.received if "group" in first_sample(request)]
    assert len(training) > 3  # a step is scored in several requests, while it is written
    for sample in read_rows(folder.samples):
        assert sample["reward"] == len(sample["completion"])
    for request in training:
        members = [sample["group"] for sample in request.document["samples"]]
        assert all(members.count(group) == 4 for group in members)  # groups stay whole


def first_sample(request: Received) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(request.body)["samples"][0]
    return sample
