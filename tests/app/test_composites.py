"""A composite's parts run on their own lanes, and share its deadline and its fate."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import CATASTROPHIC, FINE, HANGS, in_process, score

EDIT = {"type": "string_reversal", "partial": "edit"}


def composite(gate: Any = None, **components: Any) -> dict[str, Any]:
    parts = {name: {"scorer": spec, "weight": 1.0} for name, spec in components.items()}
    return {"type": "weighted", "components": parts, "gates": gate or {}}


@pytest.mark.slow
def test_a_part_that_hangs_is_killed_and_earns_nothing() -> None:
    spec = composite(pattern=CATASTROPHIC, plain={"type": "format", "reasoning": "forbidden"})
    with in_process(cpu_limit_s=0.3) as client:
        reply = score(client, {"completion": HANGS}, {"completion": FINE}, scorer=spec)
    first, second = reply.json()["scores"]
    assert (first["reward"], first["outcome"]) == (1.0, "partial")
    assert first["details"]["outcomes"] == {"pattern": "time_limit", "plain": "correct"}
    assert second["components"] == {"pattern": 1.0, "plain": 1.0}
    assert second["reward"] == 2.0


@pytest.mark.slow
def test_a_closed_gate_says_that_it_timed_out() -> None:
    spec = composite({"fits": {"scorer": CATASTROPHIC}}, short="repetition")
    with in_process(cpu_limit_s=0.3) as client:
        [result] = score(client, {"completion": HANGS}, scorer=spec).json()["scores"]
    assert (result["reward"], result["outcome"]) == (0.0, "time_limit")


@pytest.mark.slow
def test_a_deadline_over_a_part_leaves_the_whole_unscored() -> None:
    with in_process(cpu_limit_s=60) as client:
        spec = composite(pattern=CATASTROPHIC, short="repetition")
        reply = score(client, {"completion": HANGS}, scorer=spec, deadline_s=0.3)
        assert reply.json()["scores"][0]["error"]["code"] == "deadline_exceeded"
        again = score(client, {"completion": FINE}, scorer=spec, deadline_s=30)
        assert again.json()["scores"][0]["reward"] == 1.0


@pytest.mark.slow
def test_a_deadline_over_one_sample_takes_no_score_from_the_others() -> None:
    spec = composite(pattern=CATASTROPHIC, short="repetition")
    with in_process(cpu_limit_s=60, cpu_workers=2) as client:
        samples = [{"completion": text} for text in (FINE, HANGS, FINE)]
        first, second, third = score(client, *samples, scorer=spec, deadline_s=3).json()["scores"]
    assert (first["reward"], third["reward"]) == (1.0, 1.0)
    assert second["error"]["code"] == "deadline_exceeded"


def test_the_time_of_a_composite_is_that_of_its_parts(client: TestClient) -> None:
    text = "a long text of many words " * 200
    spec = composite(a=EDIT, b="repetition")
    [whole] = score(client, {"completion": text, "reference": text}, scorer=spec).json()["scores"]
    assert whole["elapsed_ms"] > 0


def test_composites_ask_for_the_places_of_all_their_parts(client: TestClient) -> None:
    nested = composite(a=composite(b="repetition", c="repetition"), d=CATASTROPHIC)
    reply = score(client, *[{"completion": FINE}] * 20, scorer=nested)
    assert [result["reward"] for result in reply.json()["scores"]] == [1.0] * 20
    lanes = client.get("/readyz").json()["lanes"]
    assert [lane["pending"] for lane in lanes.values()] == [0] * len(lanes)


def test_a_fault_deep_inside_is_named_by_its_path(client: TestClient) -> None:
    spec = composite(a=composite(b={"type": "regex", "pattern": "(?=a)"}))
    reply = score(client, {"completion": "a"}, scorer=spec)
    assert reply.status_code == 422
    [fault] = reply.json()["errors"]
    assert fault["field"] == "scorer.components.a.scorer.components.b.scorer.pattern"
    assert "look-around" in fault["message"]


def test_an_unknown_scorer_deep_inside_is_a_404_that_lists_the_known(client: TestClient) -> None:
    reply = score(client, {"completion": "a"}, scorer=composite(a=composite(b="nope")))
    assert reply.status_code == 404
    assert "scorer.components.a.scorer.components.b.scorer: no scorer" in reply.json()["detail"]
    assert "string_reversal" in reply.json()["detail"]
