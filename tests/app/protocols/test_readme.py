"""The table of other systems' routes names what there is, and all of it; its example works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.protocols.registry import PROTOCOLS
from app.settings import Protocols, Settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "app" / "protocols" / "README.md").read_text()
ROWS = [line.split(" | ") for line in README.splitlines() if line.startswith("| ")][2:]


def test_the_table_has_every_protocol_and_no_other() -> None:
    declared = [(each.system, f"`{each.name}`" + " (off)" * (not each.on)) for each in PROTOCOLS]
    assert sorted((row[0].removeprefix("| "), row[1]) for row in ROWS) == sorted(declared)


def test_the_routes_of_the_table_exist() -> None:
    all_on: dict[str, Any] = {each.name: True for each in PROTOCOLS}
    protocols = Protocols(**all_on, default_preset="format")
    paths = set(create_app(Settings(protocols=protocols)).openapi()["paths"])
    named = [path for row in ROWS for path in re.findall(r"`(/[^`?]+)`", row[2])]
    assert len(named) > 20
    for path in named:
        known = path.replace("PRESET", "{preset}")
        assert any(known in each for each in paths), path


EXAMPLE = README.partition("## Add a protocol")[2].partition("```python\n")[2].partition("```")[0]

ASKED = """
import json, sys
from fastapi.testclient import TestClient
from app.main import create_app
from app.settings import load_settings

with TestClient(create_app(load_settings(cpu_workers=1, sandbox_workers=0))) as client:
    replies = [
        client.post(
            "/compat/verdicts/string_reversal/judge",
            json={"question": "Reverse: abc", "answer": answer, "solution": solution},
        )
        for answer, solution in [("cba", "abc"), ("abc", "abc"), ("cba", 3)]
    ]
print(json.dumps([[reply.status_code, reply.json()] for reply in replies]))
"""


def run(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, **more
    )


@pytest.fixture(scope="module")
def with_the_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the service with one more file, and one more line."""
    folder = tmp_path_factory.mktemp("service")
    for package in ("app", "judges", "verifiers"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    protocols = folder / "app" / "protocols"
    (protocols / "verdicts.py").write_text(EXAMPLE)
    lines = (protocols / "registry.py").read_text()
    (protocols / "registry.py").write_text(
        lines.replace("MODULES = (\n", 'MODULES = (\n    "verdicts",\n')
    )
    return folder


def answers(folder: Path, protocols: str) -> list[Any]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "ASSAY_PROTOCOLS": protocols}
    asked = run(folder, "-c", ASKED, env=environment)
    assert asked.returncode == 0, asked.stderr
    found: list[Any] = json.loads(asked.stdout)
    return found


@pytest.mark.slow
def test_a_protocol_is_a_file_and_a_line(with_the_example: Path) -> None:
    right, wrong, malformed = answers(with_the_example, "{}")
    assert right == [200, {"right": True}]
    assert wrong == [200, {"right": False}]
    assert malformed[0] == 422
    assert malformed[1]["detail"].startswith("solution: ")


@pytest.mark.slow
def test_and_has_its_switch(with_the_example: Path) -> None:
    for status, _ in answers(with_the_example, '{"verdicts": false}'):
        assert status == 404


def test_the_example_passes_the_linter() -> None:
    for check in (["check"], ["format", "--check"]):
        named = ["--stdin-filename", "app/protocols/verdicts.py", "-"]
        linted = run(ROOT, "-m", "ruff", *check, *named, input=EXAMPLE)
        assert linted.returncode == 0, linted.stdout
