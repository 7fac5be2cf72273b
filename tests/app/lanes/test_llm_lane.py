"""The lane that waits for LLM judges, over HTTP, with a judge behind a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import pytest
from fastapi.testclient import TestClient

from judges.llm.base import Ask, Judge, Turn
from judges.llm.hosting import Judges
from tests.app.conftest import eventually, in_process, reversal, score
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import TOLD
from tests.judges.llm.scripted_endpoint import ScriptedEndpoint
from verifiers import registry
from verifiers.base import Parameters, Place, Sample, Score, Scorer, Services, Settle
from verifiers.boundary import Boundary

pytestmark = pytest.mark.slow


class Spelling(Scorer[Parameters]):
    """Rewards a completion that the only judge spells back."""

    name = "spelling"
    version = "1"
    kind = "judge"
    lane = "llm"
    example: ClassVar[dict[str, Any]] = {"completion": "a", "scorer": "spelling"}

    def __init__(self, parameters: Parameters, judge: Judge) -> None:
        super().__init__(parameters)
        self._judge = judge

    @classmethod
    def create(cls, parameters: Parameters, services: Services) -> Self:
        return cls(parameters, next(iter(services.hosted[Judges].values())))

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        for position, sample in enumerate(samples):
            settle(position, await self._one(sample))

    async def _one(self, sample: Sample) -> Score:
        if sample.text == "a bug":
            raise ZeroDivisionError
        reply = await self._judge.ask(Ask((Turn("user", sample.text),)))
        return Score(reward=float(reply.text == script.spelled(sample.text)), cached=reply.cached)


class SpellingAlone(Spelling):
    """Rewards the same, sample by sample."""

    name = "spelling_alone"

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        async def one(position: int) -> None:
            boundary = Boundary(self, [samples[position]])
            with boundary:
                boundary.scores = [await self._one(samples[position])]
            settle(position, boundary.scores[0])

        async with asyncio.TaskGroup() as group:
            for position in range(len(samples)):
                group.create_task(one(position))


@contextmanager
def in_a_thread(endpoint: ScriptedEndpoint) -> Iterator[str]:
    """The endpoint on an event loop of its own; its address."""
    running, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        async with endpoint:
            running.set()
            await stop.wait()

    loop: asyncio.AbstractEventLoop
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert running.wait(10)
    try:
        yield endpoint.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextmanager
def service(
    monkeypatch: pytest.MonkeyPatch,
    endpoint: ScriptedEndpoint,
    api_keys: tuple[str, ...] = (),
    **judge: Any,
) -> Iterator[TestClient]:
    monkeypatch.setattr(
        registry, "BUILT_IN", (*registry.BUILT_IN, Spelling, SpellingAlone), raising=True
    )
    with in_a_thread(endpoint) as url:
        table = {"kind": "chat", "base_url": url, "model": "m", "retry_base_s": 0.001, **TOLD}
        judges = {"grader": {**table, **judge}}
        with in_process(judges=judges, judge_store="", api_keys=api_keys) as client:
            yield client


def samples(*texts: str) -> list[dict[str, Any]]:
    return [{"completion": text} for text in texts]


def metric(client: TestClient, line: str) -> float:
    found = [text for text in client.get("/metrics").text.splitlines() if text.startswith(line)]
    return float(found[0].rpartition(" ")[2])


def test_without_judges_the_service_runs_and_the_lane_says_so() -> None:
    with in_process() as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["lanes"]["llm"]["ready"] is True
        assert ready.json()["lanes"]["llm"]["reason"] == "no judge is configured"


@pytest.mark.parametrize("scorer", ["spelling", "spelling_alone"])
def test_a_judge_scores_and_its_work_is_counted(
    monkeypatch: pytest.MonkeyPatch, scorer: str
) -> None:
    with service(monkeypatch, ScriptedEndpoint(), price={"prompt": 1.0}) as client:
        found = score(client, *samples("a", "b", "a"), scorer=scorer).json()["scores"]
        assert [one["reward"] for one in found] == [1.0, 1.0, 1.0]
        assert metric(client, 'assay_judge_calls_total{judge="grader"}') == 2
        assert metric(client, 'assay_judge_tokens_total{judge="grader",kind="prompt"}') == 80
        assert metric(client, 'assay_judge_cost_total{judge="grader"}') == pytest.approx(80e-6)
        assert metric(client, 'assay_judge_asks_total{how="answered",judge="grader"}') == 2
        assert metric(client, 'assay_judge_ready{judge="grader"}') == 1
        score(client, *samples("a"), scorer=scorer)
        shared_or_cached = [
            metric(client, f'assay_judge_asks_total{{how="{how}",judge="grader"}}')
            for how in ("cached", "shared")
        ]
        assert sum(shared_or_cached) == 2


def test_a_deadline_keeps_finished_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(request: script.Request) -> script.Act:
        return script.hang if request.question == "slow" else script.honest

    with service(monkeypatch, ScriptedEndpoint(choose)) as client:
        texts = samples("fast", "slow", "brisk")
        found = score(client, *texts, scorer="spelling_alone", deadline_s=1.0).json()["scores"]
    assert [one["reward"] for one in found] == [1.0, None, 1.0]
    assert found[1]["error"]["code"] == "deadline_exceeded"


def test_what_fails_one_sample_fails_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(request: script.Request) -> script.Act:
        return script.says("") if request.question == "empty" else script.honest

    with service(monkeypatch, ScriptedEndpoint(choose)) as client:
        texts = samples("fine", "empty", "a bug")
        found = score(client, *texts, scorer="spelling_alone").json()["scores"]
    assert found[0]["reward"] == 1.0
    assert found[1]["error"] == {
        "code": "judge_failed",
        "message": "the judge wrote no text",
        "retryable": False,
    }
    assert found[2]["error"]["code"] == "internal"


def test_caps_are_kept_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch, ScriptedEndpoint(), run_cap={"calls": 2}) as client:
        for run, codes in (("a", [None, None, "judge_failed"]), ("b", [None, None])):
            texts = [f"{run}{number}" for number in range(len(codes))]
            found = score(client, *samples(*texts), scorer="spelling_alone", run=run).json()
            errors = [one["error"] and one["error"]["code"] for one in found["scores"]]
            assert sorted(errors, key=str) == sorted(codes, key=str)


def test_groups_are_asked_for_on_behalf_of_their_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch, ScriptedEndpoint(), run_cap={"calls": 2}) as client:
        for run in ("a", "b"):
            group = {"id": "g", "prompt": "?", "completions": [f"{run}1", f"{run}2"]}
            body = {"scorer": "spelling_alone", "groups": [group], "run": run}
            (found,) = client.post("/v1/groups", json=body).json()["groups"]
            assert [one["reward"] for one in found["scores"]] == [1.0, 1.0]


def codes(client: TestClient, text: str, key: str) -> str | None:
    body = {"scorer": "spelling", "samples": samples(text)}
    headers = {"Authorization": f"Bearer {key}"}
    (found,) = client.post("/v1/score", json=body, headers=headers).json()["scores"]
    return found["error"] and found["error"]["code"]


def test_caps_are_kept_for_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    caps = {"key_cap": {"calls": 1}}
    with service(monkeypatch, ScriptedEndpoint(), api_keys=("one", "two"), **caps) as client:
        found = [
            codes(client, text, key) for text, key in (("a", "one"), ("b", "one"), ("c", "two"))
        ]
        assert found == [None, "judge_failed", None]


def test_a_key_that_nobody_checks_is_no_purse_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with service(monkeypatch, ScriptedEndpoint(), key_cap={"calls": 1}) as client:
        assert [codes(client, key, key) for key in ("made", "up")] == [None, "judge_failed"]


def test_a_judge_that_is_down_is_told_and_the_other_lanes_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    always = ScriptedEndpoint(lambda _: script.status(500))
    with service(monkeypatch, always, open_circuit_after=2, max_attempts=2) as client:
        (found,) = score(client, *samples("a"), scorer="spelling").json()["scores"]
        assert found["error"]["code"] == "judge_failed"
        assert found["error"]["retryable"] is True
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["lanes"]["llm"]["reason"] == "judge grader: its endpoint fails"
        assert [name for name, lane in ready.json()["lanes"].items() if not lane["ready"]] == [
            "llm"
        ]
        assert score(client, reversal("cba")).json()["scores"][0]["reward"] == 1.0


def test_a_client_that_leaves_ends_what_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = ScriptedEndpoint(latency_s=0.3)
    with service(monkeypatch, endpoint, max_concurrency=1) as client:
        texts = samples("1", "2", "3", "4")
        found = score(client, *texts, scorer="spelling_alone", deadline_s=0.1).json()["scores"]
        assert {one["error"]["code"] for one in found} == {"deadline_exceeded"}
        assert eventually(lambda: endpoint.at_once == 0)
        assert len(endpoint.received) == 1


def test_a_bad_table_is_refused_by_name() -> None:
    for table, field in (
        ({"kind": "oracle"}, "kind"),
        ({"kind": "chat", "model": "m"}, "base_url"),
        ({"kind": "chat", "model": "m", "base_url": "ftp://x"}, "base_url"),
        ({"kind": "chat", "model": "m", "base_url": "http://u:p@x/v1"}, "base_url"),
        ({"kind": "chat", "model": "m", "base_url": "http://x/v1?key=1"}, "base_url"),
        ({"kind": "chat", "model": "m", "base_url": "http://x/v1", "api_key": "k"}, "api_key"),
    ):
        with pytest.raises(ValueError, match=field):
            in_process(judges={"grader": table}).__enter__()
