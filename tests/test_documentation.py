"""The documentation says what is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.hosting import Hosted
from app.main import create_app, create_registry
from app.settings import Settings
from judges.reward_model.serve.scorer import RewardModelScorer
from verifiers.base import Parameters, Sample, run_here

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_readme_lists_exactly_the_scorers_of_the_registry() -> None:
    section = README.partition("## Scorers")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)
    settings = Settings(judge_store="")
    registry = create_registry(settings, run_here, Hosted.of(settings))
    assert sorted(listed) == sorted({*registry.types, RewardModelScorer.name})
    assert len(listed) == len(set(listed))


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 200


def test_the_scorer_of_the_readme_passes_the_linter_and_scores() -> None:
    section = README.partition("## Add a scorer")[2]
    snippet = section.partition("```python\n")[2].partition("```")[0]
    for check in (["check"], ["format", "--check"]):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *check,
            "--stdin-filename",
            "verifiers/new.py",
            "-",
        ]
        linted = subprocess.run(command, input=snippet, capture_output=True, text=True, cwd=ROOT)
        assert linted.returncode == 0, linted.stdout
    names: dict[str, Any] = {}
    exec(snippet, names)
    scorer = names["Palindrome"](Parameters())
    assert scorer.score_one(Sample(completion="level")).reward == 1.0
    assert scorer.score_one(Sample(completion="lever")).reward == 0.0


def test_the_answer_that_the_readme_shows_is_given() -> None:
    """But for what differs each time, or with any change of the code."""
    section = README.partition("## Score something")[2]
    asked = section.partition("--json '")[2].partition("'")[0]
    shown = json.loads(section.partition("```json\n")[2].partition("```")[0])
    with TestClient(create_app(Settings(judge_store=""))) as client:
        given = client.post("/v1/score", json=json.loads(asked)).json()
    assert shown["request_id"] == shown["scores"][0]["scorer"]["digest"] == "…"
    given["request_id"] = given["scores"][0]["scorer"]["digest"] = "…"
    given["scores"][0]["elapsed_ms"] = shown["scores"][0]["elapsed_ms"]
    assert given == shown


def test_the_files_that_the_readme_names_exist() -> None:
    for name in re.findall(r"\]\(([^)#]+)\)|`(examples/[\w./]+)`", README):
        path = next(filter(None, name))
        assert (ROOT / path).exists(), path


def test_the_image_is_built_from_what_exists() -> None:
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M):
        for name in source.split():
            assert (ROOT / name).exists(), name
