"""One score that JSON cannot carry costs no neighbour its reward."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.lanes.well_formed import well_formed
from tests.app.conftest import LINUX, in_process
from verifiers import registry
from verifiers.base import Parameters, Sample, Score, Verifier
from verifiers.score import ScoreError, to_json

pytestmark = pytest.mark.slow

CYCLE: list[Any] = []
CYCLE.append(CYCLE)

DEEP: list[Any] = []
for _ in range(800):
    DEEP = [DEEP]


class Text(str):
    """Such as numpy's."""


class Number(float):
    """Such as numpy's."""


ODDITIES: dict[str, dict[str, Any]] = {
    "answer": {"answer": "half a pair: \ud800"},
    "details": {"details": {"\udcff": [{"deep": ("\ud800",)}]}},
    "large integer": {"details": {"n": 1 << 200, 1: 2}},
    "another text": {"answer": Text("a")},
    "another number": {"reward": Number(1.0), "details": {"n": Number(1.0), "s": {1}}},
    "another component": {"components": {"part": Number(0.5)}},
    "a truth": {"reward": True},
    "no number": {"components": {"part": math.nan}},
    "depths": {"details": {"deep": DEEP}},
    "object": {"details": {"object": object()}},
    "cycle": {"details": {"cycle": CYCLE}},
}
UNWRITABLE = {"object", "cycle", "no number", "depths"}


class Careless(Verifier[Parameters]):
    """Rewards everything, and says something odd about it."""

    name = "careless"
    version = "1"
    example: ClassVar[dict[str, Any]] = {"completion": "answer", "scorer": "careless"}

    def score_one(self, sample: Sample) -> Score:
        return Score(**{"reward": 1.0} | ODDITIES.get(sample.text, {}))


class Enormous(Verifier[Parameters]):
    """Rewards the word `enormous` beyond what can be summed."""

    name = "enormous"
    version = "1"
    reward_range = (0.0, 1e308)
    example: ClassVar[dict[str, Any]] = {"completion": "enormous", "scorer": "enormous"}

    def score_one(self, sample: Sample) -> Score:
        return Score(reward=1e308 if sample.text == "enormous" else 1.0)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(registry, "installed", lambda: [Careless, Enormous])
    with in_process() as client:
        yield client


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_neighbours_keep_their_rewards(service: TestClient, oddity: str, accept: str) -> None:
    samples = [{"completion": text} for text in ("plain", oddity, "plain")]
    body = {"scorer": "careless", "samples": samples}
    reply = service.post("/v1/score", json=body, headers={"Accept": accept})
    assert reply.status_code == 200
    lines = [json.loads(line) for line in reply.text.splitlines()]
    scores = lines[:-1] if len(lines) > 1 else lines[0]["scores"]
    assert [score["reward"] for score in scores] == [
        1.0,
        None if oddity in UNWRITABLE else 1.0,
        1.0,
    ]
    if oddity in UNWRITABLE:
        assert scores[1]["error"]["code"] == "internal"


@pytest.mark.parametrize("texts", [["plain", "enormous"], ["enormous", "plain"], ["enormous"] * 3])
def test_a_sum_beyond_all_numbers_fails_its_own_sample_only(
    service: TestClient, texts: list[str]
) -> None:
    parts = {name: {"scorer": "enormous", "weight": 1e6} for name in ("a", "b")}
    spec = {"type": "weighted", "components": parts}
    body = {"scorer": spec, "samples": [{"completion": text} for text in texts], "deadline_s": 30}
    scores = service.post("/v1/score", json=body).json()["scores"]
    codes = [score["error"] and score["error"]["code"] for score in scores]
    assert codes == [None if text == "plain" else "internal" for text in texts]


def test_groups_are_answered_as_well(service: TestClient) -> None:
    group = {"id": "g", "completions": ["plain", *ODDITIES]}
    reply = service.post("/v1/groups", json={"scorer": "careless", "groups": [group]})
    assert reply.status_code == 200


def test_what_was_lost_is_written_out() -> None:
    score = Score(error=ScoreError("internal", "\udc80", False), details={"a": ["\ud800"]})
    mended = well_formed(score)
    assert mended.error is not None
    assert (mended.error.message, mended.details) == (r"\udc80", {"a": [r"\ud800"]})


@given(st.recursive(st.text(st.characters()) | st.integers(), st.lists))
def test_any_text_can_be_written(details: Any) -> None:
    to_json(well_formed(Score(reward=0.0, details={"x": details})))


def test_what_can_be_written_is_left_alone() -> None:
    score = Score(reward=1.0, answer="é", details={"x": [1.5, None, "\x00"]})
    assert well_formed(score) is score


@pytest.mark.skipif(not LINUX, reason="programs are run on Linux only")
@pytest.mark.parametrize(
    "body",
    [r"raise ValueError('\ud800')", r"raise NameError('\udcff')", r"return '\ud800'"],
)
def test_a_program_cannot_fail_a_request_by_what_it_says(body: str) -> None:
    reference = {"test_code": "assert f(1) == 3, f(1)"}
    programs = [f"def f(x): {body}", "def f(x): return 3"]
    samples = [{"completion": program, "reference": reference} for program in programs]
    with in_process(sandbox_workers=1) as service:
        reply = service.post("/v1/score", json={"scorer": "code", "samples": samples})
    assert reply.status_code == 200
    assert [score["reward"] for score in reply.json()["scores"]] == [0.0, 1.0]
