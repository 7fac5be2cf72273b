"""Composites: their range, their digest, their demand, and who is to blame when they fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.base import (
    InvalidReference,
    Sample,
    Score,
    Scorer,
    ScoringError,
    Settle,
    SpecError,
    Verifier,
    run_here,
)
from verifiers.errors import DeadlineExceeded
from verifiers.registry import Registry
from verifiers.weighted import MAX_PARTS, Weighted

REGISTRY = Registry()
PENALTY = {"type": "length", "max_length": 20, "buffer": 10}
EDIT = {"type": "string_reversal", "partial": "edit"}


def weighted(
    gates: dict[str, Any] | None = None, **components: tuple[Any, float]
) -> dict[str, Any]:
    parts = {name: {"scorer": spec, "weight": w} for name, (spec, w) in components.items()}
    return {"type": "weighted", "components": parts, "gates": gates or {}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (weighted(a=("format", 2.0)), (0.0, 2.0)),
        (weighted(a=("format", -2.0)), (-2.0, 0.0)),
        (weighted(a=("format", 1.0), b=(PENALTY, 0.5)), (-0.5, 1.0)),
        (weighted(a=("format", 1.0), b=(PENALTY, -0.5)), (0.0, 1.5)),
        (weighted({"g": {"scorer": "format"}}, a=("format", 1.0)), (0.0, 1.0)),
        (weighted({"g": {"scorer": "format"}}, a=(PENALTY, 1.0)), (-1.0, 0.0)),
        (weighted({"g": {"scorer": "format", "at_least": 0.0}}, a=(PENALTY, 1.0)), (-1.0, 0.0)),
        (weighted({"g": {"scorer": "format", "at_least": 2.0}}, a=("format", 1.0)), (0.0, 0.0)),
        (weighted(a=(weighted(b=("format", 3.0)), 0.5)), (0.0, 1.5)),
    ],
)
def test_the_range_is_what_the_parts_allow(spec: Any, expected: tuple[float, float]) -> None:
    assert REGISTRY.build(spec).reward_range == expected


SPECS = st.sampled_from(["format", EDIT, PENALTY, "repetition", {"type": "exact_match"}])
WEIGHTS = st.floats(-1e6, 1e6).filter(bool)
GATES = st.sampled_from(
    [
        {"scorer": "format"},
        {"scorer": EDIT},
        {"scorer": EDIT, "at_least": 0.3},
        {"scorer": PENALTY, "at_least": -0.5},
    ]
)


@given(
    st.lists(st.tuples(SPECS, WEIGHTS), min_size=1, max_size=5),
    st.lists(GATES, max_size=2),
    st.text("abc <>/think", max_size=40),
)
def test_no_reward_leaves_the_range_by_a_rounding_error(
    parts: list[tuple[Any, float]], gates: list[Any], completion: str
) -> None:
    spec = weighted(
        {f"g{i}": gate for i, gate in enumerate(gates)},
        **{f"c{i}": component for i, component in enumerate(parts)},
    )
    scorer = REGISTRY.build(spec)
    [score] = asyncio.run(scorer.score([Sample(completion=completion, reference="abc")]))
    lowest, highest = scorer.reward_range
    assert score.reward is not None
    assert lowest <= score.reward <= highest


def test_the_order_of_the_parts_changes_nothing() -> None:
    parts = {"a": ("format", 0.1), "b": (EDIT, 0.2), "c": (PENALTY, 0.3), "d": ("repetition", 0.7)}
    forwards = Registry().build(weighted(**parts))
    backwards = Registry().build(weighted(**dict(reversed(parts.items()))))
    assert forwards.identity == backwards.identity
    sample = Sample(completion="cbx cbx cbx cbx", reference="abc")
    [one], [other] = asyncio.run(forwards.score([sample])), asyncio.run(backwards.score([sample]))
    assert (one.reward, one.answer) == (other.reward, other.answer)


@pytest.mark.parametrize(
    "other",
    [
        weighted(a=("format", 2.0)),
        weighted(b=("format", 1.0)),
        weighted(a=({"type": "format", "boxed": True}, 1.0)),
        weighted({"g": {"scorer": "format"}}, a=("format", 1.0)),
        weighted({"g": {"scorer": "format", "at_least": 1.0}}, a=("format", 1.0)),
    ],
)
def test_whatever_changes_a_score_changes_the_digest(other: Any) -> None:
    assert REGISTRY.build(other).identity != REGISTRY.build(weighted(a=("format", 1.0))).identity


def test_a_sample_takes_a_place_for_every_part() -> None:
    inner = weighted(x=({"type": "regex", "pattern": "a"}, 1.0), y=("format", 1.0))
    scorer = REGISTRY.build(weighted({"g": {"scorer": "format"}}, a=(inner, 1.0)))
    assert scorer.demand == Counter({"inline": 2, "cpu": 1})


@pytest.mark.parametrize("nested", [False, True])
def test_parts_are_bounded_all_together(nested: bool) -> None:
    def parts(count: int) -> dict[str, Any]:
        return {f"p{i}": ("format", 1.0) for i in range(count)}

    if nested:
        half = (weighted(**parts(MAX_PARTS // 2)), 1.0)
        fits, exceeds = {"a": half, "b": half}, {"a": half, "b": half, "c": ("format", 1.0)}
    else:
        fits, exceeds = parts(MAX_PARTS), parts(MAX_PARTS + 1)
    REGISTRY.build(weighted(**fits))
    with pytest.raises(SpecError, match="64 parts in all"):
        REGISTRY.build(weighted(**exceeds))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (weighted(), "components: Dictionary should have at least 1 item"),
        (weighted(a=("format", 0.0)), "components.a.weight: a weight of 0"),
        (weighted(a=("format", 1e7)), "components.a.weight: Input should be less than"),
        (weighted(a=("format", float("nan"))), "not JSON"),
        (weighted({"a": {"scorer": "format"}}, a=("format", 1.0)), "both a component and a gate"),
        (weighted({"g": {"scorer": PENALTY}}, a=("format", 1.0)), "gates.g: .* needs at_least"),
        (weighted({"g": {"scorer": "nope"}}, a=("format", 1.0)), "gates.g.scorer: no scorer"),
    ],
)
def test_what_cannot_be_weighed_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        REGISTRY.build(spec)


class Failing(Verifier[Any]):
    """Rewards nothing: fails as it is told."""

    name, version = "failing", "1"
    error: ScoringError

    def score_one(self, sample: Sample) -> Score:
        raise self.error


def failing(errors: dict[str, ScoringError]) -> Registry:
    """A registry in whose composites the scorers of these types fail."""

    async def run(
        scorer: Scorer[Any], samples: Sequence[Sample], on_score: Settle | None = None, /
    ) -> list[Score]:
        if (error := errors.get(scorer.name)) is not None:
            scorer = Failing(None)
            scorer.error = error
        return await run_here(scorer, samples, on_score)

    return Registry(run=run)


BUSY = DeadlineExceeded("too late")
BROKEN = InvalidReference("reference: broken")


@pytest.mark.parametrize(
    ("errors", "code", "retryable", "named"),
    [
        ({"format": BUSY}, "deadline_exceeded", True, "'form'"),
        ({"length": BROKEN}, "invalid_reference", False, "'short'"),
        ({"format": BUSY, "length": BROKEN}, "invalid_reference", False, "'short'"),
        ({"format": BROKEN, "length": BUSY}, "invalid_reference", False, "'form'"),
        ({"format": BUSY, "length": BUSY, "repetition": BUSY}, "deadline_exceeded", True, "'form'"),
    ],
)
def test_one_failed_part_leaves_the_whole_unscored(
    errors: dict[str, ScoringError], code: str, retryable: bool, named: str
) -> None:
    spec = weighted(
        {"fresh": {"scorer": "repetition", "at_least": -0.5}},
        form=("format", 1.0),
        short=(PENALTY, 0.5),
    )
    [score] = asyncio.run(failing(errors).build(spec).score([Sample(completion="<think>")]))
    assert score.reward is None
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == (code, retryable)
    assert named in score.error.message


def test_a_failure_fails_its_own_sample_only() -> None:
    scorer = REGISTRY.build(weighted(right=(EDIT, 1.0)))
    samples = [Sample(completion="cba", reference=reference) for reference in ("abc", 7, "abc")]
    rewards = [score.reward for score in asyncio.run(scorer.score(samples))]
    assert rewards == [1.0, None, 1.0]


def test_parts_run_side_by_side_each_once() -> None:
    running: list[str] = []
    together: set[str] = set()

    async def run(
        scorer: Scorer[Any], samples: Sequence[Sample], on_score: Settle | None = None, /
    ) -> list[Score]:
        running.append(scorer.name)
        await asyncio.sleep(0)
        together.update(running)
        return await run_here(scorer, samples, on_score)

    spec = weighted(
        {"g": {"scorer": "repetition", "at_least": 0.0}}, a=("format", 1.0), b=(EDIT, 1)
    )
    asyncio.run(Registry(run=run).build(spec).score([Sample(completion="", reference="a")]))
    assert sorted(running) == sorted(together) == ["format", "repetition", "string_reversal"]


def test_no_gate_of_the_example_spares_a_policy_a_penalty() -> None:
    """Where the sum cannot be negative, closing a gate on purpose never pays."""
    example = Weighted.example["scorer"]
    assert Registry().build({**example, "gates": {}}).reward_range[0] >= 0.0
