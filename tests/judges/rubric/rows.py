"""The rows of `tests/cases/rubric`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[2] / "cases" / "rubric"


def rows(name: str) -> list[Any]:
    """Each line of a file, as a parameter of a test."""
    lines = (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [pytest.param(row, id=row["id"]) for row in map(json.loads, lines)]
