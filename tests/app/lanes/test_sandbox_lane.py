"""The lane that runs programs: closed where the sandbox does not hold, open where it does."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.app.conftest import in_process, score
from verifiers.sandbox import pool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only"),
]

FINE = {"completion": "print(42)", "reference": {"tests": [{"stdout": "42"}]}}
REVERSAL = {"completion": "cba", "reference": "abc", "scorer": "string_reversal"}


@pytest.fixture
def _without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Landlock is there and does nothing, which only the canaries see."""
    idle = "from verifiers.sandbox import landlock; landlock.restrict_self = lambda _: None\n"
    monkeypatch.setattr(pool, "START", pool.START.replace("zygote.main", f"{idle}zygote.main"))


def test_a_program_is_scored_over_http() -> None:
    with in_process(sandbox_workers=1) as client:
        assert client.get("/readyz").json()["lanes"]["sandbox"]["ready"] is True
        (result,) = score(client, FINE, scorer="code").json()["scores"]
    assert result["reward"] == 1.0
    assert result["details"]["verdicts"] == ["accepted"]
    assert "seccomp" in result["details"]["isolation"]
    assert "degraded" not in result["details"]


@pytest.mark.usefixtures("_without_effect")
def test_where_the_sandbox_does_not_hold_nothing_is_run() -> None:
    with in_process(sandbox_workers=1) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "a program can read a file" in ready.json()["lanes"]["sandbox"]["reason"]
        program, text = score(client, FINE, REVERSAL, scorer="code").json()["scores"]
    assert program["reward"] is None
    assert program["error"]["code"] == "sandbox_unavailable"
    assert program["error"]["retryable"] is True
    assert text["reward"] == 1.0


@pytest.mark.usefixtures("_without_effect")
def test_a_degraded_sandbox_runs_where_it_is_allowed_and_every_score_says_so() -> None:
    with in_process(sandbox_workers=1, allow_degraded_sandbox=True) as client:
        assert client.get("/readyz").status_code == 200
        (result,) = score(client, FINE, scorer="code").json()["scores"]
    assert result["reward"] == 1.0
    assert "a program can read a file of the system" in result["details"]["degraded"]


def test_without_workers_the_lane_is_off_and_no_fault() -> None:
    with in_process(sandbox_workers=0) as client:
        assert client.get("/readyz").status_code == 200
        (result,) = score(client, FINE, scorer="code").json()["scores"]
    assert result["error"]["code"] == "sandbox_unavailable"


def test_a_deadline_ends_a_running_program() -> None:
    sleeper = {**FINE, "completion": "import time; time.sleep(60)"}
    with in_process(sandbox_workers=1) as client:
        reply = score(client, sleeper, scorer="code", deadline_s=0.5)
        assert reply.json()["scores"][0]["error"]["code"] == "deadline_exceeded"
        (result,) = score(client, FINE, scorer="code", deadline_s=30).json()["scores"]
        assert result["reward"] == 1.0


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"language": "brainfuck"}, "language"),
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"memory_mb": 1}, "memory_mb"),
        ({"reward": "most"}, "reward"),
        ({"float_tolerance": -1}, "float_tolerance"),
        ({"time_limit": 3}, "time_limit"),
    ],
)
def test_unusable_parameters_are_named(parameters: dict[str, Any], field: str) -> None:
    with in_process() as client:
        reply = score(client, FINE, scorer={"type": "code", **parameters})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == f"scorer.{field}"


def test_a_program_of_two_hundred_kilobytes_is_scored() -> None:
    program = "x = 1\n" * 33_000 + "print(42)"
    with in_process(sandbox_workers=1) as client:
        (result,) = score(client, {**FINE, "completion": program}, scorer="code").json()["scores"]
    assert result["reward"] == 1.0
