"""Compares two answers by their structure: lists, tuples, sets, matrices, quantities …

`compare` looks at the kinds of both sides and hands their parts to itself again; scalars
end in `scalars`, equations in `equations`, sets of reals in `regions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifiers.math_equivalence import equations, families
from verifiers.math_equivalence.expression import (
    STRUCTURES,
    Conditional,
    Group,
    Listing,
    Matrix,
    NamedSet,
    Node,
    Number,
    PlusMinus,
    Product,
    Quantity,
    Ratio,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Sum,
    Symbol,
    Words,
    contains,
    free_symbols,
    rebuilt,
    renamed,
)  # fmt: skip
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.regions import NotARegionError, first_difference, read_region
from verifiers.math_equivalence.scalars import compare_expressions
from verifiers.math_equivalence.units import Unit, read_unit
from verifiers.math_equivalence.values import NotNumericError
from verifiers.math_equivalence.verdict import Verdict, different, equal, rejected
from verifiers.math_equivalence.words import phrase, text_form

REGION_KINDS = (SetOperation, NamedSet, SetBuilder)
MEMBERS_OF_LIST = (Listing, SetOf)


def compare(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """Whether `answer` is `reference`.

    Raises:
        TooLargeError: beyond a limit.
        NeedsAlgebraError: an integral, limit or derivative decides.
    """
    reference, answer = prepared(reference), prepared(answer)
    if reference == answer:
        return equal("structure")
    if isinstance(reference, Words) or isinstance(answer, Words):
        return compare_words(reference, answer, policy)
    reference, answer = as_family(reference), as_family(answer)
    if isinstance(reference, Conditional) or isinstance(answer, Conditional):
        return families.compare(reference, answer, policy, compare)
    if isinstance(reference, Quantity) or isinstance(answer, Quantity):
        return compare_quantities(reference, answer, policy)
    if verdict := compare_regions(reference, answer, policy):
        return verdict
    return compare_kinds(reference, answer, policy)


def compare_kinds(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    if isinstance(reference, Relation) or isinstance(answer, Relation):
        return equations.compare(reference, answer, policy, compare)
    if isinstance(reference, MEMBERS_OF_LIST):
        return compare_lists(reference, answer, policy)
    if isinstance(answer, MEMBERS_OF_LIST):
        return compare_with_list(reference, answer, policy)
    if isinstance(reference, Matrix) or isinstance(answer, Matrix):
        return compare_matrices(reference, answer, policy)
    if isinstance(reference, Group) and isinstance(answer, Group):
        return compare_groups(reference, answer, policy)
    if isinstance(reference, Ratio) and isinstance(answer, Ratio):
        return compare_ratios(reference, answer, policy)
    if isinstance(reference, SetOperation) and isinstance(answer, SetOperation):
        return compare_operations(reference, answer, policy)
    if isinstance(reference, SetBuilder) and isinstance(answer, SetBuilder):
        return compare_builders(reference, answer, policy)
    if isinstance(reference, STRUCTURES) and not isinstance(reference, Ratio):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    if isinstance(answer, STRUCTURES) and not isinstance(answer, Ratio):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    if families.may_be_undeclared(reference, answer):
        verdict = families.compare_families(reference, answer)
        if verdict and (verdict.equal or free_symbols(reference) != free_symbols(answer)):
            return verdict
    try:
        return compare_expressions(reference, answer, policy)
    except NotNumericError as error:
        if type(error) is not NotNumericError:
            raise
        return different("structure", "type", cause=str(error))


def kind(node: Node) -> str:
    """The kind of an answer in a word, for explanations."""
    names = {Group: "tuple", Listing: "list", SetOf: "set", SetOperation: "set", NamedSet: "set",
             SetBuilder: "set", Words: "text", Relation: "relation"}  # fmt: skip
    name = names.get(type(node))
    if name:
        return name
    return type(node).__name__.lower() if isinstance(node, STRUCTURES) else "expression"


# --- preparation ------------------------------------------------------------------------


def prepared(node: Node) -> Node:
    """Signs ± written out, lists flat, stock phrases as the sets that they name."""
    if isinstance(node, Words):
        return phrase(node.text) or node
    if contains(node, PlusMinus):
        node = without_signs(node)
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


# --- text -------------------------------------------------------------------------------


def compare_words(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    if not (isinstance(reference, Words) and isinstance(answer, Words)):
        return different("text", "type", reference=kind(reference), answer=kind(answer))
    fold = policy.text_case == "fold"
    left, right = text_form(reference.text, fold=fold), text_form(answer.text, fold=fold)
    if left and left == right:
        return equal("text")
    return different("text", reference=left[:80], answer=right[:80])


# --- quantities -------------------------------------------------------------------------


def compare_quantities(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """Values with units. A missing unit is accepted, one of another kind is wrong."""
    left, right = unit_of(reference), unit_of(answer)
    mine, theirs = value_of(reference), value_of(answer)
    if left is None or right is None or policy.units == "ignore":
        verdict = compare(mine, theirs, policy)
        return verdict if verdict.equal else as_variables(reference, answer, policy) or verdict
    if left.dimensions != right.dimensions or counted(left.nouns) != counted(right.nouns):
        names = {"reference": unit_name(reference), "answer": unit_name(answer)}
        return different("units", "unit", **names)
    if left.factor == right.factor:
        return compare(mine, theirs, policy)
    ratio = Number(right.factor / left.factor)
    verdict = compare(mine, Product((ratio, theirs)), policy)
    return equal("units") if verdict.equal else verdict


def unit_of(node: Node) -> Unit | None:
    return read_unit(node.unit) if isinstance(node, Quantity) else None


def value_of(node: Node) -> Node:
    return node.value if isinstance(node, Quantity) else node


def counted(nouns: tuple[str, ...]) -> frozenset[str]:
    return frozenset(nouns) - {"unit", "length", "long", "each", "total", "in", "of", "all"}


def unit_name(node: Node) -> str:
    return node.unit if isinstance(node, Quantity) else ""


def as_variables(reference: Node, answer: Node, policy: MathParameters) -> Verdict | None:
    """`3 m` where m turns out to be a variable: the other side says `3m`."""
    sides = [
        Product((side.value, Symbol(side.unit)))
        if isinstance(side, Quantity) and len(side.unit) == 1
        else side
        for side in (reference, answer)
    ]
    if sides == [reference, answer] or any(isinstance(side, Quantity) for side in sides):
        return None
    verdict = compare(sides[0], sides[1], policy)
    return verdict if verdict.equal else None


# --- sets of reals ----------------------------------------------------------------------


def compare_regions(reference: Node, answer: Node, policy: MathParameters) -> Verdict | None:
    """Both as sets of real numbers, if either must be one and both can be."""
    is_set = [is_region(node) for node in (reference, answer)]
    if not any(is_set):
        return None
    written = [is_inequality(node) for node in (reference, answer)]
    if written[0] != written[1] and policy.inequalities == "strict":
        return different("region", "type", reference=kind(reference), answer=kind(answer))
    try:
        left, right = read_region(reference), read_region(answer)
        at = first_difference(left, right)
    except NotARegionError:
        return None
    if at is None:
        return equal("region")
    return different("region", at=str(float(at)), in_reference=bool(left.contains(at)))


def is_region(node: Node) -> bool:
    if isinstance(node, SetOperation | NamedSet | SetBuilder):
        return True
    return is_inequality(node)


def is_inequality(node: Node) -> bool:
    if isinstance(node, Listing):
        return any(is_inequality(item) for item in node.items)
    return isinstance(node, Relation) and set(node.signs) != {"="}


def compare_operations(
    reference: SetOperation, answer: SetOperation, policy: MathParameters
) -> Verdict:
    if reference.kind != answer.kind:
        return different("structure", "type", reference=reference.kind, answer=answer.kind)
    if reference.kind == "difference":
        return in_order(reference.parts, answer.parts, policy)
    return in_any_order(reference.parts, answer.parts, policy)


def compare_builders(reference: SetBuilder, answer: SetBuilder, policy: MathParameters) -> Verdict:
    return in_order(
        (reference.element, reference.condition), (answer.element, answer.condition), policy
    )


# --- lists, sets, tuples ----------------------------------------------------------------


def compare_lists(reference: Listing | SetOf, answer: Node, policy: MathParameters) -> Verdict:
    """A list against a list or set in any order, or against a tuple in order."""
    if isinstance(answer, MEMBERS_OF_LIST):
        if (
            policy.list_order == "keep"
            and isinstance(reference, Listing)
            and isinstance(answer, Listing)
        ):
            return in_order(reference.items, answer.items, policy)
        if equations.names_each(reference.items) and not equations.names_any(answer.items):
            return in_order(reference.items, answer.items, policy)
        return in_any_order(reference.items, answer.items, policy)
    if isinstance(answer, Group) and isinstance(reference, Listing) and answer.opening == "(":
        return in_order(reference.items, answer.items, policy)
    if isinstance(answer, Matrix) and isinstance(reference, Listing):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    if len(reference.items) == 1:
        return compare(reference.items[0], answer, policy)
    if isinstance(reference, SetOf) and isinstance(answer, Group):
        return different("structure", "type", reference="set", answer="tuple")
    if isinstance(answer, Words):
        return different("structure", "type", reference=kind(reference), answer="text")
    return different("list", "count", reference=len(reference.items), answer=1)


def compare_with_list(reference: Node, answer: Listing | SetOf, policy: MathParameters) -> Verdict:
    """A list where the reference is one thing: right only if it says one thing."""
    if isinstance(answer, SetOf) and len(answer.items) == 1:
        return compare(reference, answer.items[0], policy)
    if is_tuple(reference) and isinstance(answer, Listing):
        assert isinstance(reference, Group)
        if len(answer.items) == len(reference.items):
            return in_order(reference.items, answer.items, policy)
    if isinstance(reference, NamedSet | SetOperation | SetBuilder):
        return different("structure", "type", reference="set", answer=kind(answer))
    verdicts = [compare(reference, item, policy) for item in answer.items[:8]]
    if (
        len(answer.items) <= 8
        and all(verdict.equal for verdict in verdicts)
        and isinstance(answer, Listing)
    ):
        return verdicts[0]
    return rejected("list", "several answers")


def is_tuple(node: Node) -> bool:
    return isinstance(node, Group) and node.opening in "(<" and node.closing in ")>"


def in_order(left: Sequence[Node], right: Sequence[Node], policy: MathParameters) -> Verdict:
    if len(left) != len(right):
        return different("list", "count", reference=len(left), answer=len(right))
    method = "structure"
    for index, (mine, theirs) in enumerate(zip(left, right, strict=True)):
        verdict = compare(mine, theirs, policy)
        if not verdict.equal:
            return at_position(verdict, index)
        method = verdict.method if verdict.method != "structure" else method
    return equal(method)


def at_position(verdict: Verdict, index: int) -> Verdict:
    witness = {"position": index, **verdict.witness}
    return Verdict(False, verdict.method, verdict.reason, verdict.rejected, witness)


def in_any_order(left: Sequence[Node], right: Sequence[Node], policy: MathParameters) -> Verdict:
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
            verdict = compare(mine, theirs, policy)
            if verdict.equal:
                method = verdict.method
                del open_items[index]
                break
        else:
            return different("list", "member", missing=describe(mine))
    return equal(method)


MAX_COMPARISONS = 400
"""Comparisons of members in one list."""


def describe(node: Node) -> str:
    """A member of a list, for an explanation."""
    return str(node.value) if isinstance(node, Number) else kind(node)


def compare_groups(reference: Group, answer: Group, policy: MathParameters) -> Verdict:
    """Tuples in order. Pairs may be intervals, so their brackets must be the same."""
    brackets = (reference.opening, reference.closing), (answer.opening, answer.closing)
    if brackets[0] != brackets[1] and len(reference.items) == 2 and "[" in str(brackets) + "[":
        vectors = {("(", ")"), ("<", ">")}
        if not set(brackets) <= vectors:
            return different(
                "structure", "brackets", reference="".join(brackets[0]), answer="".join(brackets[1])
            )
    return in_order(reference.items, answer.items, policy)


def compare_ratios(reference: Ratio, answer: Ratio, policy: MathParameters) -> Verdict:
    """a:b:c up to a common factor: a·B = b·A, a·C = c·A."""
    if len(reference.terms) != len(answer.terms):
        return different("ratio", "count", reference=len(reference.terms), answer=len(answer.terms))
    first, other = reference.terms[0], answer.terms[0]
    for mine, theirs in zip(reference.terms[1:], answer.terms[1:], strict=True):
        verdict = compare(Product((first, theirs)), Product((mine, other)), policy)
        if not verdict.equal:
            return verdict
    zero = compare(Number(0), other, policy).equal or compare(Number(0), first, policy).equal
    return different("ratio", "undefined") if zero else equal("ratio")


# --- matrices ---------------------------------------------------------------------------


def compare_matrices(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    left, right = rows_of(reference), rows_of(answer)
    if left is not None and right is not None:
        if (len(left), len(left[0])) != (len(right), len(right[0])):
            return different("matrix", "shape", reference=shape(left), answer=shape(right))
        return in_order([e for row in left for e in row], [e for row in right for e in row], policy)
    if policy.vectors == "tuple":
        mine, theirs = vector(reference), vector(answer)
        if mine is not None and theirs is not None:
            return in_order(mine, theirs, policy)
    return different("structure", "type", reference=kind(reference), answer=kind(answer))


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
