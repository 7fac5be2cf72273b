"""Malformed requests: a 4xx that names the field, never a 5xx, and nobody else is harmed."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import in_process, reversal, score, served

JSON = {"Content-Type": "application/json"}


def request(*samples: Any, **fields: Any) -> dict[str, Any]:
    return {"scorer": "string_reversal", "samples": list(samples), **fields}


GOOD = reversal("cba")

NAMED_FIELDS: list[tuple[str, Any, str]] = [
    ("no samples", {"scorer": "string_reversal"}, "samples"),
    ("an empty batch", request(), "samples"),
    ("samples of another type", {"scorer": "string_reversal", "samples": "abc"}, "samples"),
    ("a sample of another type", request(GOOD, 3), "samples.1"),
    ("no completion", request(GOOD, {"reference": "abc"}), "samples.1.completion"),
    ("an unknown member", request({**GOOD, "refrence": 1}), "samples.0.refrence"),
    ("an unknown field", {**request(GOOD), "scorers": 1}, "scorers"),
    ("two equal ids", request({**GOOD, "id": "a"}, {**GOOD, "id": "a"}), "samples.1.id"),
    ("an id that is an index", request({**GOOD, "id": "1"}, GOOD), "samples.1.id"),
    ("10 MB of scorer", request(GOOD, scorer="a" * 10_000_000), "scorer"),
    ("a negative deadline", request(GOOD, deadline_s=-1), "deadline_s"),
    ("a deadline of a day", request(GOOD, deadline_s=86_400), "deadline_s"),
    ("a scorer of another type", request(GOOD, scorer=[1]), "scorer"),
    ("a scorer without type", request(GOOD, scorer={"unit": "word"}), "scorer.type"),
    ("a scorer's type as number", request(GOOD, scorer={"type": 3}), "scorer.type"),
    ("an unknown parameter", request(GOOD, scorer={"type": "string_reversal", "u": 1}), "scorer.u"),
    (
        "a parameter out of range",
        request(GOOD, scorer={"type": "string_reversal", "unit": "line"}),
        "scorer.unit",
    ),
    ("nobody's scorer", {"samples": [{**GOOD, "scorer": "math"}, GOOD]}, "samples.1.scorer"),
    ("a member of groups", request({**GOOD, "completions": []}), "samples.0.completions"),
    ("100,000 samples", request(*[GOOD] * 100_000), "samples"),
]


@pytest.mark.parametrize(
    ("body", "field"), [pytest.param(body, field, id=why) for why, body, field in NAMED_FIELDS]
)
def test_a_malformed_request_is_a_422_that_names_the_field(
    client: TestClient, body: Any, field: str
) -> None:
    reply = client.post("/v1/score", json=body)
    assert reply.status_code == 422
    problem = reply.json()
    assert problem["code"] == "invalid_request"
    assert problem["retryable"] is False
    assert any(error["field"].startswith(field) for error in problem["errors"])
    assert len(reply.content) < 200_000


RAW: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, ""),
    ("not JSON", b"{scorer}", 400, ""),
    ("cut short", b'{"scorer": "string_rev', 400, ""),
    ("bytes that are no UTF-8", b'{"scorer": "\xff"}', 400, ""),
    ("100,000 brackets", b"[" * 100_000, 400, ""),
    ("deep objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, ""),
    ("a list", b"[]", 422, "body"),
    ("null", b"null", 422, "body"),
    ("NaN", b'{"deadline_s": NaN}', 422, "deadline_s"),
    ("infinity", b'{"samples": [{"reference": -Infinity}]}', 422, "samples.0.reference"),
    ("an overflowing number", b'{"samples": [{"reference": 1e999}]}', 422, "samples.0.reference"),
    (
        "NaN beside a sample's fault",
        b'{"samples": [{"id": 7, "reference": NaN}]}',
        422,
        "samples.0.reference",
    ),
    ("a lone surrogate", b'{"run": "\\ud800", "samples": [{"completion": "a"}]}', 422, "run"),
    (
        "one in a typo",
        b'{"samples": [{"completion": "a", "\\ud800": 1}]}',
        422,
        "samples.0.\\ud800",
    ),
    ("one in no sample", b'{"samples": ["\\ud800"]}', 422, "samples.0"),
    (
        "one beside NaN",
        b'{"samples": [{"completion": "\\ud800", "reference": NaN}]}',
        422,
        "samples.0.completion",
    ),
    ("UTF-16", '{"samples": []}'.encode("utf-16"), 400, ""),
    ("a byte order mark", b'\xef\xbb\xbf{"samples": []}', 400, ""),
]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [pytest.param(body, status, field, id=why) for why, body, status, field in RAW],
)
def test_a_body_that_is_not_json_is_refused(
    client: TestClient, body: bytes, status: int, field: str
) -> None:
    reply = client.post("/v1/score", content=body, headers=JSON)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    fields = [error["field"] for error in reply.json()["errors"]]
    assert not field or field in fields


@pytest.mark.parametrize("nesting", [50, 150, 400, 1_000])
def test_a_deeply_nested_reference_never_breaks_the_service(
    client: TestClient, nesting: int
) -> None:
    deep = "[" * nesting + "]" * nesting
    body = '{"scorer":"string_reversal","samples":[{"completion":"a","reference":%s}]}' % deep
    reply = client.post("/v1/score", content=body, headers=JSON)
    assert reply.status_code in (200, 400, 422)
    if reply.status_code == 200:
        assert reply.json()["scores"][0]["error"]["code"] == "invalid_reference"


def test_a_deeply_nested_scorer_is_refused(client: TestClient) -> None:
    deep = '{"type":' * 500 + "1" + "}" * 500
    body = '{"scorer":%s,"samples":[{"completion":"a"}]}' % deep
    reply = client.post("/v1/score", content=body, headers=JSON)
    assert reply.status_code in (400, 422)


def test_an_unknown_scorer_is_a_404_that_lists_the_known_ones(client: TestClient) -> None:
    for scorer in ("mth", {"type": "mth"}):
        reply = client.post("/v1/score", json=request(GOOD, scorer=scorer))
        assert reply.status_code == 404
        assert reply.json()["code"] == "unknown_scorer"
        assert "string_reversal" in reply.json()["detail"]


def test_every_offending_field_is_named(client: TestClient) -> None:
    body = request({"completion": 1}, GOOD, {"reference": 1, "extra": 2}, deadline_s="soon")
    fields = {error["field"] for error in client.post("/v1/score", json=body).json()["errors"]}
    assert {"samples.2.completion", "samples.2.extra", "deadline_s"} <= fields
    assert any(field.startswith("samples.0.completion") for field in fields)


def test_a_body_over_the_limit_is_a_413() -> None:
    with in_process(max_body_bytes=2_000) as client:
        reply = score(client, reversal("a" * 3_000))
        assert reply.status_code == 413
        assert reply.json()["code"] == "body_too_large"
        assert score(client, GOOD).status_code == 200


def test_a_body_that_is_not_declared_as_json_is_refused(client: TestClient) -> None:
    body = json.dumps(request(GOOD))
    for declared in ("text/plain", "application/x-www-form-urlencoded"):
        reply = client.post("/v1/score", content=body, headers={"Content-Type": declared})
        assert reply.status_code == 415
    declared = "application/vnd.assay+json; charset=utf-8"
    reply = client.post("/v1/score", content=body, headers={"Content-Type": declared})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/score", 405), ("DELETE", "/healthz", 405)],
)
def test_a_wrong_address_is_a_problem_document_too(
    client: TestClient, method: str, path: str, status: int
) -> None:
    reply = client.request(method, path)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == status


def test_a_fault_of_ours_is_a_500_that_tells_nothing_of_our_insides(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr(client.app.state.scheduler, "submit", explode)
    reply = score(client, GOOD)
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert reply.json()["retryable"] is True


@pytest.mark.parametrize("scorer", ["string_reversal", "regex"], ids=["inline", "cpu"])
@pytest.mark.parametrize("levels", [100, 129, 200, 252, 300])
def test_deep_values_fail_by_name_where_they_are_read(
    client: TestClient, scorer: str, levels: int
) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    message = {"role": "assistant", "content": "a", "tool_calls": deep}
    for field, sample in (
        ("reference", {"completion": "a", "reference": deep}),
        ("metadata", {"completion": "a", "reference": "a", "metadata": {"x": deep}}),
        ("completion", {"completion": message, "reference": "a"}),
    ):
        reply = score(client, sample, {"completion": "a", "reference": "a"}, scorer=scorer)
        if reply.status_code == 400:
            assert levels > 128, "deeper than is read at all"
            continue
        deep_one, neighbour = reply.json()["scores"]
        assert neighbour["reward"] == 1.0
        if field != "reference":
            assert deep_one["reward"] == 1.0
        elif levels > 128:
            assert deep_one["error"]["code"] == "invalid_reference"
            assert deep_one["error"]["message"].startswith(field)
            assert "levels deep" in deep_one["error"]["message"]


def test_a_field_is_named_without_the_types_that_it_might_have_had(client: TestClient) -> None:
    samples = [{"completion": {"role": "user", "content": "x"}}, {"completion": 1}, {"x": 1}]
    errors = client.post("/v1/score", json=request(*samples)).json()["errors"]
    assert {error["field"] for error in errors} == {
        *("samples.0.completion", "samples.0.completion.role", "samples.1.completion"),
        *("samples.2.completion", "samples.2.x"),
    }
    spec = {"type": "weighted", "components": {"a": {"scorer": 1}}}
    errors = client.post("/v1/score", json=request(GOOD, scorer=spec)).json()["errors"]
    assert {error["field"] for error in errors} == {"scorer.components.a.scorer"}
    reply = score(client, {"completion": "a", "reference": 1}, scorer="exact_match")
    assert reply.json()["scores"][0]["error"]["message"].startswith("reference: ")


def test_a_path_names_its_parameter(client: TestClient) -> None:
    reply = client.get("/v1/scorers/nope")
    assert reply.status_code == 404
    assert [error["field"] for error in reply.json()["errors"]] == ["name"]


def test_headers_over_the_limit_are_a_431(client: TestClient) -> None:
    for headers in ({"X": "a" * 70_000}, {f"X-{i}": "a" * 1_000 for i in range(70)}):
        reply = client.get("/healthz", headers=headers)
        assert reply.status_code == 431
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["code"] == "headers_too_large"
        assert reply.headers["x-request-id"] == reply.json()["request_id"]
    assert client.get("/healthz", headers={"X": "a" * 60_000}).status_code == 200


@pytest.mark.slow
def test_headers_without_end_are_not_read_to_their_end() -> None:
    with served() as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                connection.sendall(b"a" * 60_000_000)
        assert httpx.get(f"{service.url}/healthz").status_code == 200


@pytest.mark.slow
def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes() -> None:
    with served(ASSAY_MAX_BODY_BYTES="2000") as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 99999999999\r\n\r\n"
            )
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_a_key_is_bounded(client: TestClient) -> None:
    body = request(GOOD)
    for length, status in ((256, 200), (257, 422)):
        headers = {"Idempotency-Key": "k" * length}
        assert client.post("/v1/score", json=body, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("application/x-ndjson", True),
        ("Application/X-NDJSON; q=0.5, */*", True),
        ("application/json, application/x-ndjson;q=0", False),
        ("application/x-ndjson;q=0.000", False),
        ("application/x-ndjson-not", False),
        ("*/*", False),
    ],
)
def test_a_stream_is_sent_to_those_who_accept_one(
    client: TestClient, accept: str, streams: bool
) -> None:
    reply = client.post("/v1/score", json=request(GOOD), headers={"Accept": accept})
    assert reply.headers["content-type"].startswith("application/x-ndjson") == streams
