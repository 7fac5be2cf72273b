"""Programs written to cheat or to do harm, over HTTP. None is accepted; the service stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import eventually, served
from tests.processes import children
from tests.verifiers.code_execution.programs import (
    ASSERTS,
    CASES,
    CHECK,
    STDIO,
    Listed,
    parametrized,
    sample,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only"),
]

SCORER = {"type": "code", "time_limit_s": 0.5, "memory_mb": 128, "output_kb": 1024}

AFTER_A_DEED = """
try:
    deed()
    worked = True
except BaseException:
    worked = False
"""
PRINTING = "print(sum(x * x for x in map(int, open(0).read().split()[1:])) if worked else 'held')"
RETURNING = "\ndef f(xs):\n    return sum(x * x for x in xs) if worked else 'held'"

SPECIAL = {"deep-nesting": ("DEEP", "(" * 100_000), "null-byte": ("NUL", "print(1)\0")}
"""Sources that no file should hold."""


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    """A service that has as many processes, files and descriptors at the end as before."""
    with (
        served(ASSAY_SANDBOX_WORKERS="1", ASSAY_LOG_LEVEL="error") as process,
        httpx.Client(base_url=process.url, timeout=60) as client,
    ):
        assert client.get("/readyz").status_code == 200, "nothing is tried unless the layers hold"
        pid = process.process.pid
        assert eventually(lambda: len(descendants(pid)) == LASTING)
        before = traces(pid)
        yield client
        assert eventually(lambda: traces(pid) == before), (before, traces(pid))


LASTING = 2
"""Processes of an idle service: a worker of lane cpu, and a zygote."""


def traces(pid: int) -> dict[str, Any]:
    """What programs might leave behind, in the service and on this machine."""
    return {
        "processes": descendants(pid),
        "descriptors": [open_files(p) for p in descendants(pid)],
        "files": sorted(p.name for p in Path("/tmp").glob("assay-[!s]*")),
        "here": sorted(p.name for p in Path("/").glob("assay*")),
        "shared memory": sorted(os.listdir("/dev/shm")),
        "segments": Path("/proc/sysvipc/shm").read_text().count("\n"),
        "queues": Path("/proc/sysvipc/msg").read_text().count("\n"),
    }


def descendants(pid: int) -> list[int]:
    try:
        below = children(pid)
    except OSError:  # it has just ended
        return []
    return sorted([*below, *(d for child in below for d in descendants(child))])


def open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def score(client: httpx.Client, source: str, reference: dict[str, Any]) -> dict[str, Any]:
    body = {"scorer": SCORER, "samples": [sample(source, reference)]}
    reply = client.post("/v1/score", json=body)
    assert reply.status_code == 200
    (result,) = reply.json()["scores"]
    return dict(result)


def assert_not_accepted(result: dict[str, Any]) -> None:
    assert result["error"] is None, "a program must not talk its way into an error of ours"
    assert result["reward"] == 0.0
    assert result["outcome"] != "correct"


@parametrized("deeds")
@pytest.mark.parametrize("form", ["program", "function"])
def test_no_deed_can_be_done(service: httpx.Client, program: Listed, form: str) -> None:
    ending, reference = (PRINTING, STDIO) if form == "program" else (RETURNING, CASES)
    assert_not_accepted(score(service, program.source + AFTER_A_DEED + ending, reference))


@parametrized("forged_functions")
@pytest.mark.parametrize("reference", [CASES, ASSERTS, CHECK], ids=["cases", "asserts", "check"])
def test_no_forged_function_is_accepted(
    service: httpx.Client, program: Listed, reference: dict[str, Any]
) -> None:
    assert_not_accepted(score(service, program.source, reference))


@parametrized("forged_outputs")
def test_no_forged_output_is_accepted(service: httpx.Client, program: Listed) -> None:
    assert_not_accepted(score(service, program.source, STDIO))


@parametrized("harms")
def test_harm_has_its_outcome(service: httpx.Client, program: Listed) -> None:
    source = program.source
    if program.name in SPECIAL:
        source = source.replace(*SPECIAL[program.name])
    result = score(service, source, STDIO)
    assert_not_accepted(result)
    assert result["outcome"] == program.outcome


def test_the_service_scores_as_before(service: httpx.Client) -> None:
    source = "print(sum(x * x for x in map(int, open(0).read().split()[1:])))"
    assert score(service, source, STDIO)["reward"] == 1.0
    assert service.get("/readyz").status_code == 200
