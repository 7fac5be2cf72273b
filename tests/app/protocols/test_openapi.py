"""What the OpenAPI document says of other systems' routes is true, all of them switched on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckContext
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.main import create_app
from app.settings import Protocols, Settings
from tests.app.conftest import served
from tests.app.refusals import EVERYTHING, accepted_or_beyond_schemas

pytestmark = pytest.mark.slow

KEY = "a-key"
document = create_app(Settings(api_keys=(KEY,), protocols=Protocols(**EVERYTHING))).openapi()
config = schemathesis.Config.from_dict(
    {"checks": {"not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]}}}
)
"""503 is what a service without sandboxes says to a program."""

foreign = schemathesis.openapi.from_dict(document, config=config).exclude(
    path_regex=r"^/(v1/(score|groups).*|metrics|.*z)$"
)


def rejected_unless_mended(
    ctx: CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    """schemathesis's own check of what doesn't fit, as it is sent: with the key in its header.

    Where unknown members of the query are all that is left, it would not mind them either.
    """
    mutations = getattr(case.meta.phase.data, "mutations", ()) if case.meta else ()
    left = [each for each in mutations if each.parameter_location.name != "HEADER"]
    if mutations and all(
        each.parameter_location.name == "QUERY" and each.keywords == ("additionalProperties",)
        for each in left
    ):
        return None
    return bool(negative_data_rejection(ctx, response, case))


few_examples = settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(ASSAY_API_KEYS=KEY, ASSAY_PROTOCOLS=json.dumps(EVERYTHING)) as service:
        yield service.url


@foreign.parametrize()
@few_examples
def test_no_request_that_the_document_describes_breaks_the_service(
    case: schemathesis.Case, url: str
) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    case.call_and_validate(
        base_url=url,
        headers=headers,
        excluded_checks=[positive_data_acceptance, negative_data_rejection],
        additional_checks=[accepted_or_beyond_schemas, rejected_unless_mended],
    )
