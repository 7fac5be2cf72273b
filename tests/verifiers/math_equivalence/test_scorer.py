"""The scorer: what it demands of references, explains, and withstands."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.math_hostile import REFERENCE, completions
from benchmarks.math_rewrites import NEAR_MISSES, REWRITES, pairs
from verifiers.base import InvalidReference, Sample, Score
from verifiers.boundary import attempt
from verifiers.math_equivalence import MathEquivalence
from verifiers.math_equivalence.numbers.symbolic import OverBudget, budget
from verifiers.math_equivalence.policy import MathParameters

SCORER = MathEquivalence(MathParameters())


def score(completion: str, reference: object = "5") -> Score:
    return SCORER.score_one(
        Sample.model_validate({"completion": completion, "reference": reference})
    )


def test_details_explain_a_wrong_answer() -> None:
    result = score("So \\boxed{\\sqrt{26}}", "$5$")
    assert (result.reward, result.outcome, result.answer) == (0.0, "incorrect", "\\sqrt{26}")
    assert result.details == {
        "method": "numeric",
        "extracted_by": "boxed",
        "type": "number",
        "reference_normal": "5",
        "answer_normal": "\\sqrt{26}",
        "reason": "different",
        "witness": {"reference": "5", "answer": "5.09901951359"},
    }


@pytest.mark.parametrize("reference", [float("nan"), float("inf")])
def test_a_reference_that_is_no_number_is_unusable(reference: float) -> None:
    with pytest.raises(InvalidReference):
        SCORER.score_one(Sample.model_construct(completion="5", reference=reference))


@pytest.mark.parametrize("reference", ["x=", "(1,", "[1,2", "1,2,", "x >", "1 +", "(1+2", "f(x"])
def test_a_reference_that_is_cut_off_is_unusable(reference: str) -> None:
    with pytest.raises(InvalidReference):
        score("5", reference)


@pytest.mark.parametrize(
    "reference", ["[1,2)", "]1,2[", "A)", "A+", "\\mathbb{R}^+", "1, 2, \\ldots"]
)
def test_a_reference_with_unusual_signs_is_usable(reference: str) -> None:
    assert score("\\boxed{77}", reference).outcome in ("incorrect", "rejected")


def test_importing_the_registry_does_not_import_sympy() -> None:
    program = "import sys, verifiers.registry; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("name", completions())
def test_a_hostile_completion_earns_nothing(name: str) -> None:
    result = score(completions()[name], REFERENCE)
    assert (result.reward, result.outcome) in [
        (0.0, outcome) for outcome in ("rejected", "incorrect", "no_answer")
    ] or name == "difference of towers"


@pytest.mark.parametrize("name", completions())
def test_a_hostile_reference_is_used_or_refused(name: str) -> None:
    result = attempt(SCORER, Sample(completion="\\boxed{42}", reference=completions()[name]))
    assert result.error is None or result.error.code == "invalid_reference"


@given(st.text(max_size=400), st.text(max_size=60))
def test_arbitrary_completions_and_references_are_scored_or_refused(
    completion: str, reference: str
) -> None:
    result = attempt(SCORER, Sample(completion=completion, reference=reference))
    assert result.error is None or result.error.code == "invalid_reference"


@given(st.text(min_size=1, max_size=40))
def test_a_usable_reference_in_a_box_is_right(reference: str) -> None:
    result = attempt(SCORER, Sample(completion=f"\\boxed{{{reference}}}", reference=reference))
    balanced = reference.count("{") == reference.count("}") == reference.count("\\") == 0
    if balanced and result.error is None and "boxed" not in reference and "<" not in reference:
        assert result.reward == 1.0 or result.outcome == "no_answer"


def test_sympy_is_stopped_when_its_budget_is_spent() -> None:
    def forever() -> None:
        while True:
            len("")

    profiler = sys.getprofile()
    with pytest.raises(OverBudget), budget(10_000):
        forever()
    assert sys.getprofile() is profiler


GOLDS = [
    "\\frac{3}{4}", "72", "1234", "2.5", "-7", "\\frac{17}{5}", "3\\sqrt{2}", "(3,-1)", "[2,5)",
    "x^2+3x-4", "1,-2", "\\text{Evelyn}", "\\begin{pmatrix}2\\\\3\\end{pmatrix}", "3+4i", "2x+y",
    "\\frac{\\sqrt{7}}{12}", "4\\pi", "60^\\circ", "(-\\infty,3)\\cup(7,\\infty)",
]  # fmt: skip


def test_rewrites_are_accepted_and_near_misses_are_not() -> None:
    generated = list(pairs(GOLDS, seed=1))
    wrong = [
        pair
        for pair in generated
        if (score(pair.completion, pair.reference).reward == 1.0) != pair.correct
    ]
    assert wrong == []
    kinds = {pair.kind for pair in generated}
    assert len(kinds & set(REWRITES)) >= 12
    assert len(kinds & set(NEAR_MISSES)) >= 8


@pytest.mark.parametrize(
    ("completion", "reference", "quick"),
    [
        ("So \\boxed{42}", "42", True),
        ("So \\boxed{-0.50}", -0.5, True),
        ("The answer is 42.", 42, True),
        ("The answer is 41. No, the answer is 42.", 42, True),
        ("no idea", "42", False),
        ("<think>still", "42", False),
        ("", "42", True),
        ("So \\boxed{\\frac{84}{2}}", "42", False),
        ("So \\boxed{42}", "\\frac{84}{2}", False),
        ("So \\boxed{2^2^9}", "42", False),
        ("So \\boxed{1e999999999}", "42", False),
        ("So \\boxed{" + "9" * 5_000 + "}", "42", True),
        ("It is 4.0" + "18" * 1_000, "4", True),
        ("So \\boxed{4\n2}", "42", False),
        ("So \\boxed{٤٢}", "42", False),
        ("It is \\boxed{x!!}. Hence the result is \\boxed{42}", 42, False),
        (" " * 9_000 + "\\boxed{42}", "42", False),
        ("So \\boxed{42}", None, False),
        ("So \\boxed{42}", ["42"], False),
    ],
)
def test_only_plain_numbers_are_quick(completion: str, reference: object, quick: bool) -> None:
    sample = Sample.model_validate({"completion": completion, "reference": reference})
    assert SCORER.is_quick(sample) is quick
