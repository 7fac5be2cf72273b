"""The routes of servers of reward models: vLLM's, SGLang's and TEI's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tests.app.conftest import in_process
from tests.app.protocols.openai_transport import IntoTheApplication
from tests.app.protocols.rows import ANYTHING, check, rows

FORM = "<think>a</think>b"
PRESETS = {"form": "format", "reverse": "string_reversal"}


@pytest.fixture(scope="module")
def models() -> Iterator[TestClient]:
    with in_process(presets=PRESETS) as client:
        yield client


@pytest.fixture(scope="module")
def tei() -> Iterator[TestClient]:
    """TEI's requests name no model: the default preset is the one."""
    with in_process(presets=PRESETS, protocols={"default_preset": "form"}) as client:
        yield client


@pytest.mark.parametrize("row", rows("reward_models"))
def test_row(models: TestClient, row: dict[str, Any]) -> None:
    check(models, row)


@pytest.mark.parametrize("row", rows("tei"))
def test_row_of_tei(tei: TestClient, row: dict[str, Any]) -> None:
    check(tei, row)


def test_a_request_for_another_servers_score_is_told_where_it_is(models: TestClient) -> None:
    reply = models.post("/v1/score", json={"text_1": "q", "text_2": ["a"]})
    assert "/compat/vllm/score" in reply.json()["detail"]


def test_the_models_are_the_presets(models: TestClient) -> None:
    listed = models.get("/v1/models").json()
    assert {model["id"] for model in listed["data"]} >= set(PRESETS)


def test_ids_are_those_of_the_request(models: TestClient) -> None:
    body = {"model": "form", "input": FORM}
    reply = models.post("/classify", json=body, headers={"X-Request-ID": "abc"})
    assert reply.json()["id"] == "classify-abc"
    assert reply.json()["created"] > 0


def test_the_official_client_gets_embeddings(models: TestClient) -> None:
    with openai.OpenAI(
        base_url="http://testserver/v1",
        api_key="none",
        http_client=httpx2.Client(transport=IntoTheApplication(models)),
    ) as client:
        result = client.embeddings.create(model="form", input=[FORM, "x"])
        assert [each.embedding for each in result.data] == [[1.0], [0.0]]
        assert "form" in {model.id for model in client.models.list()}
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="nobody", input="x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "members"), [("/classify", {"input": "x"}), ("/score", {"text_1": "q", "text_2": "x"})]
)
def test_what_may_pass_is_to_be_tried_again(path: str, members: dict[str, Any]) -> None:
    presets = {"rule": {"type": "regex", "pattern": "a"}}
    with in_process(presets=presets, deadline_s=1e-9) as client:
        reply = client.post(path, json={"model": "rule", **members})
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == 503
    assert reply.headers["x-should-retry"] == "true"


@pytest.mark.parametrize("path", ["/classify", "/v1/embeddings", "/compat/sglang/v1/classify"])
def test_a_full_lane_is_a_503_for_verl_tries_no_4xx_again(path: str) -> None:
    with in_process(presets=PRESETS, queue_samples=4) as client:
        client.app.state.scheduler.lanes["inline"].pending = 4  # type: ignore[attr-defined]
        reply = client.post(path, json={"model": "form", "input": "x"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, 503)
    assert reply.headers["retry-after"] == "1"


def test_a_refusal_of_the_request_is_not_said_to_be_a_fault_of_the_server(
    models: TestClient,
) -> None:
    body = '{"model": "form", "input": "x"}'
    reply = models.post("/classify", content=body, headers={"Content-Type": "text/plain"})
    assert (reply.status_code, reply.json()["error"]["type"]) == (415, "BadRequestError")


def test_a_text_beyond_all_limits_is_refused(models: TestClient) -> None:
    flood = "a" * (4 * 1024 * 1024 + 1)
    for path, body in (
        ("/classify", {"model": "form", "input": [flood]}),
        ("/score", {"model": "form", "text_1": flood, "text_2": "x"}),
    ):
        assert models.post(path, json=body).status_code == 400


MEMBERS: dict[str, list[str]] = {
    "/classify": ["input", "messages", "use_activation"],
    "/pooling": ["input", "encoding_format"],
    "/v1/embeddings": ["input", "encoding_format"],
    "/score": ["text_1", "text_2", "queries", "items"],
    "/rerank": ["query", "documents", "top_n"],
    "/compat/sglang/v1/rerank": ["query", "documents", "return_documents"],
    "/compat/tei/rerank": ["query", "texts"],
    "/predict": ["inputs", "raw_scores"],
}


@given(data=st.data())
def test_anything_in_any_member_is_answered_or_refused(
    tei: TestClient, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted(MEMBERS)))
    body = {name: data.draw(ANYTHING) for name in MEMBERS[path] if data.draw(st.booleans())}
    reply = tei.post(path, json={"model": "form", **body})
    assert reply.status_code in (200, 400, 422)
