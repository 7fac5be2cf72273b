"""Notations that the other side explains: `C(n, k)`, `2i - 3j`, cases, `R` for the reals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from verifiers.math_equivalence.read.expression import (
    STRUCTURES,
    Call,
    Conditional,
    Constant,
    Group,
    Listing,
    Matrix,
    NamedSet,
    Node,
    Number,
    Piecewise,
    Product,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Sum,
    Symbol,
    Words,
    free_symbols,
    rebuilt,
    renamed,
)

NATURAL_NUMBERS: Final = NamedSet("N")
"""They begin with 0 or with 1."""
ROOT: Final = re.compile("[xzt]_[0-9]")
OTHERWISE: Final = frozenset(("otherwise", "else", "other cases", "in other cases"))


def alike(node: Node, other: Node) -> Node:
    """`node`, read as what it is beside `other`."""
    if node == NATURAL_NUMBERS and other in (NamedSet("Z+"), NamedSet("Z>=0")):
        return other
    if node == Symbol("R") and isinstance(other, Group | SetOperation):
        return NamedSet("R")
    if isinstance(node, Symbol) and isinstance(other, NamedSet) and node.name == other.name:
        return other
    if isinstance(node, SetBuilder) and isinstance(other, Relation):
        return node.condition if isinstance(node.element, Group) else node
    if isinstance(node, Listing) and isinstance(other, Listing | SetOf):
        return without_numbers(node, other)
    if point := named_point(node):
        return beside_point(node, point, other)
    if isinstance(other, Group | Matrix) and isinstance(node, Sum | Product):
        return as_vector(node)
    if isinstance(node, Relation) and (due := group_of(other)):
        return with_equal_members(node, due)
    if is_piecewise(node) and (is_scalar(other) or is_piecewise(other)):
        return piecewise(node)
    return node


def is_scalar(node: Node) -> bool:
    return not isinstance(node, STRUCTURES)


# --- roots ------------------------------------------------------------------------------


def without_numbers(node: Listing, other: Listing | SetOf) -> Node:
    """`x_1 = 2, x_2 = 3` as the roots 2 and 3, where the other side does not number them."""
    if not all(map(is_root, node.items)) or any(map(is_root, other.items)):
        return node
    return Listing(tuple(item.operands[1] for item in node.items if isinstance(item, Relation)))


def is_root(item: Node) -> bool:
    return (
        isinstance(item, Relation)
        and item.signs == ("=",)
        and isinstance(item.operands[0], Symbol)
        and ROOT.fullmatch(item.operands[0].name) is not None
    )


# --- P(1, 2) and C(n, k) ----------------------------------------------------------------


def named_point(node: Node) -> tuple[Symbol, Group] | None:
    """The letter and the tuple of `P(1, 2)`, which reads as a product."""
    if not isinstance(node, Product) or len(node.factors) != 2:
        return None
    name, group = node.factors
    if isinstance(name, Symbol) and name.name[0].isupper() and isinstance(group, Group):
        return name, group
    return None


def beside_point(node: Node, point: tuple[Symbol, Group], other: Node) -> Node:
    name, group = point
    theirs = named_point(other)
    if isinstance(other, Group | Matrix) or (theirs and theirs[0] == name):
        return group
    if isinstance(other, Relation):
        return Relation((name, group), ("=",))
    if name.name == "C" and len(group.items) == 2 and is_scalar(other):
        return Call("binomial", group.items)
    return node


def group_of(node: Node) -> Group | None:
    """The tuple that `node` is or gives: (1, 2), (x, y) = (1, 2)."""
    if isinstance(node, Relation) and isinstance(node.operands[0], Group):
        node = node.operands[-1]
    return node if isinstance(node, Group) else None


def with_equal_members(node: Relation, other: Group) -> Node:
    """`x = y = 1` as the pair (1, 1)."""
    *names, value = node.operands
    if set(node.signs) != {"="} or not len(names) == len(other.items) > 1:
        return node
    if not is_scalar(value) or not all(isinstance(name, Symbol) for name in names):
        return node
    return Group("(", (value,) * len(names), ")")


# --- vectors in i, j, k -----------------------------------------------------------------


def as_vector(node: Node) -> Node:
    """2i - 3j + k as (2, -3, 1), where every term has one of i, j and k."""
    names = free_symbols(node)
    if "j" not in names and "k" not in names:
        return node
    marked = with_unit_i(node)
    axes = ("unit i", "j", "k") if "k" in names else ("unit i", "j")
    zero = marked
    for axis in axes:
        zero = renamed(zero, axis, Number(0))
    if free_symbols(zero) & set(axes) or not vanishes(zero):
        return node
    return Group("(", tuple(component(marked, axes, axis) for axis in axes), ")")


def with_unit_i(node: Node) -> Node:
    return Symbol("unit i") if node == Constant("i") else rebuilt(node, with_unit_i)


def component(node: Node, axes: Sequence[str], axis: str) -> Node:
    for name in axes:
        node = renamed(node, name, Number(1 if name == axis else 0))
    return node


def vanishes(node: Node) -> bool:
    """Whether every term has a factor zero."""
    if isinstance(node, Sum):
        return all(map(vanishes, node.terms))
    if isinstance(node, Product):
        return any(map(vanishes, node.factors))
    return node == Number(0)


# --- cases ------------------------------------------------------------------------------


def is_piecewise(node: Node) -> bool:
    """Rows of values with their conditions, each in mathematics or "otherwise"."""
    return isinstance(node, Listing) and all(
        isinstance(item, Conditional)
        and is_scalar(item.statement)
        and (isinstance(item.condition, Relation) or is_otherwise(item.condition))
        for item in node.items
    )


def is_otherwise(condition: Node) -> bool:
    return isinstance(condition, Words) and condition.text.strip(" ,.").lower() in OTHERWISE


def piecewise(node: Node) -> Node:
    assert isinstance(node, Listing)
    pieces = [item for item in node.items if isinstance(item, Conditional)]
    pieces.sort(key=lambda piece: is_otherwise(piece.condition))
    return Piecewise(
        tuple(piece.statement for piece in pieces),
        tuple(None if is_otherwise(p.condition) else p.condition for p in pieces),
    )
