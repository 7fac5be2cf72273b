"""What scores say in `details` is what the schemas of the scorers say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from app.routes.details import details_schema
from benchmarks.rubric_judges import Honest, contains
from judges.reward_model.serve.scorer import RewardModelScorer
from judges.rubric import RubricScorer
from tests.app.conftest import CATASTROPHIC, HANGS, in_process
from tests.judges.reward_model.serving import model_folder, sample, scored, serving
from tests.judges.rubric.test_compare import compared, graded_by_length, longer
from tests.judges.rubric.test_scorer import JSON_FORM, PARIS, SEINE, Scripted, built, fixed
from tests.judges.rubric.test_scorer import scored as scored_by_rubric
from tests.verifiers.cases import CASES, cases_of
from verifiers.base import Score
from verifiers.registry import Registry
from verifiers.score import to_json

REGISTRY = Registry()
TYPES = {each.name: each for each in (*REGISTRY.types.values(), RubricScorer, RewardModelScorer)}


@cache
def validator(name: str) -> Draft202012Validator:
    """Of a scorer's details, and no other key."""
    schema = details_schema(TYPES[name])
    definitions = schema.get("$defs", {})
    for part in (schema, *definitions.values()):
        part["additionalProperties"] = False
    return Draft202012Validator(schema)


def keys_of(name: str, scores: Iterable[Score]) -> set[str]:
    """The keys of all these scores. Each fits the scorer's schema."""
    found: set[str] = set()
    for score in scores:
        validator(name).validate(msgspec.json.decode(to_json(score.details)))
        found |= score.details.keys()
    return found


def own_keys(name: str) -> set[str]:
    details_type = TYPES[name].details_type
    return set(details_type.__annotations__) if details_type else set()


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_key_is_described(name: str) -> None:
    schema = details_schema(TYPES[name])
    Draft202012Validator.check_schema(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert [key for key, of in part["properties"].items() if not of.get("description")] == []


@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.jsonl")))
def test_the_rows_have_every_key_that_is_declared_and_no_other(name: str) -> None:
    async def scores() -> list[Score]:
        scorers = [(REGISTRY.build({"type": name, **case.scorer}), case) for case in cases_of(name)]
        return [score for scorer, case in scorers for score in await scorer.score(case.samples())]

    assert keys_of(name, asyncio.run(scores())) == own_keys(name)


def test_a_rubric_says_all_that_is_declared_and_no_more() -> None:
    judge = Honest(contains)
    judged = built(judge, criteria=[PARIS, SEINE], max_characters=20)
    by_programs = built(judge, criteria=[JSON_FORM])
    repaired = built(Scripted(["no verdict", fixed(True)]), criteria=[PARIS])
    scores = [
        *(scored_by_rubric(judged, text) for text in ("Paris", "...", "", "Paris " * 9)),
        scored_by_rubric(by_programs, "{}"),
        scored_by_rubric(repaired, "Paris"),
        *compared(Honest(longer), ["xxx", "x"]),
        *compared(Honest(graded_by_length), ["xxx", "x"], mode="listwise"),
    ]
    assert keys_of("rubric", scores) == own_keys("rubric")


def test_a_reward_model_says_all_that_is_declared_and_no_more(tmp_path: Path) -> None:
    async def scores() -> list[Score]:
        async with serving(model_folder(tmp_path)) as models:
            samples = [sample("a red answer"), sample("a red answer " * 40)]
            return await scored(models, samples, too_long="reject")

    assert keys_of("reward_model", asyncio.run(scores())) == own_keys("reward_model")


def test_what_the_service_adds_is_declared() -> None:
    samples: list[dict[str, Any]] = [
        {"completion": "x" * 101, "scorer": {"type": "regex", "pattern": "x"}},
        {"completion": HANGS, "scorer": CATASTROPHIC},
    ]
    with in_process(max_completion_bytes=100, cpu_limit_s=0.2) as client:
        flood, late = client.post("/v1/score", json={"samples": samples}).json()["scores"]
    assert flood["details"] == {"completion_limit_bytes": 100}
    assert late["details"] == {"cpu_limit_s": 0.2}
    validator("regex").validate(flood["details"])
    validator("json_schema").validate(late["details"])


def test_discovery_and_the_openapi_document_show_the_schemas() -> None:
    with in_process() as client:
        document = client.get("/openapi.json").json()
        scorers = client.get("/v1/scorers").json()["scorers"]
    schemas = document["components"]["schemas"]
    shown = {
        ref["$ref"].rpartition("/")[2] for ref in schemas["Score"]["properties"]["details"]["anyOf"]
    }
    assert shown == {f"details.{scorer['name']}" for scorer in scorers}
    for scorer in scorers:
        assert scorer["details_schema"] == details_schema(TYPES[scorer["name"]])
        listed = schemas[f"details.{scorer['name']}"]["properties"]
        assert listed.keys() == scorer["details_schema"]["properties"].keys()
    assert "OpinionDetails" in schemas
