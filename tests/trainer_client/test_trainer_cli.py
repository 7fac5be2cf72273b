"""`assay-trainer`: quick help, mistakes by name, and each command on something small."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.app.conftest import Served, served
from tests.trainer_client.tiny import SMALL_RUN
from trainer_client.cli import app
from trainer_client.config import Config, validated
from trainer_client.policy import load

RUNNER = CliRunner()

USAGE_ERROR, SERVICE_LOST = 2, 3

SET = [word for value in SMALL_RUN for word in ("--set", value)]


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served("--log-level", "warning") as service:
        yield service


def invoke(*arguments: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("command", ["", "demo", "sft", "grpo", "evaluate", "compare", "config"])
def test_help_says_what_each_command_does_without_loading_torch(command: str) -> None:
    program = (
        "import sys\n"
        "from trainer_client.cli import app\n"
        "try: app()\n"
        "finally: assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", program, *command.split(), "--help"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Usage:" in ran.stdout
    assert len(ran.stdout.splitlines()) > 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "grpo.learning_rat=1"], "did you mean 'learning_rate'"),
        (["--config", "nowhere.toml"], "there is no file nowhere.toml"),
        (["--url", "localhost:8000"], "reward.url"),
        (["--resume", "nowhere"], "nowhere holds no run to resume"),
    ],
)
def test_a_mistake_ends_with_a_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    code, output = invoke("grpo", "--output", tmp_path / "run", *arguments)
    assert code == USAGE_ERROR
    assert message in output
    assert "Traceback" not in output


def test_a_service_that_is_not_there_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    settings = [*SET, "--set", "reward.max_outage_s=0.2", "--set", "reward.url=http://127.0.0.1:9"]
    code, output = invoke("grpo", "--output", tmp_path / "run", *settings)
    assert code == SERVICE_LOST
    assert "no answer from the reward service at http://127.0.0.1:9" in output
    assert not (tmp_path / "run" / "start").exists()


def test_the_printed_configuration_is_the_one_in_effect() -> None:
    code, output = invoke("config", "--set", "grpo.steps=7")
    assert code == 0
    assert validated(tomllib.loads(output)) == validated({"grpo": {"steps": 7}})


def test_every_value_is_described_in_the_schema() -> None:
    code, output = invoke("config", "--schema")
    assert code == 0
    assert all(f'"{name}"' in output for name in Config.model_fields)


def test_a_cold_start_alone_is_a_policy_that_can_be_measured_and_trained(
    tmp_path: Path, service: Served
) -> None:
    start = tmp_path / "start"
    code, output = invoke("sft", "--output", start, *SET)
    assert code == 0, output
    assert load(start).model.num_parameters() > 0

    code, output = invoke("evaluate", start, "--url", service.url, *SET)
    assert code == 0, output
    assert [line.split()[0] for line in output.splitlines() if "greedy" in line] == [
        "held_out", "harder", "longer",
    ]  # fmt: skip

    for name in ("first", "second"):
        code, output = invoke(
            "grpo", "--model", start, "--url", service.url, "--output", tmp_path / name, *SET,
            "--set", "grpo.steps=2",
        )  # fmt: skip
        assert code == 0, output
        assert "cold start" not in output

    picture = tmp_path / "both.png"
    runs = (tmp_path / "first", tmp_path / "second")
    code, output = invoke("compare", *runs, "--output", picture)
    assert code == 0, output
    assert "first" in output
    assert "second" in output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_demo_starts_a_service_and_stops_it(tmp_path: Path) -> None:
    code, output = invoke("demo", "--output", tmp_path / "demo", "--seed", "1", *SET)
    assert code == 0, output
    assert "Held-out exact match went from" in output
    [line] = [line for line in output.splitlines() if "(pid " in line]
    pid = int(line.split("(pid ")[1].rstrip(")"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
