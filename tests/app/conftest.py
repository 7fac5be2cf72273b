"""The service, in process for most tests and as a process of its own for some."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings

LINUX = sys.platform == "linux"
"""Elsewhere no programs are run."""

DOUBLES_WORK: dict[str, Any] = {
    "$ref": "#/$defs/list",
    "$defs": {
        "list": {
            "type": "array",
            "items": {"allOf": [{"$ref": "#/$defs/list"}, {"$ref": "#/$defs/list"}]},
        }
    },
}
CATASTROPHIC = {"type": "json_schema", "schema": DOUBLES_WORK}
"""Looks at each level of a nested list twice: thirty levels take days."""

HANGS = "[" * 30 + "]" * 30
FINE = "[[]]"

READY = "Assay is ready at "


@contextlib.contextmanager
def in_process(**settings: Any) -> Iterator[TestClient]:
    app = create_app(Settings(**{"cpu_workers": 1, "sandbox_workers": 0, **settings}))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@dataclass
class Served:
    """A service in a process of its own."""

    url: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def served(*arguments: str, **environment: str) -> Iterator[Served]:
    """`assay serve` on a free port, ready, and always stopped."""
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would fill up
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "ASSAY_CPU_WORKERS": "1",
                "ASSAY_SANDBOX_WORKERS": "0",
                **environment,
            },
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(READY), [log.seek(0), log.read()]
            yield Served(line.removeprefix(READY).strip(), process)
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with in_process(sandbox_workers=1 if LINUX else 0) as client:
        yield client


def reversal(completion: str, source: str = "abc", **fields: Any) -> dict[str, Any]:
    """A sample of string reversal."""
    return {"completion": completion, "reference": source, **fields}


def score(client: TestClient | httpx.Client, *samples: dict[str, Any], **request: Any) -> Any:
    """Posts samples, string reversals unless told otherwise, and returns the response."""
    body = {"scorer": "string_reversal", "samples": list(samples), **request}
    return client.post("/v1/score", json=body)


def eventually(condition: Any, within_s: float = 20.0) -> bool:
    """Waits for something that another process or thread brings about."""
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True
