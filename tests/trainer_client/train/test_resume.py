"""A run that was stopped, by whatever means, goes on as if it had not been."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.trainer_client.scripted_server import ScriptedServer
from tests.trainer_client.train.runs import (
    Gate,
    assay_trainer,
    assert_same_run,
    checkpoints,
    options,
    rows_of,
    trainer,
)

pytestmark = pytest.mark.slow

DONE = 5
"""Steps before the interruption: one more than the last checkpoint holds."""

TERMINATED = 128 + signal.SIGTERM

USAGE_ERROR = 2


@contextmanager
def caught_in_the_middle(url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose next step waits for rewards that do not come."""
    gate = Gate(url, DONE)
    with ScriptedServer(gate) as server:
        process = trainer("grpo", *options(f"reward.url={server.url}"), "--output", str(folder))
        try:
            assert gate.reached.wait(60), process.poll()
            yield process
        finally:
            process.kill()
            process.communicate()


def test_a_killed_run_goes_on_to_the_very_same_end(
    undisturbed: Path, service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    with caught_in_the_middle(service_url, folder) as process:
        process.kill()
        process.wait()
    assert checkpoints(folder) == ["step-000002", "step-000004"]
    assert len(rows_of(folder / "metrics.jsonl")) == DONE
    for name in ("metrics.jsonl", "evaluations.jsonl", "samples.jsonl"):
        with (folder / name).open("a") as file:
            file.write('{"step": 6, "rew')  # a row that was being written just then
    # A process of its own again, as it would be.
    process = trainer("grpo", "--resume", str(folder), "--url", service_url)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert_same_run(folder, undisturbed)


def test_a_terminated_run_leaves_a_checkpoint_and_says_how_to_go_on(
    undisturbed: Path, service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "terminated"
    with caught_in_the_middle(service_url, folder) as process:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == TERMINATED
    assert f"stopped by SIGTERM. Go on with: assay-trainer grpo --resume {folder}" in said
    assert "Traceback" not in said
    assert checkpoints(folder)[-1] == f"step-{DONE:06d}"
    assert assay_trainer("grpo", "--resume", str(folder), "--url", service_url).exit_code == 0
    assert_same_run(folder, undisturbed)


def test_a_folder_that_holds_a_run_is_not_overwritten(undisturbed: Path, service_url: str) -> None:
    before = {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}
    again = options(f"reward.url={service_url}")
    result = assay_trainer("grpo", *again, "--output", str(undisturbed))
    assert result.exit_code == USAGE_ERROR
    assert f"{undisturbed} already holds a run: --resume it" in result.stderr
    assert before == {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}


def test_a_finished_run_resumed_is_the_same_run(
    undisturbed: Path, service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "finished"
    shutil.copytree(undisturbed, folder)
    assert assay_trainer("grpo", "--resume", str(folder)).exit_code == 0
    assert_same_run(folder, undisturbed)


@pytest.mark.parametrize("there_is_a_folder", [True, False])
def test_what_holds_no_run_is_not_resumed(tmp_path: Path, there_is_a_folder: bool) -> None:
    folder = tmp_path / "empty"
    if there_is_a_folder:
        folder.mkdir()
    result = assay_trainer("grpo", "--resume", str(folder))
    assert result.exit_code == USAGE_ERROR
    assert f"{folder} holds no run to resume" in result.stderr
    assert folder.exists() == there_is_a_folder
