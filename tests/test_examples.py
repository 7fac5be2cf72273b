"""The examples run as they stand, against a service as a user starts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import served
from tests.trainer_client.train.runs import assay_trainer, options

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with served() as service:
        yield {**os.environ, "ASSAY_URL": service.url}


def test_scoring_from_python(environment: dict[str, str]) -> None:
    command = [sys.executable, str(EXAMPLES / "score_from_python.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "p0/0: 1.0 (correct)",
        "p0/1: 0.0 (incorrect)",
        "p0/2: could not be scored (missing_field)",
    ], done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_scoring_with_curl(environment: dict[str, str]) -> None:
    command = [str(EXAMPLES / "score_with_curl.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    scores = json.loads(done.stdout)["scores"]
    assert [(score["id"], score["reward"]) for score in scores] == [("right", 1.0), ("wrong", 0.0)]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.toml")), ids=lambda file: file.stem)
def test_a_run_of_every_configuration(file: Path, tmp_path: Path) -> None:
    """Shrunk to seconds: that it is one, not what comes of it."""
    shrunk = options("sft.steps=2", "grpo.steps=1")
    output = str(tmp_path / "run")
    result = assay_trainer("demo", "--config", str(file), *shrunk, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert f"--config examples/{file.name}" in file.read_text(encoding="utf-8")
