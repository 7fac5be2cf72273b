"""Numbers and scalar expressions under the policies: rounding, percent, degrees, bases."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from verifiers.math_equivalence.numbers.evaluate import Evaluator, numerics
from verifiers.math_equivalence.numbers.identity import FEW_DIGITS, compare_scalars, shown
from verifiers.math_equivalence.numbers.values import (
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    is_exact,
    is_real,
)  # fmt: skip
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.expression import (
    BasedNumber,
    Call,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Symbol,
    contains,
    free_symbols,
    renamed,
    walk,
)  # fmt: skip
from verifiers.math_equivalence.read.rationals import Exact, Literal, scaled
from verifiers.math_equivalence.verdict import Verdict, different, equal

MIN_ROUNDED_DIGITS: Final = 3
"""Fewer significant digits state a value, not a rounding of one."""

CONSTANT_NAMES: Final = frozenset({"C"})
RENAMED_CONSTANTS: Final = frozenset({"C", "c", "K", "k", "D"})
NOT_INTEGRATED: Final = frozenset("ABDabcd")
"""Beside these, C is one more letter: A + C is no antiderivative."""

BASE_POINT: Final = Number(Fraction(1, 3))
"""Where two antiderivatives are made equal, to see whether they stay so."""

MIN_EXTRA_PLACES: Final = 2
"""A decimal with one place more is another decimal; with two, it is less rounded."""


# --- literals ---------------------------------------------------------------------------


def compare_literals(reference: Literal, answer: Literal, policy: MathParameters) -> Verdict:
    """Two numbers as written."""
    if reference.places is answer.places is None and not reference.percent and not answer.percent:
        if reference.value == answer.value:
            return equal("rational")
        return different("rational", reference=show(reference.value), answer=show(answer.value))
    if reference.percent + answer.currency == 2 or reference.currency + answer.percent == 2:
        return different("units", "unit")
    if reference.value == answer.value and (
        reference.percent == answer.percent or policy.percent != "strict"
    ):
        return equal("rational")
    if reference.percent != answer.percent and equal_in_percent(reference, answer, policy):
        return equal("percent")
    comparable = reference.percent == answer.percent or policy.percent != "strict"
    if comparable and literals_round(reference, answer, policy):
        return equal("rounding")
    return different("rational", reference=show(reference.value), answer=show(answer.value))


def equal_in_percent(reference: Literal, answer: Literal, policy: MathParameters) -> bool:
    """Whether a percent sign alone is between them: 25 where 25% is due, and back.

    A number below 1 was not asked for in percent: one half is 50%, not 0.5%.
    """
    asked_in_percent = reference.percent or not -1 < reference.value < 1
    same = without_percent(reference) == without_percent(answer)
    return same and asked_in_percent and policy.percent == "either"


def without_percent(literal: Literal) -> Exact:
    return literal.value * 100 if literal.percent else literal.value


def show(value: Exact) -> str:
    if isinstance(value, int) and -(10**12) < value < 10**12:
        return str(value)
    with numerics:
        return shown(value)


def literals_round(reference: Literal, answer: Literal, policy: MathParameters) -> bool:
    if policy.rounding == "never":
        return False
    if rounds_to(answer.value, answer.places, reference) or is_coarser(answer, reference):
        return True
    return policy.rounding == "both" and rounds_to(reference.value, reference.places, answer)


def rounds_to(value: Exact, places: int | None, target: Literal) -> bool:
    """Whether `value` rounds to the digits that `target` states.

    Args:
        places: the last stated digit of `value`, where it is a decimal itself.
    """
    if target.places is None or target.digits < MIN_ROUNDED_DIGITS:
        return False
    if places is not None and places > target.places - MIN_EXTRA_PLACES:
        return False
    if isinstance(value, int):
        return False
    return within_half_a_unit(value, target)


def is_coarser(answer: Literal, reference: Literal) -> bool:
    """Whether a decimal reference was rounded by one more place, to three digits at least.

    Amounts of money are exact.
    """
    if reference.places is None or answer.places is None or reference.currency or answer.currency:
        return False
    if reference.places + 1 != answer.places or answer.places >= 0:
        return False
    if answer.digits < MIN_ROUNDED_DIGITS:
        return False
    return within_half_a_unit(reference.value, answer)


def within_half_a_unit(value: Value, target: Literal) -> bool:
    assert target.places is not None
    half_unit = scaled(1, target.places) / Fraction(2)
    if is_exact(value):
        return bool(abs(value - target.value) <= half_unit)
    return bool(abs(value - approximate(target.value)) <= approximate(half_unit))


# --- expressions ------------------------------------------------------------------------


def compare_expressions(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """Two scalar expressions, as they stand and then as the policies read them."""
    if based := compare_bases(reference, answer):
        return based
    given = reference, answer
    if policy.constant_of_integration == "fold":
        reference, answer = without_constant(reference, answer)
    first: Verdict | None = None
    for method, left, right in readings(reference, answer, policy):
        verdict = compare_scalars(left, right)
        if verdict.equal:
            return equal(method or verdict.method)
        first = first or verdict
    if first is None:
        return different("units", "unit")
    if reference != given[0] and answer != given[1] and differ_by_constant(reference, answer):
        return equal("identity")
    return bare_logarithms(reference, answer) or rounded(reference, answer, policy) or first


def differ_by_constant(reference: Node, answer: Node) -> bool:
    """Antiderivatives: -cos(2x)/2 + C is sin(x)^2 + C."""
    (name,) = free_symbols(reference) or ("",)
    sides = []
    for side in (reference, answer):
        start = renamed(side, name, BASE_POINT)
        sides.append(Sum((side, Product((Number(-1), start)))))
    return compare_scalars(sides[0], sides[1]).equal


def without_constant(reference: Node, answer: Node) -> tuple[Node, Node]:
    """Both without `+ C`, where the reference has one beside another variable."""
    stripped = dropped_constant(reference, CONSTANT_NAMES)
    variables = free_symbols(stripped)
    if stripped == reference or len(variables) != 1 or variables & NOT_INTEGRATED:
        return reference, answer
    return stripped, dropped_constant(answer, RENAMED_CONSTANTS - variables)


def dropped_constant(node: Node, names: frozenset[str]) -> Node:
    if not isinstance(node, Sum):
        return node
    terms = tuple(term for term in node.terms if not is_constant_name(term, names))
    if len(terms) == len(node.terms) or not terms:
        return node
    return terms[0] if len(terms) == 1 else Sum(terms)


def is_constant_name(node: Node, names: frozenset[str]) -> bool:
    return isinstance(node, Symbol) and node.name.partition("_")[0] in names


def compare_bases(reference: Node, answer: Node) -> Verdict | None:
    """Where the reference states a base, so must the answer; 10 goes without saying."""
    bases = [node.base if isinstance(node, BasedNumber) else None for node in (reference, answer)]
    if bases == [None, None]:
        return None
    if None in bases and 10 not in bases:
        return different("base", "base")
    return None


def readings(
    reference: Node, answer: Node, policy: MathParameters
) -> Iterator[tuple[str | None, Node, Node]]:
    """(method, reference, answer) as the policies on percent and degrees allow."""
    marked = [top_mark(reference), top_mark(answer)]
    if None not in marked and marked[0] != marked[1]:
        return
    strict = policy.percent == "strict" and marked.count("percent") == 1
    if not strict and not (policy.degrees == "strict" and marked.count("degrees") == 1):
        yield None, reference, answer
    if marked.count("percent") == 1 and policy.percent == "either" and not is_fraction(reference):
        yield "percent", without_mark(reference), without_mark(answer)
    if marked.count("degrees") == 1:
        yield "degrees", without_mark(reference), without_mark(answer)


def is_fraction(reference: Node) -> bool:
    """A number below 1, which a percentage equals only as a fraction: 0.4 is 40%, not 0.4%."""
    if isinstance(reference, Quotient):
        upper, lower = literal_of(reference.numerator), literal_of(reference.denominator)
        return upper is not None and lower is not None and -1 < upper.value / lower.value < 1
    literal = literal_of(reference)
    return literal is not None and -1 < literal.value < 1


def top_mark(node: Node) -> str | None:
    """Whether all of an expression carries a percent or degree sign."""
    if isinstance(node, Call) and node.name in ("percent", "degrees"):
        return node.name
    if isinstance(node, Product) and isinstance(node.factors[-1], Call):
        return top_mark(node.factors[-1])
    return None


def without_mark(node: Node) -> Node:
    if top_mark(node) is None:
        return node
    if isinstance(node, Call):
        return node.arguments[0]
    assert isinstance(node, Product)
    return Product((*node.factors[:-1], without_mark(node.factors[-1])))


def bare_logarithms(reference: Node, answer: Node) -> Verdict | None:
    """`log` without a base may have meant base 10, on both sides alike."""
    both = (*walk(reference), *walk(answer))
    if not any(isinstance(n, Call) and n.name == "log" and len(n.arguments) == 1 for n in both):
        return None
    verdict = compare_scalars(reference, answer, log_base=10)
    return verdict if verdict.equal else None


def rounded(reference: Node, answer: Node, policy: MathParameters) -> Verdict | None:
    """A closed form that rounds to the decimal on the other side."""
    if policy.rounding == "never" or free_symbols(reference) or free_symbols(answer):
        return None
    if closed_form_rounds(answer, reference):
        return equal("rounding")
    if policy.rounding == "both" and closed_form_rounds(reference, answer):
        return equal("rounding")
    return None


def closed_form_rounds(node: Node, target: Node) -> bool:
    literal = literal_of(target)
    if literal is None or literal.places is None or literal.digits < MIN_ROUNDED_DIGITS:
        return False
    own = literal_of(node)
    if own is not None:
        return rounds_to(own.value, own.places, literal) or is_coarser(own, literal)
    if (
        isinstance(literal.value, int)
        and literal.places >= 0
        and not contains(node, Power, Product)
    ):
        return False
    try:
        with numerics:
            value = Evaluator(FEW_DIGITS).value(node, {})
            return (
                is_real(value) and not isinstance(value, int) and within_half_a_unit(value, literal)
            )
    except (NotNumericError, UndefinedError):
        return False


def literal_of(node: Node) -> Literal | None:
    """A decimal as written, a power of ten beside it included: 6.02 * 10^{23}."""
    if isinstance(node, Number):
        return Literal(node.value, node.places, node.digits)
    if not (isinstance(node, Product) and len(node.factors) == 2):
        return None
    mantissa, power = node.factors
    if isinstance(mantissa, Number) and isinstance(power, Number) and abs(mantissa.value) == 1:
        mantissa, power = power, mantissa
        return Literal(mantissa.value * power.value, mantissa.places, mantissa.digits)
    if not (isinstance(mantissa, Number) and isinstance(power, Power)):
        return None
    if power.base != Number(10) or not isinstance(power.exponent, Number):
        return None
    exponent = power.exponent.value
    if not isinstance(exponent, int) or abs(exponent) > 4_000:
        return None
    places = exponent + (mantissa.places or 0)
    digits = mantissa.digits or len(str(abs(mantissa.value)))
    return Literal(scaled(mantissa.value, exponent), places, digits)
