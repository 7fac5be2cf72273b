"""Puts what was read into the forms that are compared.

Signs ± are written out, lists flattened, unit vectors made tuples, set-builders of
expressions made families, and stock phrases the sets that they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

from verifiers.math_equivalence.limits import MAX_ITEMS
from verifiers.math_equivalence.numbers.integer_sets import integers_of
from verifiers.math_equivalence.read.atoms import ELLIPSIS
from verifiers.math_equivalence.read.expression import (
    STRUCTURES,
    Conditional,
    Group,
    Listing,
    Matrix,
    Node,
    Number,
    PlusMinus,
    Power,
    Product,
    Relation,
    SetBuilder,
    SetOf,
    Sum,
    Symbol,
    Words,
    contains,
    free_symbols,
    negated,
    rebuilt,
    renamed,
    walk,
)
from verifiers.math_equivalence.read.labels import in_order_of_names, names_each
from verifiers.math_equivalence.read.phrases import phrase

ELLIPSIS_NODE: Final = Symbol(ELLIPSIS)
TRANSPOSITIONS: Final = (Symbol("T"), Symbol("top"))
MAX_SIGNS: Final = 4
"""Signs ± in one member: sixteen readings."""


def prepared(node: Node, *, independent: bool = False) -> Node:
    """Signs ± written out, lists flat, stock phrases as the sets that they name.

    Args:
        independent: each ± has two readings of its own; else all flip together.
    """
    if isinstance(node, Words):
        return phrase(node.text) or node
    if contains(node, PlusMinus):
        node = without_signs(as_one_point(node), independent)
    if isinstance(node, Sum | Product):
        node = components(distributed(node), free_symbols(node))
    if isinstance(node, Power):
        node = transposed(node)
    if isinstance(node, Listing):
        node = flat_list(node)
    if isinstance(node, Listing | SetOf | Group) and ELLIPSIS_NODE in node.items:
        node = with_items(node, written_out(node.items))
    if isinstance(node, SetBuilder):
        return integers_of(node) or node
    if isinstance(node, SetOf) and len(node.items) > 1:
        node = SetOf(tuple(dict.fromkeys(node.items)))
        return Listing(node.items, "and") if names_each(node.items) else node
    return node


def components(node: Node, names: frozenset[str]) -> Node:
    """2i - 3j with bold or hatted letters as (2, -3)."""
    axes = [name for name in ("unit i", "unit j", "unit k") if name != "unit k" or name in names]
    if not names & set(axes):
        return node
    items = []
    for axis in axes:
        item = node
        for name in axes:
            item = renamed(item, name, Number(1 if name == axis else 0))
        items.append(item)
    return Group("(", tuple(items), ")")


def distributed(node: Node) -> Node:
    """t(1, 2) as (t, 2t), and (1, 0) + t(1, 2) as (1 + t, 2t). `P(1, 2)` names a point."""
    if isinstance(node, Sum):
        terms = [distributed(term) for term in node.terms]
        first = terms[0]
        if not isinstance(first, Group | Matrix) or len({frame(term) for term in terms}) > 1:
            return node
        columns = zip(*map(entries, terms), strict=True)
        return with_entries(first, [Sum(column) for column in columns])
    if not isinstance(node, Product):
        return node
    *scale, vector = node.factors
    if not isinstance(vector, Group | Matrix):
        return node
    named = any(isinstance(factor, Symbol) and factor.name[0].isupper() for factor in scale)
    interval = isinstance(vector, Group) and vector.opening not in "(<"
    if named or interval or any(isinstance(factor, STRUCTURES) for factor in scale):
        return node
    return with_entries(vector, [Product((*scale, entry)) for entry in entries(vector)])


def frame(node: Node) -> tuple[object, ...] | None:
    """What two tuples or matrices must have in common to be added."""
    if isinstance(node, Group):
        return node.opening, node.closing, len(node.items)
    return (len(node.rows), len(node.rows[0])) if isinstance(node, Matrix) else None


def entries(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Group):
        return node.items
    return tuple(e for row in node.rows for e in row) if isinstance(node, Matrix) else ()


def with_entries(node: Group | Matrix, values: list[Node]) -> Node:
    if isinstance(node, Group):
        return Group(node.opening, tuple(values), node.closing)
    width = len(node.rows[0])
    starts = range(0, len(values), width)
    return Matrix(tuple(tuple(values[start : start + width]) for start in starts))


def transposed(node: Power) -> Node:
    """(1, 2)^T as (1, 2), and a matrix as its rows turned."""
    if node.exponent not in TRANSPOSITIONS:
        return node
    if isinstance(node.base, Group):
        return node.base
    if isinstance(node.base, Matrix):
        return Matrix(tuple(zip(*node.base.rows, strict=True)))
    return node


def with_items(node: Listing | SetOf | Group, items: tuple[Node, ...]) -> Node:
    if isinstance(node, Group):
        return Group(node.opening, items, node.closing)
    return SetOf(items) if isinstance(node, SetOf) else Listing(items, node.joint)


def written_out(items: tuple[Node, ...]) -> tuple[Node, ...]:
    """1, 2, …, 5 as 1, 2, 3, 4, 5; whatever is no such progression as it stands."""
    at = items.index(ELLIPSIS_NODE)
    before, after = items[:at], items[at + 1 :]
    numbers = [item.value for item in (*before, *after[:1]) if isinstance(item, Number)]
    if len(before) < 2 or not after or len(numbers) != len(before) + 1:
        return items
    step = numbers[1] - numbers[0]
    due = [numbers[0] + step * index for index in range(len(before))]
    if step == 0 or numbers[:-1] != due:
        return items
    missing, rest = divmod(numbers[-1] - numbers[-2], step)
    if rest or not 1 <= missing <= MAX_ITEMS:
        return items
    between = tuple(Number(numbers[-2] + step * index) for index in range(1, missing))
    return (*before, *between, *after)


def as_family(node: Node) -> Node:
    """{π/2 + kπ : k ∈ Z} and {x : x = π/2 + kπ, k ∈ Z} as a statement with its condition."""
    if not isinstance(node, SetBuilder):
        return node
    if isinstance(node.condition, Listing) and len(node.condition.items) == 2:
        given, declared = node.condition.items
        if is_membership(declared) and gives_value(given, node.element):
            assert isinstance(given, Relation)
            return Conditional(given if "!=" in given.signs else given.operands[1], declared)
    if isinstance(node.element, Symbol | Relation):
        return node
    if isinstance(node.element, Group) and not is_membership(node.condition):
        return node
    return Conditional(node.element, node.condition)


def gives_value(node: Node, element: Node) -> bool:
    """`x = …` or `x ≠ …`."""
    return (
        isinstance(node, Relation)
        and node.operands[0] == element
        and node.signs in (("=",), ("!=",))
    )


def is_membership(node: Node) -> bool:
    """`k ∈ Z`."""
    return isinstance(node, Relation) and node.signs == ("in",)


def several_signs(node: Node) -> bool:
    """Two ± or more in one member, and no ∓ that would tie them together."""
    if isinstance(node, Listing | SetOf):
        return any(map(several_signs, node.items))
    signs = [inner.sign for inner in walk(node) if isinstance(inner, PlusMinus)]
    return 1 < len(signs) <= MAX_SIGNS and min(signs) > 0


def without_signs(node: Node, independent: bool) -> Node:
    """±: the list of both readings, item by item in a list."""
    if isinstance(node, Listing | SetOf):
        items = [reading for item in node.items for reading in readings(item, independent)]
        return SetOf(tuple(items)) if isinstance(node, SetOf) else Listing(tuple(items), node.joint)
    excludes = isinstance(node, Relation) and "!=" in node.signs
    return Listing(tuple(readings(node, independent)), "and" if excludes else "or")


def as_one_point(node: Node) -> Node:
    """`x = 2 ± 1, y = 2 ∓ 1` as the tuple (2 ± 1, 2 ∓ 1), whose signs flip together."""
    if not isinstance(node, Listing) or len(node.items) < 2 or not names_each(node.items):
        return node
    if sum(contains(item, PlusMinus) for item in node.items) < 2:
        return node
    named = in_order_of_names(node.items)
    return Group("(", tuple(item.operands[-1] for item in named), ")")  # type: ignore[attr-defined]


def readings(node: Node, independent: bool) -> list[Node]:
    if not contains(node, PlusMinus):
        return [node]
    if independent and several_signs(node):
        count = sum(isinstance(inner, PlusMinus) for inner in walk(node))
        choices = product((1, -1), repeat=count)
        return list(dict.fromkeys(with_signs(node, iter(choice)) for choice in choices))
    return [with_sign(node, 1), with_sign(node, -1)]


def with_signs(node: Node, choice: Iterator[int]) -> Node:
    """Every ± with the next sign of `choice`."""
    if isinstance(node, PlusMinus):
        sign = next(choice)
        return with_sign(PlusMinus(with_signs(node.term, choice)), sign)
    return rebuilt(node, lambda child: with_signs(child, choice))


def with_sign(node: Node, sign: int) -> Node:
    if isinstance(node, PlusMinus):
        term = with_sign(node.term, sign)
        return term if node.sign * sign > 0 else negated(term)
    return rebuilt(node, lambda child: with_sign(child, sign))


def flat_list(node: Listing) -> Node:
    items: list[Node] = []
    for item in node.items:
        items.extend(item.items if isinstance(item, Listing) else (item,))
    first = items[0]
    if isinstance(first, Relation) and first.signs == ("!=",):  # x ≠ 1, 2
        name = first.operands[0]
        items = [i if isinstance(i, Relation) else Relation((name, i), ("!=",)) for i in items]
    joint = "," if node.joint == "and" and give_values(items) else node.joint
    return items[0] if len(items) == 1 else Listing(tuple(items), joint)


def give_values(items: list[Node]) -> bool:
    """`n = 1 and n = 3` lists the values of one name."""
    return (
        all(isinstance(item, Relation) and item.signs == ("=",) for item in items)
        and len({item.operands[0] for item in items if isinstance(item, Relation)}) == 1
    )
