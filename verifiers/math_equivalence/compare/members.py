"""Compares members of structures: in order, in any order, row by row, up to a factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.expression import Group, Matrix, Node, Number, Product, Ratio
from verifiers.math_equivalence.verdict import Verdict, different, equal, rejected

Compare = Callable[[Node, Node, MathParameters], Verdict]
"""How two members are compared."""

MAX_COMPARISONS = 400
"""Comparisons of members in one list."""


def in_order(
    left: Sequence[Node], right: Sequence[Node], policy: MathParameters, again: Compare
) -> Verdict:
    if len(left) != len(right):
        return different("list", "count", reference=len(left), answer=len(right))
    method = "structure"
    for index, (mine, theirs) in enumerate(zip(left, right, strict=True)):
        verdict = again(mine, theirs, policy)
        if not verdict.equal:
            return at_position(verdict, index)
        method = verdict.method if verdict.method != "structure" else method
    return equal(method)


def at_position(verdict: Verdict, index: int) -> Verdict:
    witness = {"position": index, **verdict.witness}
    return Verdict(False, verdict.method, verdict.reason, verdict.rejected, witness)


def in_any_order(
    left: Sequence[Node], right: Sequence[Node], policy: MathParameters, again: Compare
) -> Verdict:
    """A matching of members; each is used once. Identical ones are paired first."""
    if len(left) != len(right):
        return different("list", "count", reference=len(left), answer=len(right))
    open_items = list(right)
    unmatched = []
    for mine in left:
        if mine in open_items:
            open_items.remove(mine)
        else:
            unmatched.append(mine)
    method = "structure"
    budget = MAX_COMPARISONS
    for mine in unmatched:
        for index, theirs in enumerate(open_items):
            budget -= 1
            if budget < 0:
                return rejected("list", "too many members")
            verdict = again(mine, theirs, policy)
            if verdict.equal:
                method = verdict.method
                del open_items[index]
                break
        else:
            return different("list", "member", missing=describe(mine))
    return equal(method)


def describe(node: Node) -> str:
    """A member of a list, for an explanation."""
    return str(node.value) if isinstance(node, Number) else type(node).__name__.lower()


def compare_ratios(
    reference: Ratio, answer: Ratio, policy: MathParameters, again: Compare
) -> Verdict:
    """a:b:c up to a common factor: a·B = b·A, a·C = c·A."""
    if len(reference.terms) != len(answer.terms):
        return different("ratio", "count", reference=len(reference.terms), answer=len(answer.terms))
    first, other = reference.terms[0], answer.terms[0]
    for mine, theirs in zip(reference.terms[1:], answer.terms[1:], strict=True):
        verdict = again(Product((first, theirs)), Product((mine, other)), policy)
        if not verdict.equal:
            return verdict
    zero = again(Number(0), other, policy).equal or again(Number(0), first, policy).equal
    return different("ratio", "undefined") if zero else equal("ratio")


def compare_matrices(
    reference: Node, answer: Node, policy: MathParameters, again: Compare
) -> Verdict:
    left, right = rows_of(reference), rows_of(answer)
    if left is not None and right is not None:
        if (len(left), len(left[0])) != (len(right), len(right[0])):
            return different("matrix", "shape", reference=shape(left), answer=shape(right))
        return in_order(
            [e for row in left for e in row], [e for row in right for e in row], policy, again
        )
    if policy.vectors == "tuple":
        mine, theirs = vector(reference), vector(answer)
        if mine is not None and theirs is not None:
            return in_order(mine, theirs, policy, again)
    return different("structure", "type", reference=describe(reference), answer=describe(answer))


def rows_of(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    """The rows of a matrix, of a list of lists, or of a matrix with a factor before it."""
    if isinstance(node, Matrix):
        return node.rows
    if isinstance(node, Group) and all(isinstance(item, Group) for item in node.items):
        rows = tuple(item.items for item in node.items if isinstance(item, Group))
        return rows if len({len(row) for row in rows}) == 1 else None
    if isinstance(node, Product) and isinstance(node.factors[-1], Matrix):
        factors = node.factors[:-1]
        return tuple(
            tuple(Product((*factors, entry)) for entry in row) for row in node.factors[-1].rows
        )
    return None


def vector(node: Node) -> Sequence[Node] | None:
    """The entries of a row, a column or a tuple."""
    if isinstance(node, Group) and node.opening in "([<":
        return node.items
    rows = rows_of(node)
    if rows is None:
        return None
    if len(rows) == 1:
        return rows[0]
    return [row[0] for row in rows] if len(rows[0]) == 1 else None


def shape(rows: tuple[tuple[Node, ...], ...]) -> str:
    return f"{len(rows)}x{len(rows[0])}"
