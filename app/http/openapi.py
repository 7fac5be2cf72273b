"""The OpenAPI document: FastAPI's own, and the answers that msgspec writes.

FastAPI knows the types of pydantic. Those of msgspec are added to its components, where the
routes that answer with them refer to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI

REF = "#/components/schemas/{name}"

JSON = "application/json"
NDJSON = "application/x-ndjson"

DETAILS = "How the score came about, as `details_schema` in `GET /v1/scorers/{name}` says."

Responses = dict[int | str, dict[str, Any]]


def answering(answer: type[msgspec.Struct], **more: Any) -> Responses:
    """What a route says of its answer, and of other media types in which it gives it."""
    content = {JSON: {"schema": {"$ref": REF.format(name=answer.__name__)}}, **more}
    return {200: {"content": content}}


def describe(
    app: FastAPI, answers: tuple[type[msgspec.Struct], ...], details: Mapping[str, Any]
) -> None:
    """Has the application's document describe these answers and all that is in them.

    Args:
        details: schemas of what a score's `details` may hold, by the name of the component.
    """
    by_fastapi = app.openapi

    def document() -> dict[str, Any]:
        whole = by_fastapi()  # made once, and the same object every time
        _, components = msgspec.json.schema_components(answers, ref_template=REF)
        refs = [{"$ref": REF.format(name=name)} for name in details if name.startswith("details.")]
        components["Score"]["properties"]["details"] = {"description": DETAILS, "anyOf": refs}
        whole["components"]["schemas"].update({**components, **details})
        return whole

    app.openapi = document  # type: ignore[method-assign]
