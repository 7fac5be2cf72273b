"""A run outlives its service: nothing is lost, and nothing becomes a reward meanwhile."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.conftest import Served, served
from tests.trainer_client.scripted_server import ScriptedServer
from tests.trainer_client.train.runs import (
    SETTINGS,
    Gate,
    assay_trainer,
    assert_same_run,
    checkpoints,
    options,
    trainer,
    vanish,
)
from trainer_client.train.config import load_config
from trainer_client.train.display import Display
from trainer_client.train.run import run
from trainer_client.types import Outage

pytestmark = pytest.mark.slow

SERVICE_LOST = 3

INTERRUPTED = 128 + signal.SIGINT

DONE = 5


class Saboteur(Display):
    """Kills the service after some steps, and starts it again once the run has noticed."""

    def __init__(self, service: Served, stack: ExitStack) -> None:
        super().__init__()
        self.service, self.stack = service, stack
        self.outages: list[Outage] = []
        self.port = service.url.rpartition(":")[2]
        self.revival = threading.Thread(
            target=lambda: stack.enter_context(served("--port", self.port))
        )

    def say(self, text: str) -> None:
        super().say(text)
        if text.startswith("step    3"):
            self.service.process.kill()
            self.service.process.wait()

    def outage(self, outage: Outage) -> None:
        super().outage(outage)
        self.outages.append(outage)
        if not outage.over:
            self.revival.start()


def test_a_service_killed_and_started_again_costs_time_and_no_step(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "outage"
    with ExitStack() as stack:
        service = stack.enter_context(served())
        saboteur = Saboteur(service, stack)
        run(load_config(None, [*SETTINGS, f"reward.url={service.url}"]), folder, saboteur)
        saboteur.revival.join()
    assert [outage.over for outage in saboteur.outages] == [False, True]
    assert_same_run(folder, undisturbed)


def test_a_service_that_is_gone_for_good_ends_the_run_with_its_checkpoint(
    undisturbed: Path, service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    server = ScriptedServer()
    server.choose = Gate(service_url, DONE, then=vanish(server))
    with server:
        gone = options(f"reward.url={server.url}", "reward.max_outage_s=2")
        process = trainer("grpo", *gone, "--output", str(folder))
        _, said = process.communicate(timeout=60)
    assert process.returncode == SERVICE_LOST, said
    assert f"no answer from the reward service at {server.url}" in said
    assert "The last checkpoint is intact." in said
    assert f"Go on with: assay-trainer grpo --resume {folder}" in said
    assert "Traceback" not in said
    assert checkpoints(folder)[-1] == f"step-{DONE:06d}"

    result = assay_trainer("grpo", "--resume", str(folder), "--url", service_url)
    assert result.exit_code == 0, result.stderr
    assert_same_run(folder, undisturbed)


def test_a_service_that_was_never_there_is_named_and_no_checkpoint_is_claimed(
    tmp_path: Path,
) -> None:
    with ScriptedServer() as server:
        nobody = server.url
    settings = options(f"reward.url={nobody}", "reward.max_outage_s=0.2")
    result = assay_trainer("grpo", *settings, "--output", str(tmp_path / "never"))
    assert result.exit_code == SERVICE_LOST
    assert f"no answer from the reward service at {nobody}" in result.stderr
    assert "checkpoint" not in result.stderr


def test_ctrl_c_ends_the_wait_for_a_service_that_was_never_there(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        nobody = server.url
    settings = options(f"reward.url={nobody}", "reward.max_outage_s=20")
    # As the kernel does: to the thread that waits.
    waiting = threading.get_ident()
    ctrl_c = threading.Timer(1, signal.pthread_kill, [waiting, signal.SIGINT])
    ctrl_c.start()
    result = assay_trainer("grpo", *settings, "--output", str(tmp_path / "never"))
    ctrl_c.join()
    assert result.exit_code == INTERRUPTED
