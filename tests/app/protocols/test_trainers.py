"""Trainers' own routes: what each framework sees of a reward, and of a score that failed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.main import create_app
from app.protocols.openrlhf import completion_in
from app.settings import Settings
from tests.app.conftest import in_process
from tests.app.protocols.rows import ANYTHING, check, rows
from tests.verifiers.test_sample import nested
from verifiers.base import SpecError
from verifiers.sample import MAX_NODES, MAX_TEXT_CHARACTERS

PROTOCOLS = ("openrlhf", "slime", "eval_protocol", "nemo_gym")
"""In the order of `ROUTES`."""

OPENRLHF = {"query": ["p cba"], "prompts": ["p"], "labels": ["abc"]}
SLIME = {"prompt": "p", "response": "cba", "label": "abc"}
EVAL = {"messages": [{"role": "assistant", "content": "cba"}], "ground_truth": "abc"}
GYM: dict[str, Any] = {
    "responses_create_params": {"input": "p"},
    "response": {
        "output": [{"role": "assistant", "content": [{"type": "output_text", "text": "cba"}]}]
    },
    "expected_answer": "abc",
}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/compat/openrlhf/{}/get_reward", OPENRLHF),
    ("/compat/slime/{}", SLIME),
    ("/compat/eval-protocol/{}/reward", EVAL),
    ("/compat/nemo-gym/{}/verify", GYM),
]

every_route = pytest.mark.parametrize(("path", "body"), ROUTES, ids=[path for path, _ in ROUTES])


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row.values[0], id=f"{name}-{row.id}")
        for name in PROTOCOLS
        for row in rows(name)
    ],
)
def test_row(client: TestClient, row: dict[str, Any]) -> None:
    check(client, row)


# --- what may pass is never a zero ------------------------------------------------------


@pytest.fixture(scope="module")
def late() -> Iterator[TestClient]:
    """A service whose every deadline has passed."""
    with in_process(deadline_s=1e-9) as client:
        yield client


@pytest.fixture(scope="module")
def draining() -> Iterator[TestClient]:
    with in_process() as client:
        client.app.state.scheduler.draining = True  # type: ignore[attr-defined]
        yield client


@pytest.fixture(scope="module")
def full() -> Iterator[TestClient]:
    """A service without room in the lane of the rules."""
    with in_process(queue_samples=4) as client:
        client.app.state.scheduler.lanes["inline"].pending = 4  # type: ignore[attr-defined]
        yield client


@pytest.mark.parametrize(("path", "body"), ROUTES[:3])
def test_a_passed_deadline_is_to_be_tried_again(
    late: TestClient, path: str, body: dict[str, Any]
) -> None:
    reply = late.post(path.format("math"), json=body)
    assert reply.status_code == 503
    assert reply.json()["code"] == "deadline_exceeded"
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["x-should-retry"] == "true"


def test_a_passed_deadline_masks_a_gym_sample(late: TestClient) -> None:
    reply = late.post("/compat/nemo-gym/math/verify", json=GYM)
    assert reply.status_code == 200
    assert reply.json()["mask_sample"] is True
    assert reply.json()["failure_kind"] == "transport_timeout"


def test_a_run_may_ask_openrlhf_for_zeros_that_say_so(late: TestClient) -> None:
    reply = late.post("/compat/openrlhf/math/get_reward?on_error=zero", json=OPENRLHF)
    assert reply.json() == {"rewards": [0.0], "scores": [0.0], "extra_logs": {"valid": [0.0]}}


@pytest.mark.parametrize(("path", "body"), ROUTES[:3])
def test_a_service_that_shuts_down_says_so_in_every_dialect(
    draining: TestClient, path: str, body: dict[str, Any]
) -> None:
    reply = draining.post(path.format("string_reversal"), json=body)
    assert reply.status_code == 503
    assert reply.json()["code"] == "draining"
    assert reply.headers["x-should-retry"] == "true"


@pytest.mark.parametrize(("path", "body"), ROUTES[:3])
def test_a_full_lane_is_to_be_tried_again(
    full: TestClient, path: str, body: dict[str, Any]
) -> None:
    reply = full.post(path.format("string_reversal"), json=body)
    assert (reply.status_code, reply.json()["code"]) == (429, "queue_full")
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["x-should-retry"] == "true"


@pytest.mark.parametrize(
    ("service", "kind"), [("draining", "shutdown"), ("full", "provider_unavailable")]
)
def test_gym_whose_client_tries_no_status_again_gets_a_masked_sample(
    request: pytest.FixtureRequest, service: str, kind: str
) -> None:
    client: TestClient = request.getfixturevalue(service)
    reply = client.post("/compat/nemo-gym/string_reversal/verify", json=GYM)
    assert reply.status_code == 200
    told = reply.json()
    assert (told["reward"], told["mask_sample"], told["failure_kind"]) == (0.0, True, kind)
    assert told["failure_reason"]


@every_route
def test_a_fault_of_ours_tells_nothing_of_our_insides(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr(client.app.state.scheduler, "submit", explode)  # type: ignore[attr-defined]
    reply = client.post(path.format("string_reversal"), json=body)
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert reply.headers["x-should-retry"] == "true"


# --- keys, limits and switches ----------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    with in_process(api_keys=("a-key",)) as client:
        yield client


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"assay:{key}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer a-key"}, 200),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"X-Api-Key": "a-key"}, 200),
        ({"X-Api-Key": "wrong"}, 403),
        ({"Authorization": basic("a-key")}, 200),
        ({"Authorization": basic("wrong")}, 403),
        ({"Authorization": "Basic not-base64"}, 401),
        ({"Authorization": ""}, 401),
    ],
)
def test_keys_come_in_the_forms_that_clients_can_send(
    guarded: TestClient, headers: dict[str, str], status: int
) -> None:
    for path, body in ROUTES:
        reply = guarded.post(path.format("string_reversal"), json=body, headers=headers)
        assert reply.status_code == status
        assert "a-key" not in reply.text


def test_the_native_route_keeps_to_bearer_keys(guarded: TestClient) -> None:
    body = {"scorer": "string_reversal", "samples": [{"completion": "", "reference": "a"}]}
    reply = guarded.post("/v1/score", json=body, headers={"X-Api-Key": "a-key"})
    assert reply.status_code == 401


def test_more_samples_than_the_limit_are_refused() -> None:
    batch = {name: values * 3 for name, values in OPENRLHF.items()}
    with in_process(max_samples=2) as client:
        reply = client.post("/compat/openrlhf/string_reversal/get_reward", json=batch)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_many_samples")
    assert reply.headers["x-should-retry"] == "false"


@every_route
def test_a_body_over_the_limit_is_refused(path: str, body: dict[str, Any]) -> None:
    with in_process(max_body_bytes=1_024) as client:
        reply = client.post(path.format("string_reversal"), json={**body, "more": "x" * 1_024})
    assert reply.status_code == 413
    assert reply.json()["code"] == "body_too_large"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"query": NaN}', b"\xff"])
@every_route
def test_what_is_no_request_is_refused_in_the_same_form(
    client: TestClient, path: str, body: dict[str, Any], content: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    reply = client.post(path.format("string_reversal"), content=content, headers=headers)
    assert reply.status_code in (400, 422)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["code"] in ("not_json", "invalid_request")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_can_be_switched_off(name: str) -> None:
    with in_process(protocols={name: False}) as client:
        statuses = [
            client.post(path.format("string_reversal"), json=body).status_code
            for path, body in ROUTES
        ]
    assert statuses == [404 if other == name else 200 for other in PROTOCOLS]


def test_a_default_preset_serves_the_addresses_that_clients_insist_on() -> None:
    with in_process(protocols={"default_preset": "string_reversal"}) as client:
        assert client.post("/get_reward", json=OPENRLHF).json()["rewards"] == [1.0]
        assert client.post("/reward", json=EVAL).json()["score"] == 1.0
        assert client.post("/verify", json=GYM).json()["reward"] == 1.0
        assert client.post("/ng-rollout/r1/verify", json=GYM).json()["reward"] == 1.0
        assert client.get("/reverify_mode").json() == "stateless"


def test_a_default_preset_that_does_not_exist_keeps_the_service_from_starting() -> None:
    with pytest.raises(SpecError, match="default_preset"):
        create_app(Settings(protocols={"default_preset": "nobody"}))


def test_without_one_there_is_nothing_at_the_root(client: TestClient) -> None:
    assert client.post("/get_reward", json=OPENRLHF).status_code == 404
    assert client.post("/verify", json=GYM).status_code == 404


def test_gym_companions_answer(client: TestClient) -> None:
    prefix = "/compat/nemo-gym/string_reversal"
    assert client.get(f"{prefix}/").json() == {"status": "ok"}
    assert client.get(f"{prefix}/reverify_mode").json() == "stateless"


def test_gym_rows_may_carry_token_ids_and_no_depths(client: TestClient) -> None:
    path = "/compat/nemo-gym/string_reversal/verify"
    item = {**GYM["response"]["output"][0], "generation_token_ids": list(range(250_000))}
    reply = client.post(path, json={**GYM, "response": {"output": [item]}})
    assert reply.json()["reward"] == 1.0
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert client.post(path, json={**GYM, "deep": deep}).status_code == 422


def test_gym_rows_that_no_sample_can_hold_are_masked(client: TestClient) -> None:
    deep = nested(140)
    calls = [{"type": "function_call", "call_id": "c", "generation_token_ids": [0] * 250_000}]
    for more in ({"expected_answer": deep}, {"response": {"output": calls}}):
        reply = client.post("/compat/nemo-gym/string_reversal/verify", json={**GYM, **more})
        assert reply.status_code == 200
        assert (reply.json()["reward"], reply.json()["mask_sample"]) == (0.0, True)


def test_an_endless_completion_has_its_price(client: TestClient) -> None:
    endless = "a" * (MAX_TEXT_CHARACTERS + 1)
    gym = {**GYM, "response": {"output": [{"role": "assistant", "content": endless}]}}
    reply = client.post("/compat/nemo-gym/string_reversal/verify", json=gym).json()
    assert (reply["reward"], reply["mask_sample"]) == (0.0, False)
    batch = {**OPENRLHF, "query": [OPENRLHF["query"][0] + endless]}
    reply = client.post("/compat/openrlhf/string_reversal/get_reward", json=batch).json()
    assert (reply["rewards"], reply["extra_logs"]["valid"]) == ([0.0], [1.0])


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("prompts", "p" + "a" * MAX_TEXT_CHARACTERS, "invalid_reference"),
        ("labels", nested(140), "invalid_reference"),
        ("labels", [0] * (MAX_NODES + 1), "invalid_reference"),
    ],
)
def test_what_no_sample_can_hold_fails_one_of_openrlhfs_queries(
    client: TestClient, name: str, value: Any, code: str
) -> None:
    batch = {member: values * 3 for member, values in OPENRLHF.items()}
    batch[name] = [batch[name][0], value, batch[name][2]]
    path = "/compat/openrlhf/string_reversal/get_reward"
    reply = client.post(path, json=batch)
    assert reply.status_code == 200, reply.text
    assert reply.json()["rewards"] == [1.0, 0.0, 1.0]
    assert reply.json()["extra_logs"]["valid"] == [1.0, 0.0, 1.0]
    refused = client.post(f"{path}?on_error=503", json=batch)
    assert (refused.status_code, refused.json()["code"]) == (503, code)


# --- where a completion begins ----------------------------------------------------------

WORDS = st.text(st.sampled_from("ab <|>/s\n"), max_size=60)


@given(prompt=st.text(max_size=60), completion=st.text(st.sampled_from("abc d"), max_size=60))
def test_a_completion_is_what_follows_its_prompt(prompt: str, completion: str) -> None:
    assert completion_in(prompt + completion, prompt) == completion


@given(query=WORDS, prompt=WORDS)
def test_what_is_taken_for_a_completion_is_in_the_query(query: str, prompt: str) -> None:
    found = completion_in(query, prompt)
    assert found is None or found in query


@pytest.mark.timeout(20)
def test_a_flood_of_special_tokens_is_read_once() -> None:
    flood = "<|im_end|> " * 200_000
    assert completion_in("p" + flood, "p") == ""
    assert completion_in("p" + flood + "x", "p") == flood + "x"
    assert completion_in("p" + "<" * 1_000_000, "p") == "<" * 1_000_000
    assert completion_in(flood + "x", "p" * 100_000) is None


@pytest.mark.slow
@given(data=st.data())
def test_a_request_with_anything_in_any_member_is_answered_or_refused(
    client: TestClient, data: st.DataObject
) -> None:
    path, body = data.draw(st.sampled_from(ROUTES))
    name = data.draw(st.sampled_from(sorted(body)))
    reply = client.post(path.format("string_reversal"), json={**body, name: data.draw(ANYTHING)})
    assert reply.status_code in (200, 422)
    json.loads(reply.content)
