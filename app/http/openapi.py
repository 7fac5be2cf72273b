"""The OpenAPI document: FastAPI's own, and the answers that msgspec writes.

FastAPI knows the types of pydantic. Those of msgspec are added to its components, where the
routes that answer with them refer to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic import BeforeValidator

REF = "#/components/schemas/{name}"

JSON = "application/json"
NDJSON = "application/x-ndjson"

DETAILS = "How the score came about, as `details_schema` in `GET /v1/scorers/{name}` says."

Responses = dict[int | str, dict[str, Any]]

Schema = dict[str, Any]

SPEC = "ScorerSpec"
"""The component that has a choice of all scorers, with what each takes."""

NOT_NULL: Schema = {"not": {"type": "null"}}


def whole(value: Any) -> Any:
    """2.0 is an integer in JSON Schema, and so it is to us."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(whole)
"""Comes after a member's bounds: those that come after it are not in the document."""


def given(name: str, schema: Schema | None = None) -> Schema:
    """That an object has a member, and which values are one."""
    return {"required": [name], "properties": {name: schema or NOT_NULL}}


def scorer_given(members: str) -> Schema:
    """That the request names a scorer, or each of its members does."""
    each = {"properties": {members: {"items": given("scorer")}}}
    return {"anyOf": [given("scorer"), each]}


def refer_to_specs(schema: Schema) -> None:
    """Has a member `scorer` that is an object be one of the scorers' own."""
    choices = schema.get("properties", {}).get("scorer", {}).get("anyOf", ())
    for choice in choices:
        if choice.get("type") == "object":
            choice.clear()
            choice["$ref"] = REF.format(name=SPEC)


def answering(answer: type[msgspec.Struct], **more: Any) -> Responses:
    """What a route says of its answer, and of other media types in which it gives it."""
    content = {JSON: {"schema": {"$ref": REF.format(name=answer.__name__)}}, **more}
    return {200: {"content": content}}


def describe(
    app: FastAPI, answers: tuple[type[msgspec.Struct], ...], more: Mapping[str, Any]
) -> None:
    """Has the application's document describe these answers and all that is in them.

    Args:
        more: further components by name, among them `details.NAME`, what a score's `details`
            may hold, and `ScorerSpec`, what scores a request.
    """
    by_fastapi = app.openapi

    def document() -> dict[str, Any]:
        whole = by_fastapi()  # made once, and the same object every time
        _, components = msgspec.json.schema_components(answers, ref_template=REF)
        refs = [{"$ref": REF.format(name=name)} for name in more if name.startswith("details.")]
        components["Score"]["properties"]["details"] = {"description": DETAILS, "anyOf": refs}
        schemas = whole["components"]["schemas"]
        schemas.update({**components, **more})
        for name in ("ScoreRequest", "GroupsRequest"):
            refer_to_specs(schemas[name])
        return whole

    app.openapi = document  # type: ignore[method-assign]
