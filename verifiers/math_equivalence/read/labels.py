"""Names that equations give values to: x = 5, f(x) = 2x, Area = 12, (x, y) = (1, 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from verifiers.math_equivalence.read.expression import (
    STRUCTURES,
    Applied,
    BigOperator,
    Call,
    Group,
    Listing,
    Matrix,
    Node,
    Product,
    Quotient,
    Ratio,
    Relation,
    SetOperation,
    Symbol,
    Words,
    free_symbols,
)

MEASURES: Final = frozenset("sin cos tan abs conj det arg Re Im max min dim rank ord".split())
COORDINATES: Final = frozenset("xyz")
EQUALITIES: Final = frozenset({"=", "≈", "≡"})


FUNCTION_RESULT: Final = frozenset({"y"})


def values_of_list(node: Listing) -> Listing:
    """`x = 1, x = 2` and `x = 1, 2` as `1, 2`."""
    items = [labelled_value(item) if isinstance(item, Relation) else item for item in node.items]
    if any(item is None for item in items):
        return node
    return Listing(tuple(item for item in items if item is not None), node.joint)


def names_each(items: Sequence[Node]) -> bool:
    """Every member has a name of its own: x = 1, y = 2."""
    names = [item.operands[0] for item in items if isinstance(item, Relation)]
    return len(names) == len(items) == len(set(names)) and all(map(is_label, names))


def in_order_of_names(items: Sequence[Node]) -> Sequence[Node]:
    """`y = 2, x = 1` as the pair (x, y) has them; other names as they were written."""
    named = {
        item.operands[0].name: item
        for item in items
        if isinstance(item, Relation) and isinstance(item.operands[0], Symbol)
    }
    if len(named) != len(items) or not set(named) <= COORDINATES:
        return items
    return [named[name] for name in sorted(named)]


def names_any(items: Sequence[Node]) -> bool:
    return any(isinstance(item, Relation) for item in items)


def is_label(node: Node) -> bool:
    """A name that an equation gives a value to: x, f(x), x_1, Area."""
    return isinstance(node, Symbol | Applied | Words) or is_derivative(node)


def is_derivative(node: Node) -> bool:
    """dy/dx, which reads as a quotient of products."""
    if not isinstance(node, Quotient):
        return False
    parts = (node.numerator, node.denominator)
    return all(
        isinstance(part, Product) and len(part.factors) == 2 and part.factors[0] == Symbol("d")
        for part in parts
    )


def labelled_value(node: Relation) -> Node | None:
    """The value of `x = value`, `value = x` or `x ∈ {…}`; of a chain, the last."""
    if not set(node.signs) <= EQUALITIES | {"in"}:
        return None
    first, last = node.operands[0], node.operands[-1]
    if isinstance(first, Group) and isinstance(last, Group):
        named = all(is_label(name) or labels_a_function(name, last) for name in first.items)
        return last if named and node.signs == ("=",) else None
    if isinstance(first, Matrix) and isinstance(last, Matrix):
        named = all(is_label(name) for row in first.rows for name in row)
        return last if named and node.signs == ("=",) else None
    if node.signs == ("in",):
        names = first.items if isinstance(first, Group) else (first,)
        return last if all(map(is_label, names)) else None
    if is_label(first) or labels_a_function(first, last):
        return last
    if is_label(last) and len(node.operands) == 2:
        return first
    return None


def labels_a_function(left: Node, right: Node) -> bool:
    """`P(x) = …`, which reads as a product, `AB = 5`, `∠A = 60°`, `cos A = 1/2`, `|z| = 5`."""
    if isinstance(left, Call) and left.name in MEASURES:
        return not free_symbols(left) & free_symbols(right)
    if isinstance(left, Product) and left.factors[0] in (Symbol("angle"), Symbol("triangle")):
        return True
    if isinstance(right, Matrix):
        return not isinstance(left, STRUCTURES)
    if isinstance(left, SetOperation):  # A ∩ B = …
        return all(isinstance(part, Symbol) for part in left.parts)
    if isinstance(left, BigOperator):  # the limit of f(x)
        return isinstance(left.body, Applied)
    if isinstance(left, Ratio):
        return all(labels_a_function(term, right) or is_label(term) for term in left.terms)
    if isinstance(left, Product) and all(isinstance(factor, Symbol) for factor in left.factors):
        names = {factor.name for factor in left.factors if isinstance(factor, Symbol)}
        if all(name.isupper() for name in names):
            return not names & free_symbols(right)
        head = left.factors[0]
        return (
            len(left.factors) == 2
            and isinstance(head, Symbol)
            and head.name.isupper()
            and head.name not in free_symbols(right)
        )
    return False


def is_function_result(node: Node) -> bool:
    if isinstance(node, Symbol):
        return node.name in FUNCTION_RESULT or node.name.endswith("'")
    return isinstance(node, Applied) or is_derivative(node)


def arguments_of(label: Node) -> frozenset[str]:
    """The variables of f(x), of P(x) where that reads as a product, and of a tuple of them."""
    if isinstance(label, Applied):
        return free_symbols(Group("(", label.arguments, ")"))
    if isinstance(label, Group):
        return frozenset().union(*map(arguments_of, label.items))
    if isinstance(label, Product) and len(label.factors) == 2:
        return free_symbols(label.factors[1])
    return frozenset()
