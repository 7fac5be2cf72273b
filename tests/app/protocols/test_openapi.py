"""What the OpenAPI document says of other systems' routes is true, all of them switched on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.main import create_app
from app.protocols import registry
from app.settings import Protocols, Settings
from tests.app.conftest import served

pytestmark = pytest.mark.slow

KEY = "a-key"
PROTOCOLS: dict[str, Any] = {
    **{each.name: True for each in registry.PROTOCOLS},
    "default_preset": "format",
}

BEYOND_SCHEMAS = [positive_data_acceptance]
"""That templates are paths, and formulas arithmetic, is more than a JSON Schema says."""

document = create_app(Settings(api_keys=(KEY,), protocols=Protocols(**PROTOCOLS))).openapi()
foreign = schemathesis.openapi.from_dict(document).exclude(
    path_regex=r"^/(v1/(score|groups).*|metrics|.*z)$"
)

few_examples = settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(ASSAY_API_KEYS=KEY, ASSAY_PROTOCOLS=json.dumps(PROTOCOLS)) as service:
        yield service.url


@foreign.parametrize()
@few_examples
def test_no_request_that_the_document_describes_breaks_the_service(
    case: schemathesis.Case, url: str
) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(base_url=url, headers=headers, excluded_checks=BEYOND_SCHEMAS)
