"""Solutions with a parameter: x = π/4 + kπ, k ∈ Z, and conditions on statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from verifiers.math_equivalence.interpret.conditions import (
    INTEGERS,
    conflict,
    in_symbols,
    is_understood,
    say_the_same,
    says_more,
)
from verifiers.math_equivalence.numbers.evaluate import Evaluator, numerics
from verifiers.math_equivalence.numbers.values import (
    CONTEXT,
    NotNumericError,
    UndefinedError,
    Value,
    approximate,
    is_real,
)  # fmt: skip
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.expression import (
    Call,
    Conditional,
    Constant,
    Group,
    Listing,
    NamedSet,
    Node,
    Number,
    Power,
    Product,
    Relation,
    SetOf,
    SetOperation,
    Sum,
    Symbol,
    Words,
    children,
    free_symbols,
    renamed,
    walk,
)  # fmt: skip
from verifiers.math_equivalence.read.labels import in_order_of_names, names_each
from verifiers.math_equivalence.verdict import Verdict, different, equal

Compare = Callable[[Node, Node, MathParameters], Verdict]

PARAMETERS: Final = frozenset("kmnljtpqs")
"""Names of integer parameters, where one is declared or stands beside π."""
DIGITS: Final = 40
REACH: Final = 6
"""Members of a progression that are looked for in the other side, on either side of zero."""


def compare(reference: Node, answer: Node, policy: MathParameters, again: Compare) -> Verdict:
    """Statements with conditions. `again` compares their parts."""
    if not compatible_words(reference, answer, policy, again) or is_restricted(reference, answer):
        return different("condition", "condition")
    statements = [n.statement if isinstance(n, Conditional) else n for n in (reference, answer)]
    conditions = [n.condition if isinstance(n, Conditional) else None for n in (reference, answer)]
    if conflict(*conditions):
        return different("condition", "domain")
    if any(map(declares_integer, conditions)) and not any(map(declares_others, conditions)):
        statements = [without_label(statement) for statement in statements]
        if verdict := compare_families(statements[0], statements[1], least_counts(conditions)):
            return verdict
        statements[1] = aligned(statements[0], statements[1])
        return again(statements[0], statements[1], policy)
    verdict = again(statements[0], statements[1], policy)
    if not verdict.equal or None in conditions:
        return verdict
    left, right = (in_symbols(condition) for condition in conditions if condition is not None)
    words = [side for side in (left, right) if isinstance(side, Words)]
    if len(words) == 1 and is_understood(words[0]):
        return verdict
    if len(words) == 2 or again(left, right, policy).equal:
        return verdict
    return different("condition", "condition")


def is_restricted(reference: Node, answer: Node) -> bool:
    """The answer holds "if" something, or "for now, or 3", and the reference unconditionally."""
    if isinstance(reference, Conditional) or not isinstance(answer, Conditional):
        return False
    return answer.keyword in ("if", "when") or says_more(answer.condition)


def compatible_words(reference: Node, answer: Node, policy: MathParameters, again: Compare) -> bool:
    """Conditions in words say the same, or merely declare what their letters are."""
    both = [
        node
        for node in (reference, answer)
        if isinstance(node, Conditional) and isinstance(node.condition, Words)
    ]
    if len(both) < 2 or say_the_same(*both):
        return True
    left, right = (in_symbols(node.condition) for node in both)
    if isinstance(left, Words) or isinstance(right, Words):
        return False
    return again(left, right, policy).equal


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


def declares_others(condition: Node | None) -> bool:
    """x ∈ R, which is no restriction to integers."""
    return (
        isinstance(condition, Relation)
        and condition.signs == ("in",)
        and isinstance(condition.operands[1], NamedSet)
        and condition.operands[1].name[0] in "RQC"
    )


def least_counts(conditions: Sequence[Node | None]) -> tuple[int | None, int | None]:
    """The first value of either side's parameter; left open, it is what the other declares."""
    mine, theirs = (least_count(condition) for condition in conditions)
    if leaves_start_open(conditions[0]):
        return theirs, theirs
    return (mine, mine) if leaves_start_open(conditions[1]) else (mine, theirs)


def least_count(condition: Node | None) -> int | None:
    """1 for positive integers, 0 for those that are not negative; None for all of them."""
    if isinstance(condition, Words):
        text = condition.text.replace("-", "")
        if "positive" in text:
            return 1
        return 0 if "nonnegative" in text or "non negative" in text else None
    if isinstance(condition, Relation) and isinstance(condition.operands[-1], NamedSet):
        return {"Z+": 1, "Z>=0": 0}.get(condition.operands[-1].name)
    return None


def leaves_start_open(condition: Node | None) -> bool:
    """No condition, or natural numbers, which begin with 0 or with 1."""
    if isinstance(condition, Words):
        return "natural" in condition.text
    if isinstance(condition, Relation):
        return condition.operands[-1] == NamedSet("N")
    return condition is None


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


class Progression(NamedTuple):
    """Values, points or intervals offset + k * step, where k runs through the integers."""

    shape: str
    """The brackets of a tuple or interval."""
    offsets: tuple[Value, ...]
    steps: tuple[Value, ...]

    def member(self, k: int) -> tuple[Value, ...]:
        pairs = zip(self.offsets, self.steps, strict=True)
        return tuple(offset + k * step for offset, step in pairs)

    def holds(self, values: tuple[Value, ...], least: int | None) -> bool:
        """Whether `values` is a member, with k from `least` up where that is given."""
        if len(values) != len(self.offsets):
            return False
        counts = [
            (value - offset) / step
            for value, offset, step in zip(values, self.offsets, self.steps, strict=True)
            if not near(step, 0)
        ]
        k = int(CONTEXT.nint(counts[0])) if counts else 0
        if counts and least is not None and k < least:
            return False
        return all(map(near, values, self.member(k)))


def compare_families(
    reference: Node, answer: Node, least: tuple[int | None, int | None] = (None, None)
) -> Verdict | None:
    """Both as unions of arithmetic progressions; None where one is none.

    Args:
        least: the first value of the parameter on either side, where it is bounded below.
    """
    if excludes(reference) != excludes(answer):
        return None
    if least == (None, None):
        reference, answer = without_alternation(reference), without_alternation(answer)
    with numerics:
        mine, theirs = progressions(reference), progressions(answer)
        if mine is None or theirs is None:
            return None
        if covered(mine, theirs, least) and covered(theirs, mine, least[::-1]):
            return equal("family")
        return different("family", "different")


def without_alternation(node: Node) -> Node:
    """(-1)^n π/6 + nπ for even n and for odd n, as two families."""
    names = free_symbols(node)
    if isinstance(node, Relation) and isinstance(node.operands[0], Symbol):
        names -= {node.operands[0].name}
    alternates = any(n for n in walk(node) if isinstance(n, Power) and n.base == Number(-1))
    if not alternates or len(names) != 1 or not names <= PARAMETERS:
        return node
    (name,) = names
    twice = Product((Number(2), Symbol(name)))
    counts = twice, Sum((twice, Number(1)))
    return Listing(tuple(renamed(node, name, count) for count in counts), "or")


def excludes(node: Node) -> bool:
    """`x ≠ kπ` is everything but a family."""
    return isinstance(node, Relation) and "!=" in node.signs


def progressions(node: Node) -> list[Progression] | None:
    """The families of a list, set or union of them."""
    if isinstance(node, Relation):
        if set(node.signs) <= {"=", "in", "!="} and isinstance(node.operands[0], Symbol):
            return progressions(node.operands[-1])
        return None
    if isinstance(node, Listing) and names_each(node.items):
        values = [item.operands[-1] for item in in_order_of_names(node.items)]  # type: ignore[attr-defined]
        return progressions(Group("(", tuple(values), ")"))
    if isinstance(node, Listing | SetOf | SetOperation):
        if isinstance(node, SetOperation) and node.kind != "union":
            return None
        parts = [progressions(item) for item in children(node)]
        return None if None in parts else [family for part in parts if part for family in part]
    return progression(node)


def progression(node: Node) -> list[Progression] | None:
    """One value, tuple or interval that depends linearly on one parameter."""
    symbols = free_symbols(node)
    if not symbols <= PARAMETERS or len(symbols) > 1:
        return None
    items = node.items if isinstance(node, Group) else (node,)
    shape = f"{node.opening}{node.closing}" if isinstance(node, Group) else ""
    lines = [line(item, *symbols) for item in items]
    pairs = [pair for pair in lines if pair]
    if len(pairs) < len(lines):
        return None
    offsets = tuple(offset for offset, _ in pairs)
    return [Progression(shape, offsets, tuple(step for _, step in pairs))]


def line(node: Node, name: str = "") -> tuple[Value, Value] | None:
    """(offset, step) of what is linear in `name`."""
    try:
        values = [
            Evaluator(DIGITS).value(renamed(node, name, Number(k)), {})
            for k in ((0, 1, 2) if name else (0,))
        ]
    except (NotNumericError, UndefinedError):
        return None
    if not all(is_real(value) for value in values):
        return None
    offset, second, third = map(approximate, values if name else values * 3)
    if not near(third - second, second - offset):
        return None
    return offset, second - offset


def near(left: Value, right: Value) -> bool:
    return left == right or bool(abs(left - right) < 1e-25)


def covered(
    members: Sequence[Progression],
    others: Sequence[Progression],
    least: tuple[int | None, int | None],
) -> bool:
    """Whether every member near the first, or near zero, is in one of `others`."""
    mine, theirs = least
    counts = range(-REACH, REACH + 1) if mine is None else range(mine, mine + 2 * REACH)
    return all(
        any(
            family.shape == other.shape and other.holds(family.member(k), theirs)
            for other in others
        )
        for family in members
        for k in counts
    )
