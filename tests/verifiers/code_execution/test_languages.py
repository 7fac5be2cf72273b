"""Programs in other languages: compiled once, run in the same layers, listed where missing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import in_process
from tests.verifiers.code_execution.programs import STDIO, Listed, parametrized
from verifiers.sandbox.artefacts import MAX_FOLDERS, Artefacts
from verifiers.sandbox.languages import LANGUAGES, Language, base
from verifiers.sandbox.pool import Execution, Program, Sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only"),
]

LIMITS = {"time_limit_s": 0.5, "memory_mb": 96, "output_kb": 1024}


@pytest.fixture(scope="module")
def service() -> Iterator[TestClient]:
    with in_process(sandbox_workers=1) as client:
        yield client


def skip_if_missing(language: Language) -> None:
    if (missing := language.missing()) is not None:
        pytest.skip(missing)


@parametrized("other_languages")
def test_a_program_has_its_outcome(service: TestClient, program: Listed) -> None:
    skip_if_missing(LANGUAGES[program.language])
    fenced = f"````{program.language}\n{program.source}\n````"
    body = {
        "scorer": {"type": "code", "language": program.language, **LIMITS},
        "samples": [{"completion": fenced, "reference": STDIO}],
    }
    (result,) = service.post("/v1/score", json=body).json()["scores"]
    assert (result["error"], result["outcome"]) == (None, program.outcome), result
    assert result["reward"] == float(program.outcome == "correct")


async def run_self_test(language: Language) -> Execution:
    sandbox = Sandbox()
    program = Program(language.self_test.encode(), inputs=[b"one line\nmore\n"], language=language)
    try:
        async with sandbox.session(program) as session:
            return await session.run([0])
    finally:
        await sandbox.stop()


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_language_passes_its_self_test(language: Language) -> None:
    skip_if_missing(language)
    execution = asyncio.run(run_self_test(language))
    assert execution.verdict == "ok"
    assert execution.outputs == [b"one line\none line\n"]


def test_a_program_is_compiled_once(tmp_path: Path) -> None:
    """The folder of artefacts answers the second time, and forgets the oldest at last."""
    artefacts, compiled = Artefacts(), []
    artefacts.folder = str(tmp_path / "artefacts")
    commands = {"file_name": "main.cpp", "compile": ["g++"]}

    def compile_in(folder: str) -> None:
        compiled.append(folder)

    folders = {artefacts.of(commands, b"a", None, compile_in)[0] for _ in range(3)}
    assert (len(folders), len(compiled)) == (1, 1)
    for number in range(2 * MAX_FOLDERS):
        artefacts.of(commands, b"%d" % number, None, compile_in)
    assert len(os.listdir(artefacts.folder)) == MAX_FOLDERS
    artefacts.remove()
    assert not os.path.exists(artefacts.folder)


def test_a_missing_toolchain_is_listed_and_is_no_verdict(
    service: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PATH", "/nowhere")
    listed = service.get("/v1/scorers/code").json()["unavailable"]
    assert listed["language=cpp"] == "g++ is not installed"
    assert "language=python" not in listed
    body = {
        "scorer": {"type": "code", "language": "cpp"},
        "samples": [{"completion": "int main() {}", "reference": STDIO}],
    }
    (result,) = service.post("/v1/score", json=body).json()["scores"]
    assert result["reward"] is None
    assert result["error"]["code"] == "sandbox_unavailable"
    assert result["error"]["retryable"] is False


def test_calls_are_for_python(service: TestClient) -> None:
    reference = {"entry_point": "f", "cases": [{"args": [1], "expected": 1}]}
    body = {
        "scorer": {"type": "code", "language": "bash"},
        "samples": [{"completion": "echo 1", "reference": reference}],
    }
    (result,) = service.post("/v1/score", json=body).json()["scores"]
    assert result["error"]["code"] == "invalid_reference"
