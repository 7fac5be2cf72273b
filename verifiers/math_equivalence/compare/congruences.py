"""Residue classes: x ≡ 3 (mod 7), x = 7k + 3, n ≡ ±1 (mod 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from verifiers.math_equivalence.compare.families import PARAMETERS, declares_integer, progressions
from verifiers.math_equivalence.read.expression import (
    Call,
    Conditional,
    Listing,
    Node,
    Number,
    Relation,
    SetBuilder,
    SetOf,
    Symbol,
    free_symbols,
)
from verifiers.math_equivalence.verdict import Verdict, different, equal

MAX_MODULUS: Final = 100_000


class Residues(NamedTuple):
    """The integers that leave one of `remainders`, and the name of such an integer."""

    name: str | None
    modulus: int
    remainders: frozenset[int]


def compare_residues(reference: Node, answer: Node) -> Verdict | None:
    """Both as residue classes, where one is a congruence; None where they are none."""
    if not (is_congruence(reference) or is_congruence(answer)):
        return None
    mine, theirs = residues(reference), residues(answer)
    if mine is None or theirs is None:
        return None
    if None not in (mine.name, theirs.name) and mine.name != theirs.name:
        return different("congruence", "variable")
    modulus = math.lcm(mine.modulus, theirs.modulus)
    if modulus > MAX_MODULUS:
        return None
    if spread(mine, modulus) == spread(theirs, modulus):
        return equal("congruence")
    return different("congruence")


def is_congruence(node: Node) -> bool:
    if isinstance(node, Listing):
        return any(map(is_congruence, node.items))
    return (isinstance(node, Relation) and "mod" in node.signs) or is_remainder(node)


def is_remainder(node: Node) -> bool:
    """`3 mod 7`, which may mean the class or the number 3."""
    return isinstance(node, Call) and node.name == "mod" and not free_symbols(node)


def spread(classes: Residues, modulus: int) -> frozenset[int]:
    """The same integers by their remainders modulo a multiple."""
    return frozenset(
        remainder + step
        for remainder in classes.remainders
        for step in range(0, modulus, classes.modulus)
    )


def residues(node: Node) -> Residues | None:
    if isinstance(node, Conditional) and declares_integer(node.condition):
        return residues(node.statement)
    if isinstance(node, SetBuilder):
        return residues(node.condition)
    if isinstance(node, Listing | SetOf):
        return united(node.items)
    if is_remainder(node):
        assert isinstance(node, Call)
        return from_remainders(None, node.arguments[-1], node.arguments[:1])
    if isinstance(node, Relation) and node.signs == ("mod",):
        return from_remainders(None, node.operands[-1], node.operands[:1])
    if isinstance(node, Relation) and node.signs == ("≡", "mod"):
        name = node.operands[0]
        if not isinstance(name, Symbol):
            return None
        return from_remainders(name.name, node.operands[-1], node.operands[1:2])
    return from_family(node)


def from_remainders(name: str | None, modulus: Node, remainders: Sequence[Node]) -> Residues | None:
    if not (isinstance(modulus, Number) and is_modulus(modulus.value)):
        return None
    values = [remainder.value for remainder in remainders if isinstance(remainder, Number)]
    if len(values) != len(remainders) or not all(isinstance(value, int) for value in values):
        return None
    return Residues(
        name, int(modulus.value), frozenset(int(v) % int(modulus.value) for v in values)
    )


def is_modulus(value: object) -> bool:
    return isinstance(value, int) and 0 < value <= MAX_MODULUS


def from_family(node: Node) -> Residues | None:
    """7k + 3, or n = 7k + 3."""
    name = None
    if isinstance(node, Relation) and node.signs == ("=",) and isinstance(node.operands[0], Symbol):
        name, node = node.operands[0].name, node.operands[1]
    if len(free_symbols(node)) != 1 or not free_symbols(node) <= PARAMETERS:
        return None
    families = progressions(node) or []
    pairs = [(f.offsets[0], abs(f.steps[0])) for f in families if len(f.offsets) == 1]
    if not pairs or any(int(value) != value for pair in pairs for value in pair):
        return None
    return joined(
        [
            Residues(name, int(step), frozenset((int(offset) % int(step),)))
            for offset, step in pairs
            if is_modulus(int(step))
        ]
    )


def united(items: Sequence[Node]) -> Residues | None:
    """All members of a list. In `n ≡ 1, 5 (mod 6)`, the last one states the modulus of all."""
    last = residues(items[-1])
    if last is None:
        return None
    classes = [last]
    for item in items[:-1]:
        value = item.operands[1] if isinstance(item, Relation) and item.signs == ("≡",) else item
        found = from_remainders(named(item), Number(last.modulus), (value,)) or residues(item)
        if found is None:
            return None
        classes.append(found)
    return joined(classes)


def named(item: Node) -> str | None:
    label = item.operands[0] if isinstance(item, Relation) else None
    return label.name if isinstance(label, Symbol) else None


def joined(classes: Sequence[Residues]) -> Residues | None:
    """The union, which has at most one name."""
    names = {one.name for one in classes if one.name}
    modulus = math.lcm(*(one.modulus for one in classes)) if classes else 0
    if len(names) > 1 or not is_modulus(modulus):
        return None
    members = frozenset().union(*(spread(one, modulus) for one in classes))
    return Residues(next(iter(names), None), modulus, members)
