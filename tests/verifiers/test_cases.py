"""Every row of `tests/cases`, which together say what each scorer rewards."""

from __future__ import annotations

import asyncio

import pytest

from tests.verifiers.cases import CASES, Case, all_cases, cases_of
from verifiers.base import Score
from verifiers.registry import Registry

REGISTRY = Registry()


@pytest.mark.parametrize(("scorer", "case"), all_cases())
def test_case(scorer: str, case: Case) -> None:
    score = asyncio.run(REGISTRY.build({"type": scorer, **case.scorer}).score(case.samples()))[0]
    if case.error is not None:
        check_error(score, case)
        return
    assert score.error is None
    assert (score.reward, score.outcome) == (pytest.approx(case.reward), case.outcome), case.why
    if case.answer is not None:
        assert score.answer == case.answer
    if case.components is not None:
        assert score.components == case.components
    if case.violation is not None:
        assert score.details["violation"] == case.violation


def check_error(score: Score, case: Case) -> None:
    assert score.error is not None, case.why
    assert score.error.code == case.error
    assert (case.message or "") in score.error.message


@pytest.mark.parametrize("scorer", sorted(REGISTRY.types))
def test_every_scorer_has_rows_of_every_kind_and_no_id_twice(scorer: str) -> None:
    cases = cases_of(scorer)
    assert {case.tag for case in cases} == {"gold", "accept", "reject", "hack"}
    assert len({case.id for case in cases}) == len(cases)


def test_every_file_of_cases_belongs_to_a_scorer() -> None:
    assert {path.stem for path in CASES.glob("*.jsonl")} <= set(REGISTRY.types)
