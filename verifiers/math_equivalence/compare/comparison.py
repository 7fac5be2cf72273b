"""The tiers: what decides whether an answer is the reference, cheapest first.

string      one normal form
rational    both are numbers as written (also "percent", "rounding")
words       multiple choice, clock times, dates
expression  parsed and compared by structure, values, random points (see `structures`)
symbolic    SymPy, where an integral, limit or infinite sum is left
"""

from __future__ import annotations

import re
from typing import Final

from verifiers.math_equivalence.compare import structures
from verifiers.math_equivalence.compare.scalars import compare_literals
from verifiers.math_equivalence.limits import TooLargeError
from verifiers.math_equivalence.numbers.values import NeedsAlgebraError, NotNumericError
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read import words
from verifiers.math_equivalence.read.expression import Listing, Node, Number, Words
from verifiers.math_equivalence.read.reading import Reading
from verifiers.math_equivalence.verdict import Verdict, different, equal, rejected

SHORTEST_WORD: Final = 3
VARIABLES: Final = frozenset("tuvwxyz")
"""Letters that make no words: a row of these is a product."""

OR: Final = re.compile(r"\bor\b", re.IGNORECASE)

DECIMAL_COMMA: Final = re.compile(r"-?[0-9]{1,9},[0-9]{1,9}")
"""0,5 for a half, as it is written in most of Europe; where a number is due, it is no list."""


def compare(reference: Reading, answer: Reading, policy: MathParameters) -> Verdict:
    """Whether `answer` says the same as `reference`. Raises nothing."""
    if answer.normal and reference.normal == answer.normal:
        return equal("string")
    if reference.literal is not None and answer.literal is not None:
        return compare_literals(reference.literal, answer.literal, policy)
    if verdict := compare_words(reference, answer, policy):
        return verdict
    try:
        verdict = structures.compare(reference.node, answer.node, policy)
        return verdict if verdict.equal else as_lists(reference, answer, policy) or verdict
    except TooLargeError as error:
        return rejected("limit", str(error))
    except RecursionError:  # the caller's stack was nearly full
        return rejected("limit", "nested too deep")
    except NeedsAlgebraError:
        return symbolically(reference.node, answer.node, policy)
    except NotNumericError as error:
        return different("structure", "type", cause=str(error))


def as_lists(reference: Reading, answer: Reading, policy: MathParameters) -> Verdict | None:
    """`100,200` against `100, 200`: where one side is a list, the other may be one."""
    sides = [(side.node, side) for side in (reference, answer)]
    listed = [isinstance(node, Listing) for node, _ in sides]
    if listed[0] == listed[1]:
        return None
    if DECIMAL_COMMA.fullmatch(answer.cleaned) and isinstance(reference.node, Number):
        verdict = compare(reference, Reading(answer.cleaned.replace(",", ".")), policy)
        if verdict.equal:
            return verdict
    node, side = sides[listed.index(False)]
    if not isinstance(node, Number) or "," not in side.cleaned:
        return None
    split = [
        side.node_as_list if not is_list else node
        for is_list, (node, side) in zip(listed, sides, strict=True)
    ]
    verdict = structures.compare(split[0], split[1], policy)
    return verdict if verdict.equal else None


# --- words ------------------------------------------------------------------------------


def compare_words(reference: Reading, answer: Reading, policy: MathParameters) -> Verdict | None:
    """Multiple choice, times and dates; None where the reference is none of these."""
    if verdict := compare_choices(reference, answer, policy):
        return verdict
    if verdict := compare_rows_of_letters(reference, answer, policy):
        return verdict
    mine, theirs = words.clock_time(reference.cleaned), words.clock_time(answer.cleaned)
    if mine and theirs:
        return equal("time") if words.same_time(mine, theirs) else different("time")
    left, right = words.date(reference.cleaned), words.date(answer.cleaned)
    if left and right:
        same_year = left[0] == right[0] or None in (left[0], right[0])
        return equal("date") if same_year and left[1:] == right[1:] else different("date")
    return None


def compare_choices(reference: Reading, answer: Reading, policy: MathParameters) -> Verdict | None:
    due = words.choice(reference.cleaned)
    given = words.choice(answer.cleaned)
    if due is None:
        if given and given[1] and reference.cleaned[:1] not in "([":
            verdict = compare(reference, Reading(given[1]), policy)
            return verdict if verdict.equal else None
        several = words.choices(reference.cleaned)
        if several and (letters := words.choices(answer.cleaned)):
            same = words.same_choices(several, letters)
            if OR.search(answer.cleaned) and not OR.search(reference.cleaned):
                return different("choice", "joint")
            return equal("choice") if same else different("choice")
        return None
    letter, text = due
    if given:
        if given[0] != letter:
            return different("choice", reference=letter, answer=given[0])
        if text and given[1] and not compare(Reading(text), Reading(given[1]), policy).equal:
            return rejected("choice", "contradiction")
        return equal("choice")
    if text:
        verdict = compare(Reading(text), answer, policy)
        return verdict if verdict.equal else None
    if words.choices(answer.cleaned):
        return rejected("choice", "several answers")
    return None


def compare_rows_of_letters(
    reference: Reading, answer: Reading, policy: MathParameters
) -> Verdict | None:
    """`dog` and `god` are words, not products: their letters do not commute. Two letters without
    `\\text` around them are a product."""
    if not all(map(words.is_row_of_letters, (reference.cleaned, answer.cleaned))):
        return None
    is_product = len(reference.cleaned) < SHORTEST_WORD or VARIABLES.issuperset(reference.cleaned)
    if is_product and not (reference.is_text or answer.is_text):
        return None
    return structures.compare(Words(reference.cleaned), Words(answer.cleaned), policy)


# --- symbolic ---------------------------------------------------------------------------


def symbolically(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """SymPy solves what is left, and the results are compared as any others."""
    from verifiers.math_equivalence.numbers import symbolic

    if isinstance(reference, Words) or isinstance(answer, Words):
        return different("text", "type")
    try:
        left, right = symbolic.solved(reference), symbolic.solved(answer)
        verdict = structures.compare(left, right, policy)
    except (symbolic.UndecidedError, TooLargeError) as error:
        return rejected("symbolic", str(error))
    except NotNumericError as error:
        return different("symbolic", "undecided", cause=str(error))
    return Verdict(verdict.equal, "symbolic", verdict.reason, verdict.rejected, verdict.witness)
