"""Properties of equality: an expression equals its own rewrites and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from verifiers.math_equivalence.compare.comparison import compare
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.reading import Reading
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


@given(st.integers(2, 30), st.integers(-60, 60), st.integers(-60, 60))
def test_a_residue_class_is_its_progression(modulus: int, remainder: int, other: int) -> None:
    congruence = f"n \\equiv {remainder} \\pmod{{{modulus}}}"
    same = (remainder - other) % modulus == 0
    assert verdict(congruence, f"n = {modulus}k + ({other})").equal == same
    assert verdict(f"{modulus}m + ({other})", congruence).equal == same
    assert not verdict(congruence, f"n \\equiv {remainder} \\pmod{{{modulus + 1}}}").equal


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_an_absolute_value_equals_its_cases(point: int, other: int) -> None:
    rows = f"x-({point}) & x \\ge {point} \\\\ ({point})-x & x < {point}"
    cases = f"\\begin{{cases}} {rows} \\end{{cases}}"
    assert verdict(cases, f"|x-({other})|").equal == (point == other)
    assert verdict(f"|x-({other})|", cases).equal == (point == other)


@given(st.integers(1, 40), st.integers(41, 80))
def test_two_signs_have_four_readings(left: int, right: int) -> None:
    values = [a * left + b * right for a in (1, -1) for b in (1, -1)]
    assert verdict(f"\\pm {left} \\pm {right}", ", ".join(map(str, values))).equal
    assert not verdict(f"\\pm {left} \\pm {right}", f"{left + right}, {-left - right}").equal


@given(st.lists(st.integers(0, 9), min_size=2, max_size=4))
def test_a_tuple_and_its_permutations_are_the_list_of_them(members: list[int]) -> None:
    point = f"({', '.join(map(str, members))})"
    every = [f"({', '.join(map(str, order))})" for order in sorted(set(permutations(members)))]
    assert verdict(f"{point} and its permutations", ", ".join(every)).equal
    assert verdict(f"{point} and its permutations", ", ".join(every[1:])).equal is False


WORDS = st.sampled_from(
    "Alice Bob wins loses the is not odd even a function converges or and if n always never yes no "
    "first second player 2 7 x+1 all real numbers except integers such that permutations of "
    "impossible between infinitely many positive non-negative rational complex natural when "
    "multiples divisible by 0 1 999 cyclic inclusive at least greater than million twenty "
    "power $x$ , . \\text{ } (1,2)".split()
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
NAMES = st.sampled_from(["Alice", "odd", "first player", "isosceles triangle", "converges"])


@settings(max_examples=300)
@given(SENTENCES, SENTENCES)
def test_arbitrary_sentences_never_raise(left: str, right: str) -> None:
    assert isinstance(verdict(left, right), Verdict)


@given(NAMES, st.sampled_from(["not {}", "{} or Bob", "never {}", "{} loses", "{} if n is even"]))
def test_a_denial_an_alternative_and_a_condition_are_other_answers(name: str, form: str) -> None:
    assert not verdict(name, form.format(name)).equal
    assert not verdict(form.format(name), name).equal


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
