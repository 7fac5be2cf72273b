"""`POST /v1/score` as API.md promises it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import in_process, reversal, score


def test_scores_have_the_order_and_length_of_the_samples(client: TestClient) -> None:
    reply = score(client, reversal("cba"), reversal("abc"), reversal("cba", id="last"))
    assert reply.status_code == 200
    scores = reply.json()["scores"]
    assert [score["id"] for score in scores] == ["0", "1", "last"]
    assert [score["reward"] for score in scores] == [1.0, 0.0, 1.0]
    assert [score["outcome"] for score in scores] == ["correct", "incorrect", "correct"]


def test_a_score_has_every_documented_member(client: TestClient) -> None:
    (only,) = score(client, reversal(" cba\n")).json()["scores"]
    assert only.pop("elapsed_ms") >= 0
    assert len(only["scorer"].pop("digest")) == 16
    assert only == {
        "id": "0",
        "reward": 1.0,
        "error": None,
        "outcome": "correct",
        "answer": "cba",
        "components": {},
        "details": {},
        "scorer": {"name": "string_reversal", "version": "2"},
        "cached": False,
    }


def test_the_summary_is_of_the_scored_ones(client: TestClient) -> None:
    reply = score(client, reversal("cba"), reversal("x"), {"completion": "cba"})
    assert reply.json()["summary"] == {
        "count": 3,
        "scored": 2,
        "failed": 1,
        "mean": 0.5,
        "std": 0.5,
    }


def test_a_summary_of_nothing_scored_has_no_mean(client: TestClient) -> None:
    summary = score(client, {"completion": "cba"}).json()["summary"]
    assert summary["mean"] is None
    assert summary["std"] is None


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        ({"completion": "cba"}, "missing_field"),
        ({"completion": "cba", "reference": None}, "missing_field"),
        ({"completion": "cba", "reference": 7}, "invalid_reference"),
        ({"completion": "cba", "reference": {"deep": [1]}}, "invalid_reference"),
    ],
)
def test_an_unusable_sample_is_an_error_and_leaves_its_neighbours_alone(
    client: TestClient, sample: dict[str, Any], code: str
) -> None:
    before, bad, after = score(client, reversal("cba"), sample, reversal("cba")).json()["scores"]
    assert before["reward"] == after["reward"] == 1.0
    assert bad["reward"] is None
    assert bad["error"]["code"] == code
    assert bad["error"]["retryable"] is False


def test_completions_and_prompts_may_be_chat_messages(client: TestClient) -> None:
    message = {"role": "assistant", "content": "cba", "tool_calls": []}
    parts = {"role": "assistant", "content": [{"type": "text", "text": "cba"}]}
    prompt = [{"role": "user", "content": "Reverse abc"}]
    reply = score(
        client,
        {"prompt": prompt, "completion": message, "reference": "abc"},
        {"prompt": prompt, "completion": parts, "reference": "abc"},
    )
    assert [score["reward"] for score in reply.json()["scores"]] == [1.0, 1.0]


def test_one_request_can_mix_tasks(client: TestClient) -> None:
    words = {"type": "string_reversal", "unit": "word"}
    reply = score(
        client,
        reversal("cba"),
        reversal("two one", "one two", scorer=words),
        reversal("owt eno", "one two", scorer="string_reversal"),
        scorer={"type": "string_reversal", "unit": "codepoint"},
    )
    scores = reply.json()["scores"]
    assert [score["reward"] for score in scores] == [1.0, 1.0, 1.0]
    assert len({score["scorer"]["digest"] for score in scores}) == 3


def test_a_request_without_a_scorer_needs_one_in_every_sample(client: TestClient) -> None:
    reply = score(client, reversal("cba", scorer="string_reversal"), scorer=None)
    assert reply.status_code == 200
    reply = score(client, reversal("cba"), scorer=None)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "samples.0.scorer"


def test_presets_are_scorers_by_another_name() -> None:
    presets = {"words": {"type": "string_reversal", "unit": "word"}, "alias": "words"}
    with in_process(presets=presets) as client:
        by_name = score(client, reversal("b a", "a b"), scorer="alias").json()["scores"][0]
        in_full = score(client, reversal("b a", "a b"), scorer=presets["words"])
    assert by_name["reward"] == 1.0
    assert by_name["scorer"] == in_full.json()["scores"][0]["scorer"]


def test_a_completion_over_the_limit_is_rejected_with_the_lowest_reward() -> None:
    with in_process(max_completion_bytes=10) as client:
        scores = score(
            client, reversal("é" * 6), reversal("cba"), reversal("a" * 11), reversal("é" * 5)
        ).json()["scores"]
    assert [score["outcome"] for score in scores] == [
        *("rejected", "correct", "rejected", "incorrect")
    ]
    assert scores[0]["reward"] == 0.0
    assert scores[0]["details"] == {"completion_limit_bytes": 10}


def test_a_stream_has_one_score_a_line_and_the_summary_last(client: TestClient) -> None:
    body = {
        "scorer": "string_reversal",
        "samples": [reversal("cba"), reversal("x"), {"completion": ""}],
    }
    reply = client.post("/v1/score", json=body, headers={"Accept": "application/x-ndjson"})
    assert reply.headers["content-type"].startswith("application/x-ndjson")
    *scores, last = [json.loads(line) for line in reply.text.splitlines()]
    assert {score["id"]: score["reward"] for score in scores} == {"0": 1.0, "1": 0.0, "2": None}
    assert last["summary"]["count"] == 3


def test_a_stream_that_is_refused_has_a_status_of_its_own(client: TestClient) -> None:
    body = {"scorer": "nothing", "samples": [reversal("cba")]}
    reply = client.post("/v1/score", json=body, headers={"Accept": "application/x-ndjson"})
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_the_request_id_is_the_callers_where_it_is_harmless(client: TestClient) -> None:
    body = {"scorer": "string_reversal", "samples": [reversal("cba")]}
    kept = client.post("/v1/score", json=body, headers={"X-Request-ID": "step-7"})
    assert kept.headers["X-Request-ID"] == kept.json()["request_id"] == "step-7"
    replaced = client.post("/v1/score", json=body, headers={"X-Request-ID": "a b\tc"})
    assert replaced.json()["request_id"] != "a b\tc"


class TestIdempotencyKeys:
    def post(self, client: TestClient, key: str, completion: str, **headers: str) -> Any:
        body = {"scorer": "string_reversal", "samples": [reversal(completion)]}
        return client.post("/v1/score", json=body, headers={"Idempotency-Key": key, **headers})

    def counted(self, client: TestClient) -> int:
        lines = client.get("/metrics").text.splitlines()
        counts = [line for line in lines if line.startswith("assay_scores_total")]
        return sum(int(float(line.rpartition(" ")[2])) for line in counts)

    def test_a_repeated_request_is_answered_without_scoring_again(self) -> None:
        with in_process() as client:
            first = self.post(client, "k", "cba").json()
            again = self.post(client, "k", "cba").json()
            assert again["scores"] == first["scores"]
            assert self.counted(client) == 1

    def test_a_repeated_request_may_ask_for_a_stream(self) -> None:
        with in_process() as client:
            first = self.post(client, "k", "cba").json()["scores"]
            lines = self.post(client, "k", "cba", Accept="application/x-ndjson").text.splitlines()
            assert json.loads(lines[0]) == first[0]
            assert json.loads(lines[1])["summary"]["count"] == 1
            assert self.counted(client) == 1

    def test_a_key_belongs_to_one_body(self) -> None:
        with in_process() as client:
            self.post(client, "k", "cba")
            reply = self.post(client, "k", "other")
            assert reply.status_code == 422
            assert reply.json()["code"] == "idempotency_key_reused"

    def test_keys_of_different_owners_do_not_meet(self) -> None:
        with in_process(api_keys=("one", "two")) as client:
            self.post(client, "k", "cba", Authorization="Bearer one")
            reply = self.post(client, "k", "other", Authorization="Bearer two")
            assert reply.status_code == 200

    def test_a_refused_request_is_not_an_answer(self) -> None:
        with in_process() as client:
            client.app.state.scheduler.draining = True
            assert self.post(client, "k", "cba").status_code == 503
            client.app.state.scheduler.draining = False
            assert self.post(client, "k", "cba").status_code == 200

    def test_the_oldest_answers_are_forgotten_first(self) -> None:
        with in_process(idempotency_bytes=4_000) as client:
            for key in "abc":
                self.post(client, key, "cba")
            assert self.post(client, "a", "other").status_code == 200
            assert self.post(client, "c", "other").status_code == 422


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    with in_process(api_keys=("right",)) as client:
        yield client


class TestKeys:
    @pytest.mark.parametrize(
        ("authorization", "status", "code"),
        [
            (None, 401, "missing_key"),
            ("Basic right", 401, "missing_key"),
            ("Bearer wrong", 403, "wrong_key"),
            ("Bearer ", 401, "missing_key"),
            ("Bearer rightt", 403, "wrong_key"),
        ],
    )
    def test_strangers_are_refused(
        self, guarded: TestClient, authorization: str | None, status: int, code: str
    ) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        for reply in (
            guarded.post("/v1/score", json={}, headers=headers),
            guarded.get("/v1/scorers", headers=headers),
        ):
            assert reply.status_code == status
            assert reply.json()["code"] == code
        assert ("www-authenticate" in reply.headers) == (status == 401)

    def test_a_known_key_passes(self, guarded: TestClient) -> None:
        headers = {"Authorization": "Bearer right"}
        assert guarded.get("/v1/scorers", headers=headers).status_code == 200

    def test_health_needs_no_key(self, guarded: TestClient) -> None:
        assert guarded.get("/healthz").status_code == 200
        assert guarded.get("/readyz").status_code == 200
