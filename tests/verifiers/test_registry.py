"""How specs become scorers, and what is said of those that do not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from verifiers.base import Services, SpecError
from verifiers.exact_match import ExactMatch
from verifiers.registry import MAX_BUILT, Registry, UnknownScorer


def faults(spec: Any, **presets: Any) -> dict[str, str]:
    """What is wrong with `spec`, by dotted path."""
    with pytest.raises(SpecError) as refused:
        Registry(presets).build(spec)
    return {".".join(map(str, path)): message for path, message in refused.value.faults}


def part(spec: Any) -> dict[str, Any]:
    return {"type": "weighted", "components": {"part": {"scorer": spec, "weight": 1.0}}}


def test_a_name_alone_is_a_scorer_with_default_parameters() -> None:
    registry = Registry()
    assert (
        registry.build("exact_match").identity == registry.build({"type": "exact_match"}).identity
    )


def test_the_same_spec_is_built_once_however_it_is_written() -> None:
    registry = Registry()
    first = registry.build({"type": "exact_match", "strip": False, "ignore_case": True})
    assert registry.build({"ignore_case": True, "strip": False, "type": "exact_match"}) is first


def test_only_so_many_scorers_are_kept() -> None:
    registry = Registry()
    first = registry.build({"type": "regex", "pattern": "a0"})
    for number in range(1, MAX_BUILT):
        registry.build({"type": "regex", "pattern": f"a{number}"})
    assert registry.build({"type": "regex", "pattern": "a0"}) is first
    registry.build({"type": "regex", "pattern": "a"})
    registry.build({"type": "regex", "pattern": "b"})
    assert registry.build({"type": "regex", "pattern": "a0"}) is first, "used again, kept longer"
    for number in range(MAX_BUILT):
        registry.build({"type": "regex", "pattern": f"b{number}"})
    assert registry.build({"type": "regex", "pattern": "a0"}) is not first


@pytest.mark.parametrize("spec", ["nope", {"type": "nope"}, {"type": "nope", "strip": True}])
def test_an_unknown_name_lists_the_known_ones(spec: Any) -> None:
    registry = Registry({"mine": "exact_match"})
    with pytest.raises(UnknownScorer) as refused:
        registry.build(spec)
    assert refused.value.known == registry.names()
    assert "no scorer or preset is called 'nope'" in str(refused.value)
    assert "exact_match" in str(refused.value)
    assert "mine" in str(refused.value)


def test_an_unknown_name_is_not_echoed_at_length() -> None:
    with pytest.raises(UnknownScorer) as refused:
        Registry().build({"type": "x" * 100_000})
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"type": "exact_match", "stirp": True}, "stirp"),
        ({"type": "exact_match", "strip": "perhaps"}, "strip"),
        ({"type": "length", "max_length": 10}, "buffer"),
        ({"type": "regex", "pattern": "("}, "pattern"),
        ({"type": "json_schema", "schema": {"type": "dictionary"}}, "schema"),
        ({"type": "format", "answer_tag": "a b"}, "answer_tag"),
        ({}, "type"),
        ({"type": 7}, "type"),
        (part({"type": "regex", "pattern": "("}), "components.part.scorer.pattern"),
        (part(part({"type": "nope"})), "components.part.scorer.components.part.scorer"),
        (
            {"type": "weighted", "components": {"a": {"scorer": "format", "weight": "x"}}},
            "components.a.weight",
        ),
    ],
)
def test_a_fault_is_named_by_its_path(spec: Any, path: str) -> None:
    assert list(faults(spec)) == [path]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "regex", "pattern": "(?<=a)b"}, "no look-around and no back-references"),
        ({"type": "regex", "pattern": "a" * 4_097}, "4,096 characters"),
        ({"type": "regex", "pattern": r"\pL{1000}"}, "too large"),
        ({"type": "regex", "pattern": "\ud800"}, "surrogates"),
        (
            {"type": "json_schema", "schema": {"$ref": "https://example.com/s"}},
            "nothing is fetched",
        ),
        ({"type": "json_schema", "schema": {"enum": ["x" * 70_000]}}, "65,536 characters"),
        ({"type": "json_schema", "schema": {"minLength": -1}}, "not a JSON Schema"),
        ({"type": "json_schema", "schema": {"pattern": "("}}, "pattern '(': not an RE2 pattern"),
        ({"type": "json_schema", "schema": {"pattern": "(?!a)"}}, "no look-around"),
        ({"type": "json_schema", "schema": {"format": "hostname"}}, "the formats are date"),
        ({"type": "length", "max_length": 10, "buffer": 11}, "buffer may not exceed"),
        ({"type": "format", "opened_by_prompt": True, "reasoning": "optional"}, "required"),
        ({"type": "format", "answer_tag": "think"}, "the tag of the reasoning"),
    ],
)
def test_a_fault_says_what_is_wrong(spec: Any, message: str) -> None:
    [said] = faults(spec).values()
    assert message in said


@pytest.mark.parametrize("depth", [150, 100_000])
def test_a_schema_nested_without_end_is_refused(depth: int) -> None:
    schema: Any = {}
    for _ in range(depth):
        schema = {"not": schema}
    [said] = faults({"type": "json_schema", "schema": schema}).values()
    assert said.endswith("too deep")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    assert faults({"type": "json_schema", "schema": {"minimum": number}})


def test_a_preset_is_a_name_for_a_spec() -> None:
    registry = Registry({"dates": {"type": "regex", "pattern": r"\d+"}, "also": "dates"})
    spec = {"type": "regex", "pattern": r"\d+"}
    assert registry.build("also").identity == registry.build(spec).identity
    assert {"dates", "also"} < set(registry.names())


def test_a_preset_inside_a_composite_changes_no_digest() -> None:
    registry = Registry({"mine": {"type": "exact_match", "strip": False}})
    spelt_out = part({"type": "exact_match", "strip": False})
    assert registry.build(part("mine")).identity == registry.build(spelt_out).identity


def test_a_preset_takes_no_parameters() -> None:
    said = faults({"type": "mine", "strip": True}, mine="exact_match")
    assert said == {"type": "'mine' is a preset: give its name alone"}


@pytest.mark.parametrize(
    ("presets", "path"),
    [
        ({"format": "exact_match"}, "presets.format"),
        ({"mine": {"type": "regex", "pattern": "("}}, "presets.mine.pattern"),
        ({"mine": "nope"}, "presets.mine"),
        ({"mine": "mine"}, "presets.mine"),
        ({"a": "b", "b": "a"}, "presets.a"),
    ],
)
def test_a_preset_that_cannot_be_is_refused_at_the_start(presets: Any, path: str) -> None:
    with pytest.raises(SpecError) as refused:
        Registry(presets)
    assert ".".join(map(str, refused.value.faults[0][0])) == path


def test_a_preset_that_holds_itself_is_too_deep() -> None:
    with pytest.raises(SpecError, match="nested more than 8 deep"):
        Registry({"mine": part("mine")})


def test_composites_nest_so_deep_and_no_deeper() -> None:
    spec: Any = "format"
    for _ in range(8):
        spec = part(spec)
    assert Registry().build(spec).reward_range == (0.0, 1.0)
    assert "nested more than 8 deep" in next(iter(faults(part(spec)).values()))


def test_other_distributions_add_scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, scorer_name="shouting")
    registry = Registry()
    assert "shouting" in registry.names()
    assert isinstance(registry.build("shouting"), ExactMatch)


def test_other_distributions_replace_no_scorer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, scorer_name="exact_match")
    with pytest.raises(SpecError, match="two installed scorers have this name"):
        Registry()


def install(path: Path, monkeypatch: pytest.MonkeyPatch, *, scorer_name: str) -> None:
    """Lays out a distribution that offers a scorer, as pip would."""
    module = f"third_party_{scorer_name}"
    (path / f"{module}.py").write_text(
        "from verifiers.exact_match import ExactMatch\n"
        "class Shouting(ExactMatch):\n"
        '    """Rewards shouting."""\n'
        f"    name = {json.dumps(scorer_name)}\n"
    )
    information = path / f"{module}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        f"[assay.scorers]\n{scorer_name} = {module}:Shouting\n"
    )
    monkeypatch.syspath_prepend(path)
    monkeypatch.delitem(sys.modules, module, raising=False)


class Lender:
    """What a host lends in these tests."""


class Borrowing(ExactMatch):
    """A scorer that keeps what its host lends it."""

    name = "borrowing"

    @classmethod
    def create(cls, parameters: Any, services: Services) -> Borrowing:
        scorer = cls(parameters)
        scorer.lender = services.hosted[Lender]
        return scorer


def test_a_host_adds_scorers_and_lends_them_what_is_shared() -> None:
    lender = Lender()
    registry = Registry(more=[Borrowing], hosted={Lender: lender})
    assert "borrowing" in registry.names()
    assert registry.build("borrowing").lender is lender


def test_an_integer_may_be_written_with_a_fraction_of_zero() -> None:
    parts = {"short": {"scorer": {"type": "length", "max_length": 9.0, "buffer": 2.0}}}
    whole = {"short": {"scorer": {"type": "length", "max_length": 9, "buffer": 2}}}
    length = Registry().build(parts["short"]["scorer"])
    assert length.identity == Registry().build(whole["short"]["scorer"]).identity
    weighted = Registry().build({"type": "weighted", "components": parts})
    assert weighted.reward_range == (-1.0, 0.0)


def test_no_other_value_is_made_an_integer() -> None:
    for value in (9.5, True, "9", None):
        with pytest.raises(SpecError, match="max_length"):
            Registry().build({"type": "length", "max_length": value, "buffer": 2.0})
