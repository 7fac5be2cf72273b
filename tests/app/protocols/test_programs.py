"""Routes that run programs: off unless switched on, and then in the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import in_process
from tests.app.protocols.rows import check, rows

ON = {"run_code": True, "test_program": True}
RUN = {"code": "print(1)", "language": "python"}
TEST = {"program": "def f(): return 1", "tests": ["assert f() == 1"]}
ROUTES = [("/run_code", RUN), ("/test_program", TEST), ("/test_program_stdio", TEST)]

runs_programs = pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")


@pytest.fixture(scope="module")
def runner() -> Iterator[TestClient]:
    with in_process(sandbox_workers=1, protocols=ON) as client:
        yield client


@runs_programs
@pytest.mark.parametrize("row", rows("programs"))
def test_row(runner: TestClient, row: dict[str, Any]) -> None:
    check(runner, row)


def test_they_are_off_by_default(client: TestClient) -> None:
    for path, body in ROUTES:
        assert client.post(path, json=body).status_code == 404


def test_a_sandbox_that_is_off_is_no_failed_test() -> None:
    with in_process(sandbox_workers=0, protocols=ON) as client:
        reply = client.post("/run_code", json=RUN)
        assert reply.status_code == 200
        assert reply.json()["status"] == "SandboxError"
        reply = client.post("/test_program", json=TEST)
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"


def test_overload_is_a_504_for_that_is_what_verl_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with in_process(protocols=ON) as client:
        monkeypatch.setattr(client.app.state.scheduler, "draining", True)  # type: ignore[attr-defined]
        reply = client.post("/run_code", json=RUN)
    assert reply.status_code == 504
    assert reply.headers["x-should-retry"] == "true"
    assert reply.headers["retry-after"] == "1"


@runs_programs
def test_a_wait_in_the_queue_that_is_too_long_is_a_504(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.protocols.run_code.SLACK_S", -2.0)
    with in_process(sandbox_workers=1, protocols=ON) as client:
        body = {**RUN, "compile_timeout": 1.0, "run_timeout": 1.0 + 1e-9}
        reply = client.post("/run_code", json=body)
    assert reply.status_code == 504
    assert reply.json()["code"] == "deadline_exceeded"


@runs_programs
def test_a_program_over_the_limit_is_refused() -> None:
    with in_process(sandbox_workers=1, protocols=ON, max_completion_bytes=10) as client:
        reply = client.post("/run_code", json={**RUN, "code": "#" * 11})
    assert reply.status_code == 413


def test_health_is_as_open_instruct_asks_for_it(runner: TestClient) -> None:
    assert runner.get("/health").json() == {"status": "healthy"}
