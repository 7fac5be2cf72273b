"""Reads the collections of programs in `tests/cases/code/*.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "cases" / "code"

BLOCK = re.compile(
    r"^## (?P<name>\S+?)(?:: (?P<outcome>\w+))?\n(?P<rest>.*?)(?=^## |\Z)", re.M | re.S
)
SOURCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)

TESTS = [("3\n1 2 3\n", "14\n"), ("1\n-4\n", "16\n"), ("2\n0 10\n", "100\n")]
CALLS = [([1, 2, 3], 14), ([-4], 16), ([0, 10], 100)]

STDIO = {"tests": [{"stdin": given, "stdout": wanted} for given, wanted in TESTS]}
CASES = {
    "entry_point": "f",
    "cases": [{"args": [given], "expected": wanted} for given, wanted in CALLS],
}
ASSERTS = {"test_code": "\n".join(f"assert f({given}) == {wanted}" for given, wanted in CALLS)}
CHECK = {
    "entry_point": "f",
    "test_code": "def check(candidate):\n"
    "    assert all(map(lambda case: candidate(case[0]) == case[1], %r))\n" % CALLS,
}


@dataclass(frozen=True)
class Listed:
    """One program of a collection."""

    name: str
    source: str
    outcome: str | None
    language: str


def listed(collection: str) -> list[Listed]:
    programs = []
    for block in BLOCK.finditer((FOLDER / f"{collection}.md").read_text()):
        ((language, source),) = SOURCE.findall(block["rest"])
        programs.append(Listed(block["name"], source, block["outcome"], language))
    return programs


def parametrized(*collections: str) -> pytest.MarkDecorator:
    """A test for each program of these collections."""
    programs = [program for collection in collections for program in listed(collection)]
    return pytest.mark.parametrize("program", programs, ids=[p.name for p in programs])


def sample(source: str, reference: dict[str, Any]) -> dict[str, Any]:
    return {"completion": f"````python\n{source}\n````", "reference": reference}
