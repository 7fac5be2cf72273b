"""The OpenAPI document is true: what it allows works, what it forbids is a 4xx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi.openapi.models import OpenAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.main import create_app
from app.protocols.registry import PROTOCOLS
from app.settings import Protocols, Settings
from tests.app.conftest import served
from tests.app.refusals import BEYOND_SCHEMAS, EVERYTHING, accepted_or_beyond_schemas

pytestmark = pytest.mark.slow

KEY = "a-key"

SPARING = ("/v1/score", "/v1/groups")
"""Where a sample that does not fit the schema is answered with its own error, and the request
is not refused: tests/app/test_sample_faults.py says with which."""


def checks(case: schemathesis.Case) -> dict[str, Any]:
    """What fits the document is accepted, but for the table in tests/app/refusals.py."""
    spared = [negative_data_rejection] if case.path in SPARING else []
    return {
        "excluded_checks": [positive_data_acceptance, *spared],
        "additional_checks": [accepted_or_beyond_schemas],
    }


NATIVE = Protocols(**{each.name: False for each in PROTOCOLS})  # tests/app/protocols has the others


def document(**settings: Any) -> dict[str, Any]:
    return create_app(Settings(protocols=NATIVE, **settings)).openapi()


unguarded = schemathesis.openapi.from_dict(document())
guarded = schemathesis.openapi.from_dict(document(api_keys=(KEY,)))

some_examples = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope="module")
def open_url() -> Iterator[str]:
    with served() as service:
        yield service.url


@pytest.fixture(scope="module")
def guarded_url() -> Iterator[str]:
    with served(ASSAY_API_KEYS=KEY) as service:
        yield service.url


@unguarded.parametrize()
@some_examples
def test_no_request_that_the_document_describes_breaks_the_service(
    case: schemathesis.Case, open_url: str
) -> None:
    case.call_and_validate(base_url=open_url, **checks(case))


@guarded.parametrize()
@some_examples
def test_nor_one_that_carries_a_key(case: schemathesis.Case, guarded_url: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(base_url=guarded_url, headers=headers, **checks(case))


def test_the_document_tells_the_limits(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ScoreRequest"]["properties"]["samples"]["maxItems"] == 4_096
    assert schemas["GroupsRequest"]["properties"]["groups"]["maxItems"] == 4_096
    assert schemas["Group"]["properties"]["completions"]["maxItems"] == 4_096
    assert set(schemas["Problem"]["required"]) >= {"type", "title", "status", "detail", "code"}


def test_the_document_tells_what_each_scorer_takes(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    choice = [each["$ref"].rpartition("/")[2] for each in schemas["ScorerSpec"]["anyOf"]]
    for scorer in client.get("/v1/scorers").json()["scorers"]:
        assert f"scorer.{scorer['name']}" in choice
        told = schemas[f"scorer.{scorer['name']}"]["properties"]
        assert told.keys() == {"type", *scorer["parameters_schema"]["properties"]}
    for request in ("ScoreRequest", "GroupsRequest"):
        assert {"$ref": "#/components/schemas/ScorerSpec"} in (
            schemas[request]["properties"]["scorer"]["anyOf"]
        )


def test_the_document_is_valid() -> None:
    everything = create_app(Settings(protocols=Protocols(**EVERYTHING)))
    OpenAPI.model_validate(everything.openapi())
    for schema in everything.openapi()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_row_of_what_is_beyond_schemas_has_a_route() -> None:
    paths = create_app(Settings(protocols=Protocols(**EVERYTHING))).openapi()["paths"]
    for row in BEYOND_SCHEMAS:
        assert any(re.fullmatch(row.routes, path) for path in paths), row


@pytest.mark.parametrize("value", [2.0, 2])
def test_an_integer_may_be_written_as_json_schema_allows(client: TestClient, value: float) -> None:
    body = {"scorer": "format", "groups": [{"completions": ["a"]}], "ks": [value]}
    assert client.post("/v1/groups", json=body).status_code == 200
    body["ks"] = [value + 0.5]
    assert client.post("/v1/groups", json=body).status_code == 422
