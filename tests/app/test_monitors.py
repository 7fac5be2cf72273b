"""Trainers report steps and hear of over-optimisation."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.routes import monitors
from tests.app.conftest import in_process


def report(client: TestClient, step: int, gold: float, run: str = "r", **more: Any) -> Any:
    spread = [gold - 0.01, gold, gold + 0.01]
    body = {"step": step, "kl": step / 2, "proxy": [float(step)], "gold": spread} | more
    return client.post(f"/v1/monitors/{run}", json=body)


def test_a_trainer_hears_when_to_stop(client: TestClient) -> None:
    for step, gold in enumerate([0.0, 0.3, 0.5, 0.6, 0.5]):
        assert report(client, step, gold, length=10 + step).json()["verdict"]["alarm"] is False
    watch = report(client, 5, 0.4, length=30, flagged=0.2).json()
    assert watch["observations"] == 6
    assert watch["verdict"]["alarm"] is True
    assert 1 < watch["verdict"]["turnover_kl"] < 2
    assert watch["verdict"]["length_change"] == pytest.approx(30 / 13)
    assert watch["verdict"]["flagged"] == 0.2
    assert watch in client.get("/v1/monitors").json()["runs"]


def test_runs_are_apart_and_the_silent_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitors, "MAX_RUNS", 2)
    with in_process() as client:
        for run in ("a", "b", "a", "c"):
            report(client, 0, 0.0, run)
        watched = client.get("/v1/monitors").json()["runs"]
        assert [each["run"] for each in watched] == ["a", "c"]


@pytest.mark.parametrize(
    "bad", [{"gold": [1.0]}, {"proxy": []}, {"step": -1}, {"flagged": 2}, {"kl": 1e300}]
)
def test_reports_that_say_nothing_are_refused(client: TestClient, bad: dict[str, Any]) -> None:
    body = {"step": 0, "kl": 0.0, "proxy": [0.0], "gold": [0.0, 1.0]} | bad
    reply = client.post("/v1/monitors/bad", json=body)
    assert reply.status_code == 422
    [field] = bad
    assert reply.json()["errors"][0]["field"].startswith(field)
