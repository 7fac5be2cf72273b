"""Properties of equality: an expression equals its own rewrites and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from verifiers.math_equivalence.comparison import compare
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.reading import Reading
from verifiers.math_equivalence.verdict import Verdict

POLICY = MathParameters()


def verdict(reference: str, answer: str) -> Verdict:
    return compare(Reading(reference), Reading(answer), POLICY)


def joined(parts: st.SearchStrategy[str], depth: int) -> st.SearchStrategy[str]:
    """Expressions in LaTeX, every operand in brackets or braces of its own."""
    if depth == 0:
        return parts
    inner = joined(parts, depth - 1)
    return st.one_of(
        parts,
        st.tuples(inner, inner).map(lambda pair: "(%s)+(%s)" % pair),
        st.tuples(inner, inner).map(lambda pair: "(%s)-(%s)" % pair),
        st.tuples(inner, inner).map(lambda pair: "(%s)(%s)" % pair),
        st.tuples(inner, inner).map(lambda pair: "\\frac{%s}{(%s)^2+1}" % pair),
        st.tuples(inner, st.integers(2, 3)).map(lambda pair: "(%s)^{%d}" % pair),
    )


NUMBERS = st.integers(0, 12).map(str) | st.sampled_from(
    ["\\pi", "\\sqrt{2}", "\\frac{2}{3}", "0.5"]
)
CLOSED_FORMS = joined(NUMBERS, 2)
EXPRESSIONS = joined(NUMBERS | st.sampled_from(["x", "y"]), 2)

REWRITES: list[Callable[[str], str]] = [
    lambda e: f"1\\cdot({e})",
    lambda e: f"({e})+0",
    lambda e: f"-(-({e}))",
    lambda e: f"\\frac{{3({e})}}{{3}}",
    lambda e: f"({e})+7-7",
    lambda e: f"\\dfrac{{({e})^2-1}}{{1}}-({e})^2+1+({e})",
    lambda e: f"$\\displaystyle \\left( {e} \\right)$.",
    lambda e: e.replace("\\frac", "\\tfrac").replace("+", " + "),
    lambda e: e.replace("\\pi", "π").replace("\\sqrt{2}", "2^{1/2}"),
]


@settings(max_examples=60)
@given(EXPRESSIONS, st.sampled_from(REWRITES))
def test_an_expression_equals_its_own_rewrites(
    expression: str, rewrite: Callable[[str], str]
) -> None:
    assert verdict(expression, rewrite(expression)).equal


@settings(max_examples=60)
@given(EXPRESSIONS, st.sampled_from(["1", "\\frac{1}{1000}", "-\\pi", "10^{-30}"]))
def test_an_expression_differs_from_itself_and_something_more(expression: str, more: str) -> None:
    assert not verdict(expression, f"({expression})+({more})").equal


@settings(max_examples=60)
@given(CLOSED_FORMS, CLOSED_FORMS)
def test_equality_of_expressions_is_symmetric(left: str, right: str) -> None:
    policy = MathParameters(rounding="never")
    one = compare(Reading(left), Reading(right), policy)
    other = compare(Reading(right), Reading(left), policy)
    assert one.equal == other.equal


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms())
def test_lists_have_no_order_and_tuples_have(members: list[int], random: object) -> None:
    shuffled = sorted(members, key=lambda member: (member * 7919) % 101)
    assert verdict(", ".join(map(str, members)), ", ".join(map(str, shuffled))).equal
    left, right = f"({','.join(map(str, members))})", f"({','.join(map(str, shuffled))})"
    assert verdict(left, right).equal == (members == shuffled)


@given(st.integers(-50, 50), st.integers(-50, 50), st.sampled_from("(["), st.sampled_from(")]"))
def test_an_interval_equals_its_inequality(low: int, high: int, opening: str, closing: str) -> None:
    assume(low < high)
    signs = {"(": "<", "[": "\\le", ")": "<", "]": "\\le"}
    text = f"{low} {signs[opening]} x {signs[closing]} {high}"
    assert verdict(f"{opening}{low},{high}{closing}", text).equal
    other = {"(": "[", "[": "("}[opening]
    assert not verdict(f"{other}{low},{high}{closing}", text).equal


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_rational_numbers_are_equal_exactly_when_they_are(left: object, right: object) -> None:
    assert verdict(str(left), str(right)).equal == (left == right)
    assert verdict(str(left), str(left)).equal


@given(st.text(max_size=200), st.text(max_size=200))
def test_arbitrary_texts_never_raise(left: str, right: str) -> None:
    assert isinstance(verdict(left, right), Verdict)


FRAGMENTS = st.sampled_from(
    "\\frac { } ( ) [ ] \\{ \\} | ^ _ + - * / = < > , ; ! % ' 1 2 0.5 x y e i \\pi \\sin \\log "
    "\\sqrt \\sum_{k=1}^{ \\int_0^1 dx \\pm \\cup \\in \\mathbb{R} \\infty \\begin{pmatrix} & \\\\ "
    "\\end{pmatrix} \\text{cm} and or \\binom \\circ . : \\le \\approx \\pmod "
    "\\lim_{x\\to0}".split()
)


@settings(max_examples=300)
@given(
    st.lists(FRAGMENTS, max_size=25).map("".join), st.lists(FRAGMENTS, max_size=25).map(" ".join)
)
def test_arbitrary_fragments_of_latex_never_raise(left: str, right: str) -> None:
    assert isinstance(verdict(left, right), Verdict)


# --- what decided, and why --------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "answer", "method"),
    [
        ("x+1", "x + 1", "string"),
        ("0.5", "\\frac12", "rational"),
        ("\\sqrt{8}", "2\\sqrt2", "numeric"),
        ("(x+1)^2", "x^2+2x+1", "identity"),
        ("50\\%", "50", "percent"),
        ("3.14", "\\pi", "rounding"),
        ("5 km", "5000 m", "units"),
        ("(1,2)", "1<x<2", "region"),
        ("y=2x", "2x-y=0", "equation"),
        ("3:2", "6:4", "ratio"),
        ("2k\\pi", "2n\\pi", "family"),
        ("C", "(C)", "choice"),
        ("3:30 p.m.", "15:30", "time"),
        ("\\int_0^1 2x\\,dx", "1", "symbolic"),
    ],
)
def test_the_tier_that_decided_is_named(reference: str, answer: str, method: str) -> None:
    assert verdict(reference, answer) == Verdict(True, method)


def test_a_difference_comes_with_a_witness() -> None:
    different = verdict("|x-3|", "x-3")
    assert set(different.witness) == {"at", "reference", "answer"}
    assert float(different.witness["at"]["x"]) < 3
    assert verdict("\\sqrt2", "\\sqrt3").witness["answer"].startswith("1.732")
    assert verdict("(0,1)", "[0,1)").reason == "brackets"


def test_symmetric_where_it_should_be_and_not_where_the_reference_rounds() -> None:
    assert verdict("3.14", "\\pi").equal
    assert not verdict("\\pi", "3.14").equal


def test_verdicts_are_the_same_from_every_thread() -> None:
    pairs = [
        ("\\sin 2x", "2\\sin x\\cos x"),
        ("\\sqrt{3+2\\sqrt2}", "1+\\sqrt2"),
        ("e^{-2}", "0.1353"),
        ("\\pi^{20}", "8769956796.0827"),
        ("\\int_0^1 3x^2\\,dx", "1"),
        ("\\int_0^1 x^x\\,dx", "1"),
        ("\\tan\\frac{\\pi}{2}", "1"),
    ] * 6
    alone = [verdict(*pair) for pair in pairs]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda pair: verdict(*pair), pairs)) == alone
