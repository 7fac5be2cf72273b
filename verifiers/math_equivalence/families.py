"""Solutions with a parameter: x = π/4 + kπ, k ∈ Z, and conditions on statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from verifiers.math_equivalence.evaluate import Evaluator, numerics
from verifiers.math_equivalence.expression import (
    Call,
    Conditional,
    Constant,
    Group,
    Listing,
    NamedSet,
    Node,
    Number,
    Relation,
    SetOf,
    Symbol,
    Words,
    free_symbols,
    renamed,
    walk,
)  # fmt: skip
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.values import (
    CONTEXT,
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    is_real,
)  # fmt: skip
from verifiers.math_equivalence.verdict import Verdict, different, equal
from verifiers.math_equivalence.words import text_form

Compare = Callable[[Node, Node, MathParameters], Verdict]

PARAMETERS: Final = frozenset("kmnljtpqs")
"""Names of integer parameters, where one is declared or stands beside π."""
INTEGERS: Final = frozenset({"Z", "N", "Z+", "Z>0", "Z>=0", "N0", "N_0", "N*", "N+"})
DECLARING: Final = frozenset(
    "for where with if any all some every each arbitrary is are an be integer integers and in "
    "an the value values of number numbers mathbb".split()
)
"""Words of "where k is any integer"."""
DIGITS: Final = 40
REACH: Final = 6
"""Members of a progression that are looked for in the other side, on either side of zero."""


def compare(reference: Node, answer: Node, policy: MathParameters, again: Compare) -> Verdict:
    """Statements with conditions. `again` compares their parts."""
    if not compatible_words(reference, answer) or is_restricted(reference, answer):
        return different("condition", "condition")
    statements = [n.statement if isinstance(n, Conditional) else n for n in (reference, answer)]
    conditions = [n.condition if isinstance(n, Conditional) else None for n in (reference, answer)]
    if any(declares_integer(condition) for condition in conditions):
        statements = [without_label(statement) for statement in statements]
        if verdict := compare_families(statements[0], statements[1]):
            return verdict
        statements[1] = aligned(statements[0], statements[1])
        return again(statements[0], statements[1], policy)
    verdict = again(statements[0], statements[1], policy)
    if not verdict.equal or None in conditions:
        return verdict
    left, right = conditions
    assert left is not None
    assert right is not None
    if isinstance(left, Words) or isinstance(right, Words) or again(left, right, policy).equal:
        return verdict
    return different("condition", "condition")


def is_restricted(reference: Node, answer: Node) -> bool:
    """The answer holds "if" something, and the reference without any condition."""
    if isinstance(reference, Conditional) or not isinstance(answer, Conditional):
        return False
    return answer.keyword in ("if", "when")


def compatible_words(reference: Node, answer: Node) -> bool:
    """Conditions in words must be the same words, unless they merely declare integers."""
    texts = [
        text_form(n.condition.text, fold=True)
        for n in (reference, answer)
        if isinstance(n, Conditional) and isinstance(n.condition, Words)
    ]
    return len(texts) < 2 or texts[0] == texts[1] or all(map(merely_declares, texts))


def merely_declares(text: str) -> bool:
    return all(len(word) == 1 or word in DECLARING for word in text.split())


def declares_integer(condition: Node | None) -> bool:
    """k ∈ Z, "k is an integer", or a bare "for all integers k"."""
    if isinstance(condition, Words):
        return "integer" in condition.text
    if isinstance(condition, Relation) and condition.signs == ("in",):
        domain = condition.operands[1]
        return isinstance(domain, NamedSet) and domain.name in INTEGERS
    if isinstance(condition, Listing):
        return any(declares_integer(item) for item in condition.items)
    return isinstance(condition, Symbol) and condition.name in PARAMETERS


def without_label(statement: Node) -> Node:
    """The right-hand side of `x = …` and `(x, y) = …`."""
    if isinstance(statement, Relation) and statement.signs in (("=",), ("in",)):
        label = statement.operands[0]
        names = label.items if isinstance(label, Group) else (label,)
        if all(isinstance(name, Symbol) for name in names):
            return statement.operands[1]
    return statement


def aligned(reference: Node, answer: Node) -> Node:
    """`answer` with its parameter called as in `reference`."""
    mine, theirs = free_symbols(reference), free_symbols(answer)
    old, new = sorted(theirs - mine), sorted(mine - theirs)
    if len(old) == len(new) == 1:
        return renamed(answer, old[0], Symbol(new[0]))
    return answer


def may_be_undeclared(reference: Node, answer: Node) -> bool:
    """One integer parameter on both sides, differently named or placed, beside π or degrees."""
    for side in (reference, answer):
        symbols = free_symbols(side)
        if len(symbols) != 1 or not symbols <= PARAMETERS:
            return False
        if not any(
            n == Constant("pi") or (isinstance(n, Call) and n.name == "degrees") for n in walk(side)
        ):
            return False
    return True


def compare_families(reference: Node, answer: Node) -> Verdict | None:
    """Both as unions of arithmetic progressions; None where one is none."""
    with numerics:
        mine, theirs = progressions(reference), progressions(answer)
        if mine is None or theirs is None:
            return None
        if covered(mine, theirs) and covered(theirs, mine):
            return equal("family")
        return different("family", "different")


def progressions(node: Node) -> list[tuple[Value, Value]] | None:
    """(offset, step) of every member of a list of families."""
    if isinstance(node, Relation):
        if set(node.signs) <= {"=", "in", "!="} and isinstance(node.operands[0], Symbol):
            return progressions(node.operands[-1])
        return None
    if isinstance(node, Listing | SetOf):
        parts = [progressions(item) for item in node.items]
        return None if None in parts else [pair for part in parts if part for pair in part]
    symbols = free_symbols(node)
    if not symbols <= PARAMETERS or len(symbols) > 1:
        return None
    try:
        values = [
            Evaluator(DIGITS).value(renamed(node, name, Number(k)), {})
            for k in (0, 1, 2)
            for name in symbols or ("",)
        ]
    except (NotNumericError, UndefinedError):
        return None
    if not all(is_real(value) for value in values):
        return None
    offset, second, third = map(approximate, values)
    if not near(third - second, second - offset):
        return None
    return [(offset, second - offset)]


def near(left: Value, right: Value) -> bool:
    return bool(abs(left - right) < 1e-25)


def covered(members: Sequence[tuple[Value, Value]], others: Sequence[tuple[Value, Value]]) -> bool:
    """Whether every member near zero of `members` is one of `others`."""
    return all(
        any(belongs(offset + k * step, other) for other in others)
        for offset, step in members
        for k in range(-REACH, REACH + 1)
    )


def belongs(value: Value, progression: tuple[Value, Value]) -> bool:
    offset, step = progression
    if near(step, CONTEXT.mpf(0)):
        return near(value, offset)
    count = (value - offset) / step
    return near(count, CONTEXT.nint(count))
