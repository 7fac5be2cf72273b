"""Rows of requests and what must come back, one JSON object a line, a file a protocol.

`path` and `body` are the request; `status` (200) and `reply` are expected. A reply may hold
more than the row says, but what the row says must be there, exactly; a list must have the
length of the row's. `headers` are expected, too, `retryable` where
the status misleads, and `native` where the reply is the service's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import strategies as st

LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5)
LISTS = st.lists(LEAVES | st.lists(LEAVES, max_size=3), max_size=3)
ANYTHING: st.SearchStrategy[Any] = (
    LEAVES | LISTS | st.dictionaries(st.text(max_size=5), LEAVES | LISTS, max_size=3)
)
"""JSON values, for members that expect others."""

FOLDER = Path(__file__).parent


def rows(name: str) -> list[Any]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert len({row["id"] for row in found}) == len(found), "no id twice"
    return [pytest.param(row, id=row["id"]) for row in found]


def check(client: TestClient | httpx.Client, row: dict[str, Any]) -> None:
    answer = client.post(row["path"], json=row["body"])
    assert answer.status_code == row.get("status", 200), (row["why"], answer.text)
    assert_holds(answer.json(), row["reply"], row["why"])
    for name, value in row.get("headers", {}).items():
        assert answer.headers[name] == value, row["why"]
    if answer.status_code >= 400 and not row.get("native"):
        retryable = row.get("retryable", answer.status_code >= 429)
        assert answer.headers["x-should-retry"] == str(retryable).lower()
        assert ("retry-after" in answer.headers) == retryable


def assert_holds(found: Any, expected: Any, why: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict), why
        for name, value in expected.items():
            assert name in found, (why, name, found)
            assert_holds(found[name], value, f"{why} ({name})")
    elif isinstance(expected, list):
        assert isinstance(found, list), why
        assert len(found) == len(expected), (why, found)
        for one, other in zip(found, expected, strict=True):
            assert_holds(one, other, why)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected), why
    else:
        assert found == expected, why
