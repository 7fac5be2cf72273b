"""The OpenAPI document is true: what it allows works, what it forbids is a 4xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.main import create_app
from app.protocols.registry import PROTOCOLS
from app.settings import Protocols, Settings
from tests.app.conftest import served

pytestmark = pytest.mark.slow

KEY = "a-key"

BEYOND_SCHEMAS = [positive_data_acceptance]
"""That ids differ and every sample has a scorer is more than a JSON Schema can say, so a
request that fits the schema may still be refused."""

SPARING = ("/v1/score", "/v1/groups")
"""Where a sample that does not fit the schema is answered with its own error, and the request
is not refused: tests/app/test_sample_faults.py says with which."""


def excluded(case: schemathesis.Case) -> list[Any]:
    return [*BEYOND_SCHEMAS, *([negative_data_rejection] if case.path in SPARING else [])]


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
    case.call_and_validate(base_url=open_url, excluded_checks=excluded(case))


@guarded.parametrize()
@some_examples
def test_nor_one_that_carries_a_key(case: schemathesis.Case, guarded_url: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(base_url=guarded_url, headers=headers, excluded_checks=excluded(case))


def test_the_document_tells_the_limits(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["ScoreRequest"]["properties"]["samples"]["maxItems"] == 4_096
    assert schemas["GroupsRequest"]["properties"]["groups"]["maxItems"] == 4_096
    assert schemas["Group"]["properties"]["completions"]["maxItems"] == 4_096
    assert set(schemas["Problem"]["required"]) >= {"type", "title", "status", "detail", "code"}
