"""The service in its own virtual environment, and the examples in this one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples" / "trainers"
CONTRACTS = Path(__file__).parent / "contracts"
SERVER_PYTHON = os.environ.get("ASSAY_SERVER_PYTHON", str(ROOT / ".venv" / "bin" / "python"))

READY = "Assay is ready at "


FOREIGN = {
    "run_code": True,
    "test_program": True,
    "default_preset": "string_reversal",
}
PRESETS = {"says_cba": {"type": "regex", "pattern": "cba", "match": "search"}}


@contextmanager
def served(**settings: str) -> Iterator[str]:
    """The address of a live service with these settings."""
    environment = {**os.environ, "ASSAY_CPU_WORKERS": "1", "PYTHONPATH": str(ROOT), **settings}
    command = [SERVER_PYTHON, "-m", "app.cli", "serve", "--port", "0", "--log-level", "error"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(READY), "the service did not start: is `make test` set up?"
            yield line.removeprefix(READY).strip()
        finally:
            process.kill()


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The address of a live service."""
    with served(ASSAY_SANDBOX_WORKERS="0") as url:
        yield url


@pytest.fixture(scope="session")
def foreign() -> Iterator[str]:
    """The address of a live service with all foreign routes on."""
    with served(
        ASSAY_SANDBOX_WORKERS=str(int(sys.platform == "linux")),
        ASSAY_PROTOCOLS=json.dumps(FOREIGN),
        ASSAY_PRESETS=json.dumps(PRESETS),
    ) as url:
        yield url


@pytest.fixture
def run_example(service: str) -> Callable[[str], list[str]]:
    """Runs an example as a user would, and returns the lines it prints."""

    def run(name: str) -> list[str]:
        environment = {**os.environ, "ASSAY_URL": service, "PYTHONPATH": str(CONTRACTS)}
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / f"{name}.py")],
            env=environment,
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def load_example(service: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """An example as a module, pointed at the service."""

    def load(name: str) -> ModuleType:
        monkeypatch.setenv("ASSAY_URL", service)
        return module_from(EXAMPLES / f"{name}.py")

    return load


def module_from(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def service_advantages() -> ModuleType:
    """The service's own module of advantages, which depends on nothing else of the service."""
    return module_from(ROOT / "app" / "grouping" / "advantages.py")


@pytest.fixture(scope="session")
def slime() -> ModuleType:
    """slime's client, as far as `contracts/` has it."""
    return module_from(CONTRACTS / "slime_rm.py")
