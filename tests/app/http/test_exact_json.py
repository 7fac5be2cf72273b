"""Integers of a request keep all their digits, wherever they go."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.http import exact_json

LARGE = 10**30 + 7
NEARBY = 10**30
"""The same number to a float."""


@given(st.integers(min_value=-(10**4_000), max_value=10**4_000))
def test_an_integer_is_read_as_it_is_written(number: int) -> None:
    assert exact_json.loads(json.dumps({"a": [number]}).encode()) == {"a": [number]}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", '"\\ud800"', "1.", "[1,]"])
def test_no_digits_make_reading_lenient(text: str) -> None:
    with pytest.raises(exact_json.NotStrictJson):
        exact_json.loads(f"[{LARGE}, {text}]".encode())


def schema(number: int) -> dict[str, Any]:
    return {"type": "json_schema", "schema": {"const": number}}


@pytest.mark.parametrize(("completion", "reward"), [(LARGE, 1.0), (NEARBY, 0.0)])
def test_a_parameter_is_exact(client: TestClient, completion: int, reward: float) -> None:
    body = {"scorer": schema(LARGE), "samples": [{"completion": str(completion)}]}
    (score,) = client.post("/v1/score", json=body).json()["scores"]
    assert score["reward"] == reward


def test_a_group_may_have_a_large_reference(client: TestClient) -> None:
    group = {"id": "a", "reference": LARGE, "completions": [str(LARGE), str(NEARBY)]}
    body = {"scorer": schema(LARGE), "groups": [group]}
    (result,) = client.post("/v1/groups", json=body).json()["groups"]
    assert [score["reward"] for score in result["scores"]] == [1.0, 0.0]
