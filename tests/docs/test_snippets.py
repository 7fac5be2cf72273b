"""Every command and program of the pages runs, and prints what the page says it prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.hosting import Hosted
from app.main import create_registry
from app.settings import Settings
from tests.app.conftest import served
from tests.docs.pages import DOCS, blocks, shows
from tests.trainer_client.train.runs import options
from verifiers.base import run_here

ROOT = DOCS.parent
PAGES = sorted(DOCS.rglob("*.md"))

BASH = ("bash", "-euo", "pipefail", "-c")

PROGRAMS = """
assay() { python -m app.cli "$@"; }
assay-trainer() { python -m trainer_client.train.cli "$@"; }
"""
"""Those of this checkout, whatever is installed."""

SERVE = "assay serve --port 8000\n"

every_page = pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])


@every_page
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """In its order, in an empty folder; a service that it starts stays until its end."""
    printed = ""
    with ExitStack() as services:
        port = ""
        for block in blocks(page):
            text = block.text.replace("8000", port) if port else block.text
            if text == SERVE:
                port = services.enter_context(served()).url.rpartition(":")[2]
            elif block.language == "sh":
                printed = run(
                    ["bash", "-euo", "pipefail", "-c", PROGRAMS + shortened(text)], tmp_path
                )
            elif block.language == "python" and not block.title:
                printed = run([sys.executable, "-c", text], tmp_path)
            elif block.language == "text":
                assert shows(text, printed), f"{page.name} shows:\n{text}\nprinted:\n{printed}"


def run(command: list[str], folder: Path) -> str:
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def shortened(text: str) -> str:
    """The demo in seconds: that it runs, not what comes of it."""
    few_steps = shlex.join(options("sft.steps=2", "grpo.steps=1"))
    return text.replace("assay-trainer demo", f"assay-trainer demo {few_steps}")


def of_language(language: str, page: Path) -> list[str]:
    return [block.text for block in blocks(page) if block.language == language]


@every_page
def test_settings_are_accepted_and_specs_build_with_them(page: Path) -> None:
    settings = Settings.model_validate(
        {"judge_store": "", **tomllib.loads("\n".join(of_language("toml", page)))}
    )
    registry = create_registry(settings, run_here, Hosted.of(settings))
    for value in map(json.loads, of_language("json", page)):
        if "type" in value:
            registry.build(value)


def test_installation_is_that_of_the_makefile() -> None:
    [install] = of_language("console", DOCS / "tutorial.md")
    recipe = (ROOT / "Makefile").read_text().partition("/.demo: ")[2].partition("\n\n")[0]
    wanted = r"--editable (\S+)"
    assert re.findall(wanted, install) == re.findall(wanted, recipe)
