"""What each scorer takes, as components of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.http.openapi import REF, SPEC, Schema, refer_to_specs
from verifiers.base import Scorer

REF_TO_MODEL = REF.format(name="{model}")


def spec_components(types: Mapping[str, type[Scorer[Any]]]) -> Schema:
    """`{"type": NAME, **parameters}` of every scorer, and the choice of one of them."""
    parts: Schema = {}
    specs: Schema = {}
    for name, scorer_type in sorted(types.items()):
        schema = scorer_type.parameters_type.model_json_schema(ref_template=REF_TO_MODEL)
        parts |= schema.pop("$defs", {})
        members = {"type": {"type": "string", "const": name}, **schema.get("properties", {})}
        required = ["type", *schema.get("required", [])]
        specs[f"scorer.{name}"] = {**schema, "properties": members, "required": required}
    for part in parts.values():
        refer_to_specs(part)
    return {**parts, **specs, SPEC: {"anyOf": [{"$ref": REF.format(name=name)} for name in specs]}}
