"""Whole runs: the same again after a kill, and honest about a service that is not there."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.app.conftest import Served, eventually, served
from tests.trainer_client.scripted_server import (
    Act,
    Received,
    ScriptedServer,
    envelope,
    failed,
    scored,
    send,
)
from tests.trainer_client.tiny import small_run
from trainer_client import checkpoint
from trainer_client.config import Config, ConfigError, save_config
from trainer_client.display import Display
from trainer_client.policy import Policy, load
from trainer_client.run import run
from trainer_client.run_folder import Row, RunFolder, read_rows
from trainer_client.stopping import TooManyUnscored

SERVICE_LOST = 3
TERMINATED = 128 + signal.SIGTERM

# Partial credit, because a policy this small is never quite right.
SCORER = '{type = "string_reversal", partial = "edit"}'

STEPS = 60
"""Long enough to be caught in the middle."""


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served("--log-level", "warning") as service:
        yield service


def config_for(url: str, *overrides: str) -> Config:
    usual = (f"reward.url={url}", f"reward.scorer={SCORER}", f"grpo.steps={STEPS}")
    return small_run(*usual, *overrides)


@pytest.fixture(scope="module")
def uninterrupted(service: Served, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What every interrupted run below must come to."""
    return run(config_for(service.url), tmp_path_factory.mktemp("runs") / "whole", Display())


def started(config: Config, folder: Path) -> subprocess.Popen[str]:
    """`assay-trainer grpo` in a process of its own."""
    file = folder.with_suffix(".toml")
    save_config(config, file)
    return trainer("grpo", "--config", str(file), "--output", str(folder))


def trainer(*arguments: str) -> subprocess.Popen[str]:
    program = "from trainer_client.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def reached(folder: Path, step: int) -> None:
    """Waits until a run has got to `step`, and no further than the middle of it."""
    metrics = RunFolder(folder).metrics
    assert eventually(lambda: len(read_rows(metrics)) >= step, within_s=90)
    assert len(read_rows(metrics)) < STEPS


def without_seconds(file: Path) -> list[Row]:
    return [
        {key: value for key, value in row.items() if key != "seconds"} for row in read_rows(file)
    ]


def weights(policy: Policy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()])


def same_run(first: RunFolder, second: RunFolder) -> bool:
    assert without_seconds(first.metrics) == without_seconds(second.metrics)
    assert without_seconds(first.evaluations) == without_seconds(second.evaluations)
    assert read_rows(first.samples) == read_rows(second.samples)
    return torch.equal(weights(load(first.policy)), weights(load(second.policy)))


# --- a run and its folder ---------------------------------------------------------------


def test_a_run_leaves_everything_it_promises(uninterrupted: RunFolder) -> None:
    left = {path.name for path in uninterrupted.path.iterdir()}
    assert left == {
        "config.toml", "cold_start.json", "start", "policy", "checkpoints", "metrics.jsonl",
        "evaluations.jsonl", "samples.jsonl", "tensorboard", "curves.png", "report.md",
    }  # fmt: skip
    rows = read_rows(uninterrupted.metrics)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert all(row["unscored"] == 0 and row["tokens"] > 0 for row in rows)
    assert AutoModelForCausalLM.from_pretrained(uninterrupted.policy)


def test_a_run_learns_something(uninterrupted: RunFolder) -> None:
    rewards = [row["reward"] for row in read_rows(uninterrupted.metrics)]
    assert sum(rewards[-10:]) > sum(rewards[:10])
    assert not torch.equal(weights(load(uninterrupted.start)), weights(load(uninterrupted.policy)))


def test_held_out_splits_are_measured_at_both_ends_and_one_in_between(
    uninterrupted: RunFolder,
) -> None:
    measured = [(row["step"], row["split"]) for row in read_rows(uninterrupted.evaluations)]
    splits = ["held_out", "harder", "longer"]
    between = [(step, "held_out") for step in range(3, STEPS, 3)]
    assert measured == [(0, x) for x in splits] + between + [(STEPS, x) for x in splits]


def test_the_divergence_from_the_start_is_none_at_first_and_grows(uninterrupted: RunFolder) -> None:
    found = [row["kl"] for row in read_rows(uninterrupted.metrics) if "kl" in row]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found[-1] > 1e-3


def test_another_run_does_not_overwrite_this_one(uninterrupted: RunFolder, service: Served) -> None:
    with pytest.raises(ConfigError, match="already holds a run"):
        run(config_for(service.url), uninterrupted.path, Display())


def test_there_is_nothing_to_resume_in_an_empty_folder(tmp_path: Path, service: Served) -> None:
    with pytest.raises(ConfigError, match="holds no run to resume"):
        run(config_for(service.url), tmp_path, Display(), resume=True)


# --- interrupted ------------------------------------------------------------------------


def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(
    uninterrupted: RunFolder, service: Served, tmp_path: Path
) -> None:
    config, folder = config_for(service.url), tmp_path / "killed"
    process = started(config, folder)
    reached(folder, 7)
    process.kill()
    process.communicate()
    resumed = run(config, folder, Display(), resume=True)
    assert same_run(resumed, uninterrupted)


def test_sigterm_ends_a_run_between_two_steps_with_a_checkpoint(
    uninterrupted: RunFolder, service: Served, tmp_path: Path
) -> None:
    config, folder = config_for(service.url), tmp_path / "terminated"
    process = started(config, folder)
    reached(folder, 5)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == TERMINATED
    assert f"stopped by SIGTERM. Go on with: assay-trainer grpo --resume {folder}" in said
    done = len(read_rows(RunFolder(folder).metrics))
    latest = checkpoint.all_of(RunFolder(folder).checkpoints)[-1]
    assert checkpoint.load_state(latest).step == done
    assert same_run(run(config, folder, Display(), resume=True), uninterrupted)


def test_a_run_goes_on_when_its_service_comes_back(
    uninterrupted: RunFolder, tmp_path: Path
) -> None:
    folder, port = tmp_path / "outage", free_port()
    config = config_for(f"http://127.0.0.1:{port}")
    with served("--port", str(port)):
        process = started(config, folder)
        reached(folder, 5)
    time.sleep(1)  # the service is gone, in the middle of whatever it was doing
    with served("--port", str(port)):
        _, said = process.communicate(timeout=90)
    assert process.returncode == 0
    assert "does not answer" in said
    assert "answers again" in said
    assert same_run(RunFolder(folder), uninterrupted)


def test_a_run_whose_service_is_gone_says_so_and_keeps_its_checkpoint(
    uninterrupted: RunFolder, service: Served, tmp_path: Path
) -> None:
    folder, port = tmp_path / "lost", free_port()
    lost = config_for(f"http://127.0.0.1:{port}", "reward.max_outage_s=0.5")
    with served("--port", str(port)):
        process = started(lost, folder)
        reached(folder, 5)
    _, said = process.communicate(timeout=60)
    assert process.returncode == SERVICE_LOST
    assert f"no answer from the reward service at http://127.0.0.1:{port}" in said
    assert "checkpoint is intact" in said
    assert same_run(run(config_for(service.url), folder, Display(), resume=True), uninterrupted)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- failures that are not the policy's -------------------------------------------------


def scripted(judge: Callable[[dict[str, Any]], float | None]) -> Act:
    """Scores by a rule; None is a failure of the service's."""

    async def act(request: Received, writer: Any) -> None:
        scores = []
        for sample in request.document["samples"]:
            reward = judge(sample)
            score = scored(sample | {"completion": "0"})
            scores.append(
                failed(score, "internal", retryable=False)
                if reward is None
                else score | {"reward": reward}
            )
        await send(writer, 200, envelope(scores))

    return act


def test_a_run_that_nobody_can_score_stops_unchanged_and_says_why(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: scripted(lambda _: None)) as server:
        config = config_for(server.url, "reward.unscored_window=2")
        with pytest.raises(TooManyUnscored, match=r"could not be scored.*16 internal.*not today"):
            run(config, tmp_path / "unscored", Display())
    folder = RunFolder(tmp_path / "unscored")
    latest = checkpoint.all_of(folder.checkpoints)[-1]
    assert torch.equal(weights(load(latest)), weights(load(folder.start)))


def test_unscored_completions_are_counted_and_not_rewarded(tmp_path: Path) -> None:
    def judge(sample: dict[str, Any]) -> float | None:
        return None if len(sample["completion"]) % 2 else float(len(sample["completion"]))

    with ScriptedServer(lambda _: scripted(judge)) as server:
        config = config_for(server.url, "reward.max_unscored_share=1", "grpo.steps=4")
        folder = run(config, tmp_path / "half", Display())
    rows, samples = read_rows(folder.metrics), read_rows(folder.samples)
    assert all(0 < row["unscored"] < row["completions"] for row in rows)
    for sample in samples:
        odd = len(sample["completion"]) % 2
        assert (sample["reward"] is None) == bool(odd)
        assert sample["advantage"] == 0 or not odd
    assert "could not be scored" in folder.report.read_text()


def test_rewards_find_their_own_completions(tmp_path: Path) -> None:
    """Each completion is rewarded by its own text, whatever was sent together with it."""
    with ScriptedServer(lambda _: scripted(lambda sample: float(len(sample["completion"])))) as one:
        config = config_for(one.url, "grpo.steps=3", "grpo.prompts_per_step=40")
        folder = run(config, tmp_path / "own", Display())
        training = [request for request in one.received if "group" in first_sample(request)]
    assert len(training) > 3  # a step is scored in several requests, while it is written
    for sample in read_rows(folder.samples):
        assert sample["reward"] == len(sample["completion"])
    for request in training:
        members = [sample["group"] for sample in request.document["samples"]]
        assert all(members.count(group) == 4 for group in members)  # groups stay whole


def first_sample(request: Received) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(request.body)["samples"][0]
    return sample
