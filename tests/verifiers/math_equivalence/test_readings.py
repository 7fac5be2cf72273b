"""How numbers, expressions, structures and words are read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.math_equivalence.limits import TooLargeError
from verifiers.math_equivalence.read import words
from verifiers.math_equivalence.read.expression import (
    Call,
    Constant,
    Group,
    Listing,
    Matrix,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Quotient,
    Relation,
    Root,
    SetOf,
    Sum,
    Symbol,
    Words,
    free_symbols,
)
from verifiers.math_equivalence.read.normal_form import clean, normal_form
from verifiers.math_equivalence.read.rationals import Literal, read_number
from verifiers.math_equivalence.read.reading import Reading
from verifiers.math_equivalence.read.units import read_unit

X = Symbol("x")


def node(text: str) -> Node:
    return Reading(text).node


# --- normal forms -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("\\dfrac{1}{2}", "\\frac{1}{2}"),
        ("\\left( 1 , 2 \\right)", "(1,2)"),
        ("$ x^2 $", "x^2"),
        ("1{,}000", "1\\,000"),
        ("x \\leq 3", "x≤3"),
        ("\\text{Evelyn}", "Evelyn"),
        ("5.", "5"),
        ("\\[ 5 \\]", "5"),
        ("α + β", "\\alpha+\\beta"),
        ("x²", "x^{2}"),
        ("2{,}5", "2.5"),
    ],
)
def test_notations_of_one_thing_have_one_normal_form(left: str, right: str) -> None:
    assert normal_form(clean(left)) == normal_form(clean(right))


@pytest.mark.parametrize(("left", "right"), [("1 1/2", "11/2"), ("4²", "42"), ("④②", "42")])
def test_what_differs_keeps_its_normal_form(left: str, right: str) -> None:
    assert normal_form(clean(left)) != normal_form(clean(right))


def test_damaged_latex_is_repaired() -> None:
    assert clean("\x0crac{1}{2}") == clean("rac{1}{2}") == clean("\\\\frac{1}{2}") == "\\frac{1}{2}"


@given(st.text(max_size=200))
def test_cleaning_twice_is_reading_once_more(text: str) -> None:
    assert isinstance(normal_form(clean(text)), str)


# --- numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72),
        ("-1,234,567", -1234567),
        ("3.50", Fraction(7, 2)),
        (".5", Fraction(1, 2)),
        ("\\frac{3}{4}", Fraction(3, 4)),
        ("\\frac34", Fraction(3, 4)),
        ("-5/10", Fraction(-1, 2)),
        ("1 1/2", Fraction(3, 2)),
        ("2\\frac{1}{3}", Fraction(7, 3)),
        ("1.2e-3", Fraction(12, 10000)),
        ("6.02*10^{23}", 602 * 10**21),
        ("0.\\overline{36}", Fraction(4, 11)),
        ("0.1\\overline{6}", Fraction(1, 6)),
        ("0.333...", Fraction(1, 3)),
        ("25\\%", Fraction(1, 4)),
    ],
)
def test_a_number_is_read_exactly(text: str, value: Any) -> None:
    literal = read_number(text)
    assert literal is not None
    assert literal.value == value


@pytest.mark.parametrize(
    "text", ["", "x", "1/0", "1..2", "1,23", "1 2", "3 5/2", "٤٢", "1e", "--1"]
)
def test_what_is_no_number_is_left_to_the_parser(text: str) -> None:
    assert read_number(text) is None


def test_stated_digits_are_kept() -> None:
    assert read_number("0.050") == Literal(Fraction(1, 20), places=-3, digits=2)
    assert read_number("12") == Literal(12)


@given(st.integers(), st.integers(min_value=1, max_value=10**9))
def test_any_fraction_is_read_back(numerator: int, denominator: int) -> None:
    for text in (f"{numerator}/{denominator}", f"\\frac{{{numerator}}}{{{denominator}}}"):
        literal = read_number(text)
        assert literal is not None
        assert literal.value == Fraction(numerator, denominator)


def test_numbers_beyond_the_limit_are_refused() -> None:
    with pytest.raises(TooLargeError):
        read_number("7" * 10_000)
    with pytest.raises(TooLargeError):
        read_number("1e999999")


# --- expressions and structures ---------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x^2", Power(X, Number(2))),
        ("-x^2", Product((Number(-1), Power(X, Number(2))))),
        ("2x", Product((Number(2), X))),
        ("1/2x", Product((Quotient(Number(1), Number(2)), X))),
        ("\\sqrt[3]{x}", Root(X, Number(3))),
        ("\\sin 2x", Call("sin", (Product((Number(2), X)),))),
        ("\\sin^2 x", Power(Call("sin", (X,)), Number(2))),
        ("\\sin^{-1} x", Call("arcsin", (X,))),
        ("x(x+1)", Product((X, Sum((X, Number(1)))))),
        ("2^3^2", Power(Number(2), Power(Number(3), Number(2)))),
        ("x^2\\frac{1}{3}", Product((Power(X, Number(2)), Quotient(Number(1), Number(3))))),
        ("(1,2]", Group("(", (Number(1), Number(2)), "]")),
        ("\\{1,2\\}", SetOf((Number(1), Number(2)))),
        ("1, 2", Listing((Number(1), Number(2)))),
        ("x < 1 or 2", Listing((Relation((X, Number(1)), ("<",)), Number(2)), "or")),
        ("\\begin{pmatrix}1\\\\x\\end{pmatrix}", Matrix(((Number(1),), (X,)))),
        ("5 cm", Quantity(Number(5), "cm")),
        ("\\text{Evelyn}", Words("Evelyn")),
        ("e", Constant("e")),
        ("60^\\circ", Call("degrees", (Number(60),))),
    ],
)  # fmt: skip
def test_an_expression_is_read(text: str, expected: Node) -> None:
    assert node(text) == expected


@pytest.mark.parametrize(
    "text", ["not an answer", "1 2", "(1", "\\frac{1}", "x +", "\\unknown{3}", "5 maybe"]
)
def test_what_is_no_mathematics_is_words(text: str) -> None:
    assert isinstance(node(text), Words)


@pytest.mark.parametrize(
    "text",
    ["(" * 100 + "1" + ")" * 100, "2*" + "-" * 500 + "1", "\\sqrt" * 200 + "2", "2^" * 300 + "2"],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(TooLargeError):
        _ = node(text)


def test_bound_variables_are_not_free() -> None:
    assert free_symbols(node("\\sum_{k=1}^{n} k x")) == {"n", "x"}


# --- units ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "ratio"),
    [("km/h", "m/s", Fraction(1000, 3600)), ("cm^2", "m^2", Fraction(1, 10000)),
     ("dollars", "cents", 100), ("kg m/s^2", "N", 1), ("square inches", "in^2", 1),
     ("hours", "min", 60), ("kWh", "J", 3600000)],
)  # fmt: skip
def test_units_convert_exactly(left: str, right: str, ratio: Any) -> None:
    mine, theirs = read_unit(left), read_unit(right)
    assert mine is not None
    assert theirs is not None
    assert mine.dimensions == theirs.dimensions
    assert mine.factor / theirs.factor == ratio


def test_what_is_counted_is_a_noun() -> None:
    apples = read_unit("apples")
    assert apples is not None
    assert apples.nouns == ("apple",)


@pytest.mark.parametrize(
    "text", ["dozen", "million", "or 6", "not", "percent more", "squared", "x"]
)
def test_a_word_that_changes_the_number_is_no_unit(text: str) -> None:
    assert read_unit(text) is None


# --- words ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["C", "(C)", "C.", "c)", "Option C", "\\text{(C)}"])
def test_a_choice_is_read(text: str) -> None:
    assert words.choice(clean(text)) == ("C", None)


def test_several_choices_are_not_one() -> None:
    assert words.choice("(C) or (D)") is None
    assert words.choices("A, C") == (["A", "C"], True)
    assert words.choices("CA") == (["C", "A"], False)


@pytest.mark.parametrize(
    ("reference", "answer", "same"),
    [("A, C", "CA", True), ("AC", "C and A", True), ("AC", "CA", False), ("CA", "A, C", False)],
)
def test_only_what_is_a_set_of_choices_has_no_order(
    reference: str, answer: str, same: bool
) -> None:
    due, given_ = words.choices(reference), words.choices(answer)
    assert due is not None
    assert given_ is not None
    assert words.same_choices(due, given_) is same


@pytest.mark.parametrize("text", ["3:45 p.m.", "3:45\\text{ PM}", "15:45"])
def test_a_clock_time_is_read(text: str) -> None:
    assert words.clock_time(text) == ((15 * 60 + 45) * 60, True)


def test_a_date_is_read() -> None:
    assert words.date("May 5th, 2020") == words.date("5 May 2020") == (2020, 5, 5)
    assert words.date("5 apples") is None
