"""The command line `assay-trainer`: quick to answer, plain about mistakes, and tidy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.conftest import eventually
from tests.trainer_client.train.runs import (
    assay_trainer,
    options,
    rows_of,
    same_weights,
    trainer,
)

USAGE_ERROR = 2

COMMANDS = ("demo", "grpo", "sft", "evaluate", "compare", "config")

PNG = b"\x89PNG\r\n\x1a\n"

HELP_OF_EVERYTHING = """
import sys
from typer.testing import CliRunner
from trainer_client.train.cli import app
for arguments in ["--help"], *([command, "--help"] for command in sys.argv[1:]):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "Usage" in result.stdout, arguments
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_help_does_not_wait_for_torch() -> None:
    command = [sys.executable, "-c", HELP_OF_EVERYTHING, *COMMANDS]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in loaded
    assert not {"torch", "transformers", "matplotlib", "tensorboard"} & set(loaded)


def test_the_commands_are_those_listed() -> None:
    from trainer_client.train.cli import app

    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert sorted(names) == sorted(COMMANDS)


def test_no_arguments_say_what_there_is() -> None:
    result = assay_trainer()
    assert result.exit_code == USAGE_ERROR
    assert all(command in result.output for command in COMMANDS)


def test_the_printed_configuration_can_be_given_back(tmp_path: Path) -> None:
    printed = assay_trainer("config", *options("seed=7", "grpo.kl_beta=0.02"))
    assert printed.exit_code == 0
    file = tmp_path / "run.toml"
    file.write_text(printed.stdout)
    again = assay_trainer("config", "--config", str(file))
    assert again.stdout == printed.stdout
    assert "kl_beta = 0.02" in again.stdout


def test_every_value_is_described_in_the_schema() -> None:
    from trainer_client.train.config import Config

    printed = assay_trainer("config", "--schema")
    assert printed.exit_code == 0
    assert all(f'"{name}"' in printed.stdout for name in Config.model_fields)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("grpo.step=3", "grpo.step: there is no such key; did you mean 'steps'?"),
        ("gpro.steps=3", "gpro: there is no such key; did you mean 'grpo'?"),
        ("grpo.steps=many", "grpo.steps: "),
        ("grpo.steps=0", "grpo.steps: "),
        ("grpo.steps", "--set takes section.key=value, not 'grpo.steps'"),
        ("seed.deep=1", "seed: "),
        ("reward.url=ftp://nowhere", "reward.url: "),
        ("reward.url=127.0.0.1:8000", "reward.url: "),
        ("data.shortest=30", "Value error, data.shortest is greater than data.longest"),
    ],
)
def test_a_mistake_in_a_setting_is_named_before_anything_is_done(
    setting: str, said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    result = assay_trainer("grpo", "--set", setting, "--output", str(folder))
    assert result.exit_code == USAGE_ERROR
    assert result.stderr.startswith(f"assay-trainer: {said}")
    assert not folder.exists()


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = assay_trainer("config", "--config", str(tmp_path / "none.toml"))
    assert result.exit_code == USAGE_ERROR
    assert f"there is no file {tmp_path / 'none.toml'}" in result.stderr


def test_evaluate_measures_a_policy_as_its_run_did(undisturbed: Path, service_url: str) -> None:
    url = options(f"reward.url={service_url}")
    result = assay_trainer("evaluate", str(undisturbed / "policy"), *url)
    assert result.exit_code == 0, result.stderr
    measured = re.findall(r"^(\w+) +greedy +([\d.]+)% +sampled +([\d.]+)%", result.stdout, re.M)
    last = rows_of(undisturbed / "evaluations.jsonl")[-3:]
    assert measured == [
        (row["split"], f"{row['greedy']:.1%}"[:-1], f"{row['sampled']:.1%}"[:-1]) for row in last
    ]


def test_compare_sets_runs_side_by_side(undisturbed: Path, tmp_path: Path) -> None:
    picture = tmp_path / "comparison.png"
    result = assay_trainer("compare", str(undisturbed), "--output", str(picture))
    assert result.exit_code == 0, result.stderr
    assert "undisturbed\n" in result.stdout
    assert "| held_out | 8 |" in result.stdout
    assert picture.read_bytes().startswith(PNG)


def test_a_comparison_goes_to_the_runs_by_default(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert assay_trainer("compare", str(undisturbed.resolve())).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert (tmp_path / "runs" / "comparison.png").read_bytes().startswith(PNG)


def test_compare_wants_runs(tmp_path: Path) -> None:
    result = assay_trainer("compare", str(tmp_path), "--output", str(tmp_path / "c.png"))
    assert result.exit_code == USAGE_ERROR
    assert f"{tmp_path} holds no run" in result.stderr


def test_sft_writes_the_policy_that_a_run_starts_from(undisturbed: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    result = assay_trainer("sft", *options(), "--output", str(tmp_path / "policy"))
    assert result.exit_code == 0, result.stderr
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "policy").config.hidden_size == 16
    assert same_weights(tmp_path / "policy", undisturbed / "start")


@pytest.mark.slow
def test_the_demo_trains_on_a_service_of_its_own_and_leaves_none_behind(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    process = trainer("demo", *options(), "--output", str(folder))
    printed, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert re.search(r"Held-out exact match went from [\d.]+% to [\d.]+% \(greedy\)", printed)
    for file in ("report.md", "curves.png", "policy"):
        assert str(folder / file) in printed
        assert (folder / file).exists()
    assert same_weights(folder / "policy", undisturbed / "policy")
    [pid] = re.findall(r"The reward service runs at http://\S+ \(pid (\d+)\)", said)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.slow
def test_the_service_of_a_demo_that_is_killed_ends_with_it(tmp_path: Path) -> None:
    process = trainer("demo", *options("sft.steps=100000"), "--output", str(tmp_path / "demo"))
    assert process.stderr is not None
    pids: list[str] = []
    while not pids:
        line = process.stderr.readline()
        assert line, "the demo ended"
        pids = re.findall(r"The reward service runs at http://\S+ \(pid (\d+)\)", line)
    os.kill(int(pids[0]), 0)
    process.kill()
    process.communicate()
    assert eventually(lambda: ended(int(pids[0])))


def ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"  # its new parent has not looked yet


@pytest.mark.slow
def test_a_demo_goes_on_where_it_stopped_with_a_service_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    first = assay_trainer("demo", *options("grpo.steps=2"), "--output", str(folder))
    assert first.exit_code == 0, first.stderr
    more = assay_trainer("demo", "--resume", str(folder), "--set", "grpo.steps=4")
    assert more.exit_code == 0, more.stderr
    assert [row["step"] for row in rows_of(folder / "metrics.jsonl")] == [1, 2, 3, 4]


def test_missing_problems_are_told_before_the_cold_start(tmp_path: Path, service_url: str) -> None:
    missing = options(
        f"reward.url={service_url}", "data.train=none.jsonl", "data.held_out=none.jsonl"
    )
    result = assay_trainer("grpo", *missing, "--output", str(tmp_path / "run"))
    assert result.exit_code == USAGE_ERROR
    assert "none.jsonl" in result.stderr
    assert not (tmp_path / "run" / "start").exists()
