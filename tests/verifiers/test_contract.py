"""What every scorer of the registry keeps, whatever it rewards, on the lane that it runs on."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from tests.on_lanes import lanes
from tests.verifiers.cases import Case, all_cases
from verifiers.base import Outcome, Parameters, Sample, Score, Scorer, SpecError, Verifier
from verifiers.boundary import attempt
from verifiers.registry import Registry
from verifiers.sample import AssistantMessage, Message
from verifiers.score import to_json

LANES = lanes()
REGISTRY = LANES.registry
NAMES = sorted(REGISTRY.types)
VERIFIERS = sorted(Registry().types)
read_score = msgspec.json.Decoder(Score).decode
OUTCOMES = TypeAdapter(Outcome)

every_scorer = pytest.mark.parametrize("name", NAMES)
every_scorer_often = pytest.mark.parametrize(
    "name",
    [
        # A process for each of many examples.
        pytest.param(name, marks=pytest.mark.slow) if kind.lane == "sandbox" else name
        for name, kind in sorted(REGISTRY.types.items())
    ],
)

# No surrogates: what comes over HTTP has none. Everything else, control characters
# included, and the pieces that scorers look for, so that they find some.
PIECES = ["<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "{", "}", "\\", "```\n", "\n"]
PIECES += ['{"city": "Paris"}', "[", '"', "1e999", "🇩", "👩\u200d👧", "e\u0301", "\u0600", "\r\n"]
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.builds(str.__mul__, st.sampled_from(PIECES), st.integers(1, 2_000)),
)


def example(name: str) -> tuple[Scorer[Any], Sample]:
    sample = Sample.model_validate(REGISTRY.types[name].example)
    assert sample.scorer is not None
    return REGISTRY.build(sample.scorer), sample


def bare(name: str) -> Scorer[Any]:
    """The scorer without parameters, so that it reads the reference if it ever does; as in its
    example where it needs some."""
    try:
        return REGISTRY.build(name)
    except SpecError:
        return REGISTRY.build(REGISTRY.types[name].example["scorer"])


def reads_reference(name: str) -> bool:
    return REGISTRY.types[name].reference_type is not None


def is_composite(name: str) -> bool:
    return REGISTRY.types[name].kind == "composite"


def scores(scorer: Scorer[Any], samples: Sequence[Sample]) -> list[Score]:
    return LANES.scores(scorer, samples)


def keeps_the_contract(scorer: Scorer[Any], score: Score) -> bool:
    lowest, highest = scorer.reward_range
    if score.error is not None:
        return score.reward is None and bool(score.error.code and score.error.message)
    return (
        score.reward is not None
        and math.isfinite(score.reward)
        and lowest <= score.reward <= highest
        and OUTCOMES.validate_python(score.outcome) == score.outcome
        and read_score(to_json(score)) == score
    )


@every_scorer
def test_the_example_earns_the_highest_reward(name: str) -> None:
    scorer, sample = example(name)
    assert scorer.name == name
    [score] = scores(scorer, [sample])
    assert score.error is None
    assert score.reward == scorer.reward_range[1]
    assert score.outcome == "correct"


@every_scorer
def test_there_is_a_score_for_every_sample_and_in_order(name: str) -> None:
    scorer, sample = example(name)
    silent = sample.model_copy(update={"completion": "<think>"})
    loud = sample.model_copy(update={"completion": "so " * 5_000})
    alone = [scores(scorer, [one])[0].reward for one in (sample, silent, loud)]
    together = scores(scorer, [loud, sample, silent, sample])
    assert [score.reward for score in together] == [alone[2], alone[0], alone[1], alone[0]]
    assert scores(scorer, []) == []


@every_scorer
def test_documented_and_versioned(name: str) -> None:
    scorer_type = REGISTRY.types[name]
    documentation = scorer_type.__dict__.get("__doc__")
    assert documentation, "its own docstring, not an inherited one"
    first_line = inspect.cleandoc(documentation).splitlines()[0]
    assert first_line.startswith("Rewards ")
    assert first_line.endswith((".", ":"))
    assert scorer_type.version
    fields = scorer_type.parameters_type.model_fields
    assert [field for field, info in fields.items() if not info.description] == []


@every_scorer
def test_schemas_are_json_schemas_that_the_example_fits(name: str) -> None:
    scorer_type = REGISTRY.types[name]
    parameters = scorer_type.parameters_type.model_json_schema()
    Draft202012Validator.check_schema(parameters)
    spec = dict(scorer_type.example["scorer"])
    assert spec.pop("type") == name
    Draft202012Validator(parameters).validate(spec)
    reference = scorer_type.reference_schema()
    if reference is not None:
        Draft202012Validator.check_schema(reference)
    if "reference" in scorer_type.example and reference is not None:
        Draft202012Validator(reference).validate(scorer_type.example["reference"])


@every_scorer
def test_a_required_field_left_out_is_named(name: str) -> None:
    scorer, sample = example(name)
    for required in scorer.requires:
        [score] = scores(scorer, [sample.model_copy(update={required: None})])
        assert score.error is not None
        assert score.error.code == "missing_field"
        assert required in score.error.message


def references_of_another_type() -> list[Any]:
    """(scorer, reference) where the reference does not fit the scorer's schema."""
    return [
        (name, wrong)
        for name in NAMES
        if (schema := REGISTRY.types[name].reference_schema()) is not None
        for wrong in (7, 1.5, [[]])
        if not Draft202012Validator(schema).is_valid(wrong)
    ]


@pytest.mark.parametrize(("name", "wrong"), references_of_another_type())
def test_a_reference_of_the_wrong_type_is_an_error(name: str, wrong: Any) -> None:
    [score] = scores(bare(name), [Sample(completion="42", reference=wrong)])
    assert score.error is not None
    assert score.error.code == "invalid_reference"
    assert score.error.message.startswith("reference")
    assert not score.error.retryable


@pytest.mark.parametrize("name", [name for name in VERIFIERS if not is_composite(name)])
def test_parameters_survive_the_way_to_a_worker(name: str) -> None:
    scorer, _ = example(name)
    dumped = {"type": name, **scorer.parameters.model_dump(mode="json")}
    rebuilt = Registry().build(json.loads(json.dumps(dumped)))
    assert rebuilt.identity == scorer.identity


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}


@every_scorer
@pytest.mark.parametrize(
    ("reads", "said"),
    [
        ("calls", {"content": None, "tool_calls": [CALL]}),
        ("images", {"content": [PICTURE]}),
        ("text", {"content": None, "refusal": "I will not."}),
    ],
)
def test_what_it_does_not_read_has_no_price(name: str, reads: Any, said: dict[str, Any]) -> None:
    scorer, sample = example(name)
    other = AssistantMessage.model_validate({"role": "assistant", **said})
    [score] = scores(scorer, [sample.model_copy(update={"completion": other})])
    if reads != "text" and reads in scorer.reads:
        assert keeps_the_contract(scorer, score)
        return
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("unreadable", False)


@every_scorer
def test_what_nobody_reads_beside_a_text_changes_nothing(name: str) -> None:
    scorer, sample = example(name)
    parts = [{"type": "text", "text": sample.text, "cache_control": None}, PICTURE]
    beside = AssistantMessage.model_validate(
        {"role": "assistant", "content": parts, "tool_calls": [CALL], "reasoning_content": "so"}
    )
    pictured = [Message.model_validate({"role": "user", "content": [PICTURE]}), *prompt_of(sample)]
    [plain, other] = scores(
        scorer,
        [sample, sample.model_copy(update={"completion": beside, "prompt": pictured})],
    )
    assert (other.reward, other.outcome, other.answer) == (
        plain.reward,
        plain.outcome,
        plain.answer,
    )


def prompt_of(sample: Sample) -> list[Message]:
    if isinstance(sample.prompt, list):
        return sample.prompt
    return [Message(role="user", content=sample.prompt)]


@every_scorer_often
@settings(max_examples=60)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3), message=st.booleans())
def test_arbitrary_completions_get_rewards(name: str, texts: list[str], message: bool) -> None:
    scorer, sample = example(name)
    samples = [
        sample.model_copy(
            update={
                "completion": AssistantMessage(role="assistant", content=text) if message else text
            }
        )
        for text in texts
    ]
    first, second = scores(scorer, samples), scores(scorer, samples)
    for score in first:
        assert score.error is None, "whatever a policy writes is its own fault"
        assert keeps_the_contract(scorer, score)
    assert not scorer.deterministic or [s.reward for s in first] == [s.reward for s in second]


@every_scorer_often
@settings(max_examples=40)
@given(
    reference=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    )
)
def test_arbitrary_references_get_a_reward_or_an_error(name: str, reference: Any) -> None:
    scorer = bare(name)
    for completion in ("", "Paris", "<think>a</think>\\boxed{42}"):
        [score] = scores(scorer, [Sample(completion=completion, reference=reference)])
        assert keeps_the_contract(scorer, score)
        assert score.error is None or score.error.code in ("missing_field", "invalid_reference")


@pytest.mark.parametrize(("name", "case"), all_cases())
def test_rows_keep_the_contract_and_repeat_exactly(name: str, case: Case) -> None:
    scorer = REGISTRY.build({"type": name, **case.scorer})
    first, second = scores(scorer, [case.sample(), case.sample()])
    assert keeps_the_contract(scorer, first)
    assert first.error is not None or first.components.keys() >= set(scorer.component_names)
    assert (first.reward, first.outcome, first.answer) == (
        second.reward,
        second.outcome,
        second.answer,
    )


def test_digests_tell_parameters_apart() -> None:
    scorers = [REGISTRY.build({"type": name, **case.scorer}) for name, case in distinct_specs()]
    digests = {scorer.identity.digest for scorer in scorers}
    parameters = {(s.name, s.parameters.model_dump_json()) for s in scorers}
    assert len(digests) == len(parameters)


def test_digests_are_the_same_in_every_process() -> None:
    program = (
        "from verifiers.registry import Registry; r = Registry();"
        "print([r.build(t.example['scorer']).identity.digest for _, t in sorted(r.types.items())])"
    )
    ours = str([example(name)[0].identity.digest for name in VERIFIERS])
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == ours


def test_defaults_written_out_change_no_digest() -> None:
    short, long = {"type": "exact_match"}, {"type": "exact_match", "strip": True}
    assert REGISTRY.build(short).identity == REGISTRY.build(long).identity


def test_what_may_hang_stays_off_the_event_loop() -> None:
    lanes = {name: scorer.lane for name, scorer in REGISTRY.types.items()}
    assert [name for name, lane in sorted(lanes.items()) if lane == "cpu"] == [
        "json_schema",
        "math",
        "regex",
        "text_similarity",
    ]


def test_a_bug_of_ours_is_an_error_and_no_reward() -> None:
    class Broken(Verifier[Any]):
        name, version = "broken", "1"

        def score_one(self, sample: Sample) -> Score:
            raise RecursionError("deep inside")

    [score] = scores(Broken(Parameters()), [Sample(completion="")])
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("internal", False)
    assert "deep inside" not in score.error.message


@pytest.mark.parametrize(("capped", "expected"), [(True, "memory_limit"), (False, None)])
def test_memory_is_the_completions_fault_only_under_its_own_cap(
    capped: bool, expected: str | None
) -> None:
    class Hungry(Verifier[Any]):
        name, version = "hungry", "1"

        def score_one(self, sample: Sample) -> Score:
            raise MemoryError

    score = attempt(Hungry(Parameters()), Sample(completion=""), memory_is_capped=capped)
    assert score.outcome == expected
    assert (score.error is None) == capped
    assert score.error is None or score.error.retryable


@pytest.mark.parametrize("reward", [None, math.nan, math.inf, -math.inf])
def test_a_score_without_a_finite_reward_does_not_exist(reward: float | None) -> None:
    with pytest.raises(ValueError, match="reward"):
        Score(reward=reward)


def distinct_specs() -> list[tuple[str, Case]]:
    return [parameters.values for parameters in all_cases()]
