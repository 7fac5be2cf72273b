"""Rubrics over HTTP and on the command line, with judges behind real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import app
from benchmarks.rubric_judges import contains, read_message, reply_of
from tests.app.conftest import in_process
from tests.app.lanes.test_llm_lane import in_a_thread
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import TOLD
from tests.judges.llm.scripted_endpoint import Act, Request, ScriptedEndpoint

pytestmark = pytest.mark.slow

CRITERIA = [
    {"id": "paris", "text": 'Contains "Paris".', "class": "essential"},
    {"id": "lyon", "text": 'Contains "Lyon".', "class": "pitfall"},
]
RUBRIC = {"type": "rubric", "rubric": {"criteria": CRITERIA}}


def honest(request: Request) -> Act:
    seen = read_message(request.question)
    return script.says(reply_of(seen.nonce, {key: contains(key, seen) for key in seen.keys}))


def refuses(request: Request) -> Act:
    return script.says("I would rather not.")


@contextmanager
def judged(act: Any, **settings: Any) -> Iterator[tuple[TestClient, ScriptedEndpoint]]:
    endpoint = ScriptedEndpoint(act)
    with in_a_thread(endpoint) as url:
        grader = {"kind": "chat", "base_url": url, "model": "m", "retry_base_s": 0.001, **TOLD}
        with in_process(judges={"grader": grader}, judge_store="", **settings) as client:
            yield client, endpoint


def scores(client: TestClient, *completions: str, spec: Any = RUBRIC) -> list[Any]:
    samples = [{"prompt": "Capital?", "completion": text} for text in completions]
    body = {"scorer": spec, "samples": samples}
    found = client.post("/v1/score", json=body).json()["scores"]
    assert isinstance(found, list)
    return found


def test_a_rubric_is_scored_over_http_and_equal_questions_are_paid_once() -> None:
    with judged(honest) as (client, endpoint):
        found = scores(client, "Paris", "Lyon", "Paris", ":")
        assert [score["reward"] for score in found] == [1.0, 0.0, 1.0, 0.0]
        assert [score["outcome"] for score in found] == ["judged", "judged", "judged", "no_answer"]
        assert found[0]["components"] == {"paris": 1.0, "lyon": 0.0}
        assert len(endpoint.received) == 2
        [again] = scores(client, "Paris")
        assert (again["reward"], again["cached"]) == (1.0, True)
        assert len(endpoint.received) == 2, "the recorded reply, with a nonce of its own"


def test_a_judge_that_gives_no_verdict_is_an_error_and_no_reward() -> None:
    with judged(refuses) as (client, endpoint):
        [score] = scores(client, "Paris")
        assert score["reward"] is None
        assert score["error"]["code"] == "judge_failed"
        assert len(endpoint.received) == 2, "one question, one repair"


def test_rubrics_of_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "capital.json").write_text(json.dumps({"criteria": CRITERIA}))
    with judged(honest, rubrics=str(tmp_path)) as (client, _):
        [score] = scores(client, "Paris", spec={"type": "rubric", "rubric": "capital"})
        assert score["reward"] == 1.0


def test_a_rubric_without_a_judge_is_a_422_that_says_so() -> None:
    with in_process() as client:
        body = {"scorer": RUBRIC, "samples": [{"completion": "Paris"}]}
        response = client.post("/v1/score", json=body)
        assert response.status_code == 422
        assert "the service has no judges" in response.text


def test_the_example_is_described_and_scores_the_maximum_without_a_judge() -> None:
    with in_process() as client:
        described = client.get("/v1/scorers/rubric").json()
        assert (described["kind"], described["reward_range"]) == ("judge", [0.0, 1.0])
        sample = described["example"]
        body = {"scorer": sample["scorer"], "samples": [sample]}
        [score] = client.post("/v1/score", json=body).json()["scores"]
        assert (score["reward"], score["outcome"]) == (1.0, "correct")


# --- assay judge calibrate --------------------------------------------------------------


def careless(request: Request) -> Act:
    """Wrong about completions that hold a 7."""
    seen = read_message(request.question)
    wrong = "7" in seen.blocks["completion"]
    return script.says(reply_of(seen.nonce, {k: contains(k, seen) != wrong for k in seen.keys}))


def coin(request: Request) -> Act:
    seen = read_message(request.question)
    number = int(seen.blocks["completion"].split()[0])
    return script.says(reply_of(seen.nonce, dict.fromkeys(seen.keys, number % 4 < 2)))


def calibrated(tmp_path: Path, **acts: Any) -> tuple[int, Any, str]:
    """The exit status, what was written, and what was said."""
    data, output = tmp_path / "labelled.jsonl", tmp_path / "panel.json"
    rows = [
        {"prompt": f"p{n}", "completion": f"{n} {word}", "labels": {"paris": word == "Paris"}}
        for n in range(60)
        for word in [("Paris", "Rome")[n % 2]]
    ]
    data.write_text("\n".join(map(json.dumps, rows)))
    with endpoints(acts) as urls:
        config = tmp_path / "assay.toml"
        config.write_text("\n".join(['judge_store = ""', *map(table, urls, urls.values())]))
        arguments = ["judge", "calibrate", str(data), "--scorer", json.dumps(RUBRIC)]
        arguments += ["--output", str(output), "--config", str(config)]
        result = CliRunner().invoke(app, arguments)
    document = json.loads(output.read_text()) if output.exists() else None
    return result.exit_code, document, result.output


@contextmanager
def endpoints(acts: dict[str, Any]) -> Iterator[dict[str, str]]:
    if not acts:
        yield {}
        return
    (name, act), *rest = acts.items()
    with in_a_thread(ScriptedEndpoint(act)) as url, endpoints(dict(rest)) as urls:
        yield {name: url, **urls}


def table(name: str, url: str) -> str:
    told = "\n".join(f"{feature} = false" for feature in TOLD)
    return f'[judges.{name}]\nkind = "chat"\nbase_url = "{url}"\nmodel = "{name}"\n{told}\n'


def test_calibrate_writes_a_spec_and_a_report(tmp_path: Path) -> None:
    status, document, _ = calibrated(tmp_path, careless=careless, coin=coin)
    assert status == 0
    assert document["spec"]["judge"] == {"careless": 1.0}
    assert document["report"]["refused"] == ["coin"]
    assert document["report"]["judges"]["careless"]["accuracy"] == pytest.approx(0.9)
    assert document["report"]["judges"]["coin"]["kappa"] == pytest.approx(0.0, abs=0.1)


def test_calibrate_says_why_judges_gave_no_answer(tmp_path: Path) -> None:
    status, document, said = calibrated(tmp_path, grader=refuses)
    assert (status, document) == (1, None)
    assert "grader on 60 lines, first for: grader gave no valid verdict" in " ".join(said.split())


def test_calibrate_without_a_judge_that_beats_chance_fails(tmp_path: Path) -> None:
    status, document, said = calibrated(tmp_path, coin=coin)
    assert (status, document) == (1, None)
    assert "chance: coin " in said


@pytest.mark.parametrize(
    ("rows", "scorer"),
    [
        ("", json.dumps(RUBRIC)),
        ("{}", json.dumps(RUBRIC)),
        ("", "format"),
        ("", '{"type": "math"}'),
    ],
)
def test_unusable_input_is_a_usage_error(tmp_path: Path, rows: str, scorer: str) -> None:
    (tmp_path / "data.jsonl").write_text(rows)
    arguments = ["judge", "calibrate", str(tmp_path / "data.jsonl"), "--scorer", scorer]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
