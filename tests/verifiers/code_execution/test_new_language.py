"""A language is a file and a line: shown with Perl, in a copy of the packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from verifiers.sandbox.languages.base import PATH
from verifiers.sandbox.pool import ROOT
from verifiers.sandbox.probe import MANDATORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

FILE = '''
"""Perl."""

from verifiers.sandbox.languages.base import Language

LANGUAGE = Language(
    name="perl",
    file_name="main.pl",
    compile=(),
    run=("perl", "main.pl"),
    self_test="my $line = <STDIN>;\\nprint $line, $line;\\n",
)
'''
LINE = '        "perl",\n'

ASKS = """
import json
from fastapi.testclient import TestClient
from app.main import create_app
from app.settings import Settings
from verifiers.sandbox.languages import base

SUM = "<STDIN>; my $sum = 0; $sum += $_ ** 2 for split ' ', <STDIN>; print $sum"
TESTS = [{"stdin": "2\\n3 4\\n", "stdout": "25"}]
SECRET = "open(my $file, '<', '/etc/passwd') or die; print 25"
scored = {
    "scorer": {"type": "code", "language": "perl"},
    "samples": [{"completion": text, "reference": {"tests": TESTS}} for text in (SUM, SECRET)],
}
settings = Settings(cpu_workers=1, sandbox_workers=1, protocols={"run_code": True})
with TestClient(create_app(settings)) as client:
    scores = client.post("/v1/score", json=scored).json()["scores"]
    ran = client.post("/run_code", json={"code": "print 6 * 7", "language": "perl"}).json()
    told = client.get("/v1/scorers/code").json()
    base.PATH = "/nowhere"
    missing = client.get("/v1/scorers/code").json()["unavailable"]
print(json.dumps({"scores": scores, "ran": ran, "told": told, "missing": missing}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a service says in whose packages the file and the line have been written."""
    if shutil.which("perl", path=PATH) is None:
        pytest.skip("perl is not installed")
    copy = tmp_path_factory.mktemp("copy")
    for package in ("app", "judges", "verifiers"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    languages = copy / "verifiers" / "sandbox" / "languages"
    (languages / "perl.py").write_text(FILE)
    registry = languages / "__init__.py"
    last = '        "bash",\n'
    registry.write_text(registry.read_text().replace(last, last + LINE))
    reply = subprocess.run(
        [sys.executable, "-c", ASKS],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    assert reply.returncode == 0, reply.stderr
    found: dict[str, Any] = json.loads(reply.stdout)
    return found


def test_its_programs_are_scored_inside_all_layers(answers: dict[str, Any]) -> None:
    right, spying = answers["scores"]
    if right["error"] and right["error"]["code"] == "sandbox_unavailable":
        pytest.skip(right["error"]["message"])
    assert (right["reward"], right["outcome"]) == (1.0, "correct")
    assert set(MANDATORY) <= set(right["details"]["isolation"])
    assert (spying["reward"], spying["outcome"]) == (0.0, "runtime_error")


def test_the_schema_lists_it(answers: dict[str, Any]) -> None:
    parameters = answers["told"]["parameters_schema"]["properties"]
    assert parameters["language"]["enum"][-1] == "perl"


def test_sandbox_fusions_clients_can_ask_for_it(answers: dict[str, Any]) -> None:
    if answers["ran"]["status"] == "SandboxError":
        pytest.skip(answers["ran"]["message"])
    assert answers["ran"]["run_result"]["stdout"] == "42"


def test_it_is_listed_as_unavailable_where_its_interpreter_is_missing(
    answers: dict[str, Any],
) -> None:
    assert "language=perl" not in answers["told"]["unavailable"]
    assert answers["missing"]["language=perl"] == "perl is not installed"


def test_no_file_but_its_own_and_the_registry_names_a_language() -> None:
    """Bash and Python are also programs that others speak of; these names are languages only."""
    names = ('"cpp"', '"javascript"', '"nodejs"')
    own = ROOT / "verifiers" / "sandbox" / "languages"
    for package in ("app", "judges", "verifiers"):
        for path in (ROOT / package).rglob("*.py"):
            if path.parent != own:
                text = path.read_text()
                assert not any(name in text for name in names), path
