"""What conditions say: "where c is a positive real", "for all n", "if n is odd", k ∈ Z."""

from __future__ import annotations

from typing import Final

from verifiers.math_equivalence.read.clauses import CONDITIONS, DECLARING, QUALIFIERS
from verifiers.math_equivalence.read.expression import (
    Applied,
    Conditional,
    Listing,
    NamedSet,
    Node,
    Number,
    Relation,
    Symbol,
    Words,
)
from verifiers.math_equivalence.read.labels import arguments_of
from verifiers.math_equivalence.read.phrases import SETS, phrase
from verifiers.math_equivalence.read.words import text_form

INTEGERS: Final = frozenset({"Z", "N", "Z+", "Z>0", "Z>=0", "N0", "N_0", "N*", "N+"})
SIGNED: Final = {">": "R+", "<": "R-", ">=": "R>=0", "<=": "R<=0", "!=": "R!=0"}


def words_of(condition: Words) -> list[str]:
    return text_form(condition.text.replace("-", ""), fold=True).split()


def is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()


def merely_declares(condition: Words) -> bool:
    return all(is_letter(word) or word in DECLARING for word in words_of(condition))


def is_understood(condition: Words) -> bool:
    """It says of what kind something is, and no more."""
    words = words_of(condition)
    return all(is_letter(word) or word in DECLARING | QUALIFIERS for word in words)


def says_more(condition: Node) -> bool:
    """It may hold another answer, as "for now, 3" and "where wrong then 3" do."""
    if isinstance(condition, Words):
        return not is_understood(condition)
    if isinstance(condition, Listing):
        return condition.joint == "or" or any(
            not isinstance(item, Relation | Symbol) for item in condition.items
        )
    return False


def domain(condition: Node | None) -> str | None:
    """The name of the set that a condition declares a member of; all integers are "Z"."""
    name = None
    if isinstance(condition, Words):
        words = [word.removesuffix("s") for word in words_of(condition)]
        kinds = [word for word in words if word in QUALIFIERS]
        name = SETS.get(" ".join(kinds)) or SETS.get(" ".join((*kinds, "real")))
        name = name if kinds else None
    elif isinstance(condition, Relation) and isinstance(condition.operands[0], Symbol):
        last = condition.operands[-1]
        if condition.signs == ("in",) and isinstance(last, NamedSet):
            name = last.name
        elif len(condition.signs) == 1 and last == Number(0):
            name = SIGNED.get(condition.signs[0])
    return "Z" if name in INTEGERS else name


def conflict(left: Node | None, right: Node | None) -> bool:
    """Both say of what kind something is, and one says another: c > 0 and c ∈ R."""
    domains = domain(left), domain(right)
    if "Z" in domains and not (is_membership(left) and is_membership(right)):
        return False  # k ≥ 0 says nothing against an integer k
    return None not in domains and domains[0] != domains[1]


def is_membership(condition: Node | None) -> bool:
    return not isinstance(condition, Relation) or condition.signs == ("in",)


def in_symbols(condition: Node) -> Node:
    """ "if n is odd" as the class of 1 modulo 2; other words as they are."""
    if not isinstance(condition, Words):
        return condition
    words = condition.text.split()
    if words and words[0].strip(",") in CONDITIONS:
        words = words[1:]
    return phrase(" ".join(words)) or condition


def say_the_same(reference: Conditional, answer: Conditional) -> bool:
    """Whether conditions in words are the same words, or merely declare what letters are."""
    left, right = reference.condition, answer.condition
    assert isinstance(left, Words)
    assert isinstance(right, Words)
    if words_of(left) == words_of(right) or (merely_declares(left) and merely_declares(right)):
        return True
    if None not in (domain(left), domain(right)) or not (
        is_understood(left) and is_understood(right)
    ):
        return False
    return declares_argument(reference) and declares_argument(answer)


def declares_argument(node: Conditional) -> bool:
    """`f(n) = n for all n`, whose n the problem has said everything about."""
    assert isinstance(node.condition, Words)
    if not isinstance(node.statement, Relation):
        return False
    label = node.statement.operands[0]
    letters = {word for word in words_of(node.condition) if len(word) == 1}
    return isinstance(label, Applied) and letters <= arguments_of(label)
