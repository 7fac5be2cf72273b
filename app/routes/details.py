"""What `details` of a score may hold: the scorer's own keys, and those that the service adds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from verifiers.base import LaneName, Scorer

Schema = dict[str, Any]

REF = "#/components/schemas/{model}"

DOCUMENTED = ConfigDict(use_attribute_docstrings=True)
"""A docstring under a key describes it."""


class Flood(TypedDict, total=False):
    """Of any score."""

    completion_limit_bytes: int
    """The limit that a `rejected` completion exceeds, from the settings."""


class TimeLimit(TypedDict, total=False):
    """Of a score from lane cpu."""

    cpu_limit_s: float
    """The processor seconds after which a completion was given up with `time_limit`."""


class Degraded(TypedDict, total=False):
    """Of a score from lane sandbox."""

    degraded: list[str]
    """What the sandbox lacks, where the settings allow it to run without."""


ADDED_BY_LANE: dict[LaneName, Any] = {"cpu": TimeLimit, "sandbox": Degraded}


def details_schema(scorer_type: type[Scorer[Any]]) -> Schema:
    """The JSON Schema of all keys. Each may be missing; a scorer from elsewhere may add some."""
    schema, definitions = schema_and_definitions(scorer_type, "#/$defs/{model}")
    return schema | ({"$defs": definitions} if definitions else {})


def details_components(types: Mapping[str, type[Scorer[Any]]]) -> Schema:
    """The schemas of all scorers, as components of an OpenAPI document."""
    components: Schema = {}
    for name, scorer_type in sorted(types.items()):
        schema, definitions = schema_and_definitions(scorer_type, REF)
        components |= {f"details.{name}": schema, **definitions}
    return components


@cache
def schema_and_definitions(
    scorer_type: type[Scorer[Any]], ref_template: str
) -> tuple[Schema, Schema]:
    declared = (scorer_type.details_type, Flood, ADDED_BY_LANE.get(scorer_type.lane))
    properties: Schema = {}
    definitions: Schema = {}
    for typed_dict in filter(None, declared):
        held: Any = tuple[typed_dict]  # type: ignore[valid-type]  # by itself it takes no config
        whole = TypeAdapter(held, config=DOCUMENTED).json_schema(ref_template=ref_template)
        properties |= whole["$defs"].pop(typed_dict.__name__)["properties"]
        definitions |= whole["$defs"]
    return {"type": "object", "properties": properties}, definitions
