"""Puts what was read into the forms that are compared.

Signs ± are written out, lists flattened, unit vectors made tuples, set-builders of
expressions made families, and stock phrases the sets that they name.
"""

from __future__ import annotations

from verifiers.math_equivalence.expression import (
    Applied,
    Conditional,
    Group,
    Listing,
    Node,
    Number,
    PlusMinus,
    Product,
    Relation,
    SetBuilder,
    SetOf,
    Sum,
    Symbol,
    Words,
    contains,
    free_symbols,
    rebuilt,
    renamed,
)
from verifiers.math_equivalence.words import phrase


def prepared(node: Node) -> Node:
    """Signs ± written out, lists flat, stock phrases as the sets that they name."""
    if isinstance(node, Words):
        return phrase(node.text) or node
    if contains(node, PlusMinus):
        node = without_signs(node)
    if isinstance(node, Relation):
        node = with_function_label(node)
    if isinstance(node, Sum | Product):
        node = components(node, free_symbols(node))
    if isinstance(node, Listing):
        node = flat_list(node)
    if isinstance(node, SetOf) and len(node.items) > 1:
        node = SetOf(tuple(dict.fromkeys(node.items)))
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


def with_function_label(node: Relation) -> Node:
    """`P(x) = …`, read as a product, as the function that it is."""
    label = node.operands[0]
    if not isinstance(label, Product) or len(label.factors) != 2 or "=" not in node.signs:
        return node
    name, argument = label.factors
    if not (isinstance(name, Symbol) and isinstance(argument, Symbol)):
        return node
    if not (name.name[:1].isupper() and argument.name.islower()):
        return node
    rest = node.operands[1:]
    if any(name.name in free_symbols(operand) for operand in rest):
        return node
    return Relation((Applied(name.name, (argument,)), *rest), node.signs)


def as_family(node: Node) -> Node:
    """{π/2 + kπ : k ∈ Z} as a statement with its condition."""
    if isinstance(node, SetBuilder) and not isinstance(node.element, Symbol | Relation | Group):
        return Conditional(node.element, node.condition)
    return node


def without_signs(node: Node) -> Node:
    """±: the list of both readings, item by item in a list."""
    if isinstance(node, Listing | SetOf):
        items = [reading for item in node.items for reading in both_readings(item)]
        return SetOf(tuple(items)) if isinstance(node, SetOf) else Listing(tuple(items), node.joint)
    readings = both_readings(node)
    return Listing(tuple(readings), "or")


def both_readings(node: Node) -> list[Node]:
    if not contains(node, PlusMinus):
        return [node]
    return [with_sign(node, 1), with_sign(node, -1)]


def with_sign(node: Node, sign: int) -> Node:
    if isinstance(node, PlusMinus):
        term = with_sign(node.term, sign)
        return term if node.sign * sign > 0 else Product((Number(-1), term))
    return rebuilt(node, lambda child: with_sign(child, sign))


def flat_list(node: Listing) -> Node:
    items: list[Node] = []
    for item in node.items:
        items.extend(item.items if isinstance(item, Listing) else (item,))
    first = items[0]
    if isinstance(first, Relation) and first.signs == ("!=",):  # x ≠ 1, 2
        name = first.operands[0]
        items = [i if isinstance(i, Relation) else Relation((name, i), ("!=",)) for i in items]
    return items[0] if len(items) == 1 else Listing(tuple(items), node.joint)
