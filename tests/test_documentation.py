"""The documentation says what is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient

from app.hosting import Hosted
from app.main import create_app, create_registry
from app.settings import Settings
from judges.reward_model.serve.scorer import RewardModelScorer
from tests.docs.pages import DOCS, blocks
from tests.verifiers.cases import Case
from verifiers.base import Parameters, Sample, run_here
from verifiers.sandbox.languages import Language

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_the_readme_lists_exactly_the_scorers_of_the_registry() -> None:
    section = README.partition("## Scorers")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)
    settings = Settings(judge_store="")
    registry = create_registry(settings, run_here, Hosted.of(settings))
    assert sorted(listed) == sorted({*registry.types, RewardModelScorer.name})
    assert len(listed) == len(set(listed))


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 200


MODULES = {
    block.title: block.text
    for page in sorted(DOCS.rglob("*.md"))
    for block in blocks(page)
    if block.title.endswith(".py")
}
"""Those that how-tos show, by the path at which they would stand."""


@pytest.mark.parametrize("path", MODULES)
def test_the_modules_of_the_how_tos_pass_the_linter(path: str) -> None:
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--stdin-filename", path, "-"]
        linted = subprocess.run(
            command, input=MODULES[path], capture_output=True, text=True, cwd=ROOT
        )
        assert linted.returncode == 0, linted.stdout


def test_the_scorer_of_the_how_to_scores() -> None:
    names: dict[str, Any] = {}
    exec(MODULES["verifiers/palindrome.py"], names)
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


def test_the_language_of_the_how_to_is_one() -> None:
    names: dict[str, Any] = {}
    exec(MODULES["verifiers/sandbox/languages/ruby.py"], names)
    assert isinstance(names["LANGUAGE"], Language)


def test_the_rows_that_are_shown_are_rows() -> None:
    shown = [
        json.loads(block.text)
        for page in (DOCS / "how-to" / "scorer.md", ROOT / "CONTRIBUTING.md")
        for block in blocks(page)
        if block.language == "json"
    ]
    assert len([Case.model_validate(row) for row in shown]) == 2


def test_tags_of_rows_are_explained() -> None:
    section = CONTRIBUTING.partition("| tag |")[2]
    explained = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert set(explained) == set(get_args(Case.model_fields["tag"].annotation))


def test_the_targets_that_are_named_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"`make ([a-z-]+)", README + CONTRIBUTING)
    assert set(named) <= set(targets)


def test_the_dependencies_are_those_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [re.match(r"[\w-]+", needed)[0] for needed in project["dependencies"]]  # type: ignore[index]
    section = README.partition("Dependencies:")[2]
    assert sorted(re.findall(r"`([\w-]+)`", section)) == sorted(wanted)


def test_the_changelog_has_the_version_and_a_place_for_what_comes_next() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1].startswith(f"{version} - 20")


def test_the_folders_that_the_readme_names_exist() -> None:
    section = README.partition("## Where things are")[2].partition("```\n")[2].partition("```")[0]
    package = ""
    for line in section.splitlines():
        if not line.startswith(" "):
            package = line.split("/")[0]
            assert (ROOT / package).is_dir()
        for name in re.findall(r"(?:^|\s)([a-z_]+)/(?=\s|$)", line):
            assert (ROOT / name).is_dir() or (ROOT / package / name).is_dir(), name


def test_the_files_that_the_readme_names_exist() -> None:
    for name in re.findall(r"\]\(([^)#]+)\)|`(examples/[\w./]+)`", README + CONTRIBUTING):
        path = next(filter(None, name))
        assert (ROOT / path).exists(), path


def test_the_image_is_built_from_what_exists() -> None:
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M):
        for name in source.split():
            assert (ROOT / name).exists(), name
