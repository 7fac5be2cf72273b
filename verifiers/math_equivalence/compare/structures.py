"""Compares two answers by their structure: lists, tuples, sets, matrices, quantities …

`compare` looks at the kinds of both sides and hands their parts to itself again; scalars
end in `scalars`, equations in `equations`, sets of reals in `regions`.
"""

from __future__ import annotations

from fractions import Fraction

from verifiers.math_equivalence.compare import equations, families
from verifiers.math_equivalence.compare.congruences import compare_residues
from verifiers.math_equivalence.compare.members import (
    compare_matrices,
    compare_ratios,
    in_any_order,
    in_order,
)
from verifiers.math_equivalence.compare.scalars import compare_expressions, show, top_mark
from verifiers.math_equivalence.interpret.ambiguities import alike
from verifiers.math_equivalence.interpret.preparation import as_family, prepared, several_signs
from verifiers.math_equivalence.numbers.enclosures import UnprovenError
from verifiers.math_equivalence.numbers.regions import (
    NotARegionError,
    first_difference,
    read_region,
)
from verifiers.math_equivalence.numbers.values import NotNumericError
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read import labels
from verifiers.math_equivalence.read.expression import (
    STRUCTURES,
    Conditional,
    Group,
    Letters,
    Listing,
    Matrix,
    NamedSet,
    Node,
    Number,
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
)  # fmt: skip
from verifiers.math_equivalence.read.sentences import same_words
from verifiers.math_equivalence.read.units import Unit, read_unit
from verifiers.math_equivalence.verdict import Verdict, different, equal, rejected

REGION_KINDS = (SetOperation, NamedSet, SetBuilder)
CELSIUS = (("celsius", 1),)
FAHRENHEIT = (("fahrenheit", 1),)
MEMBERS_OF_LIST = (Listing, SetOf)


def compare(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """Whether `answer` is `reference`.

    Raises:
        TooLargeError: beyond a limit.
        NeedsAlgebraError: an integral, limit or derivative decides.
    """
    if isinstance(reference, Words) and isinstance(answer, Words):
        verdict = compare_words(reference, answer, policy)
        if verdict.equal:
            return verdict
    if several_signs(reference) or several_signs(answer):
        verdict = compare_prepared(
            prepared(reference, independent=True), prepared(answer, independent=True), policy
        )
        if verdict.equal or not (holds_tuples(reference) or holds_tuples(answer)):
            return verdict
    return compare_prepared(prepared(reference), prepared(answer), policy)


def holds_tuples(node: Node) -> bool:
    """Members whose signs may depend on each other: (±1, ±2) may be two points or four."""
    return contains(node, Group, Matrix)


def compare_prepared(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    if reference == answer:
        return equal("structure")
    reference, answer = alike(reference, answer), alike(answer, reference)
    if reference == answer:
        return equal("structure")
    if isinstance(reference, Words) or isinstance(answer, Words):
        return compare_words(reference, answer, policy)
    if isinstance(reference, Letters) and isinstance(answer, Letters):
        return different("text", "order")
    reference, answer = as_family(reference), as_family(answer)
    if isinstance(reference, Conditional) or isinstance(answer, Conditional):
        return families.compare(reference, answer, policy, compare)
    if isinstance(reference, Quantity) or isinstance(answer, Quantity):
        return compare_quantities(reference, answer, policy)
    if verdict := compare_regions(reference, answer, policy):
        return verdict
    return compare_kinds(reference, answer, policy)


def compare_kinds(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    if verdict := compare_residues(reference, answer):
        return verdict
    if isinstance(reference, Relation) or isinstance(answer, Relation):
        return equations.compare(reference, answer, policy, compare)
    if isinstance(reference, MEMBERS_OF_LIST):
        return compare_lists(reference, answer, policy)
    if isinstance(answer, MEMBERS_OF_LIST):
        return compare_with_list(reference, answer, policy)
    if isinstance(reference, Matrix) or isinstance(answer, Matrix):
        return compare_matrices(reference, answer, policy, compare)
    if isinstance(reference, Group) and isinstance(answer, Group):
        verdict = compare_groups(reference, answer, policy)
        return verdict if verdict.equal else undeclared_family(reference, answer) or verdict
    if isinstance(reference, Ratio) and isinstance(answer, Ratio):
        return compare_ratios(reference, answer, policy, compare)
    if isinstance(reference, SetOperation) and isinstance(answer, SetOperation):
        return compare_operations(reference, answer, policy)
    if isinstance(reference, SetBuilder) and isinstance(answer, SetBuilder):
        return compare_builders(reference, answer, policy)
    if isinstance(reference, STRUCTURES) and not isinstance(reference, Ratio):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    if isinstance(answer, STRUCTURES) and not isinstance(answer, Ratio):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    if verdict := undeclared_family(reference, answer):
        return verdict
    try:
        return compare_expressions(reference, answer, policy)
    except NotNumericError as error:
        if type(error) is not NotNumericError:
            raise
        return different("structure", "type", cause=str(error))


def undeclared_family(reference: Node, answer: Node) -> Verdict | None:
    """Both with an integer parameter that nobody declares: kπ and nπ."""
    if not families.may_be_undeclared(reference, answer):
        return None
    verdict = families.compare_families(reference, answer)
    if verdict and (verdict.equal or free_symbols(reference) != free_symbols(answer)):
        return verdict
    return None


def kind(node: Node) -> str:
    """The kind of an answer in a word, for explanations."""
    names = {Group: "tuple", Listing: "list", SetOf: "set", SetOperation: "set", NamedSet: "set",
             SetBuilder: "set", Words: "text", Relation: "relation"}  # fmt: skip
    name = names.get(type(node))
    if name:
        return name
    return type(node).__name__.lower() if isinstance(node, STRUCTURES) else "expression"


# --- text -------------------------------------------------------------------------------


def compare_words(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    if not (isinstance(reference, Words) and isinstance(answer, Words)):
        return different("text", "type", reference=kind(reference), answer=kind(answer))
    if same_words(reference.text, answer.text, fold=policy.text_case == "fold"):
        return equal("text")
    return different("text", reference=reference.text[:80], answer=answer.text[:80])


# --- quantities -------------------------------------------------------------------------


def compare_quantities(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """Values with units. A missing unit is accepted, one of another kind is wrong."""
    left, right = unit_of(reference), unit_of(answer)
    if (top_mark(answer) or top_mark(reference)) and policy.units == "check":
        return different("units", "unit")
    mine, theirs = value_of(reference), value_of(answer)
    if left is None or right is None or policy.units == "ignore":
        verdict = compare(mine, theirs, policy)
        return verdict if verdict.equal else as_variables(reference, answer, policy) or verdict
    if temperature := in_degrees_of(left, right, theirs):
        return compare(mine, temperature, policy)
    if left.dimensions != right.dimensions or counted(left.nouns) != counted(right.nouns):
        names = {"reference": unit_name(reference), "answer": unit_name(answer)}
        return different("units", "unit", **names)
    if left.factor == right.factor:
        return compare(mine, theirs, policy)
    ratio = Number(right.factor / left.factor)
    verdict = compare(mine, Product((ratio, theirs)), policy)
    return equal("units") if verdict.equal else verdict


def in_degrees_of(due: Unit, given: Unit, value: Node) -> Node | None:
    """Degrees Celsius in Fahrenheit, and back; None for any other units."""
    scales = due.dimensions, given.dimensions
    if scales == (FAHRENHEIT, CELSIUS):
        return Sum((Product((Number(Fraction(9, 5)), value)), Number(32)))
    if scales == (CELSIUS, FAHRENHEIT):
        return Product((Number(Fraction(5, 9)), Sum((value, Number(-32)))))
    return None


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
    if all(written) and renames_variable(reference, answer):
        return different("region", "variable")
    if written[0] != written[1] and policy.inequalities == "strict":
        return different("region", "type", reference=kind(reference), answer=kind(answer))
    try:
        left, right = read_region(reference), read_region(answer)
        at = first_difference(left, right)
    except NotARegionError:
        return None
    except UnprovenError as error:
        return different("region", "unproven", because=str(error))
    if at is None:
        return equal("region")
    return different("region", at=show(at), in_reference=bool(left.contains(at)))


def renames_variable(reference: Node, answer: Node) -> bool:
    """`y > 2` where `x > 2` is due. In an interval or set, no variable is named."""
    mine, theirs = free_symbols(reference), free_symbols(answer)
    return len(mine) == len(theirs) == 1 and mine != theirs


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
        return in_order(reference.parts, answer.parts, policy, compare)
    return in_any_order(reference.parts, answer.parts, policy, compare)


def compare_builders(reference: SetBuilder, answer: SetBuilder, policy: MathParameters) -> Verdict:
    return in_order(
        (reference.element, reference.condition),
        (answer.element, answer.condition),
        policy,
        compare,
    )


# --- lists, sets, tuples ----------------------------------------------------------------


def compare_lists(reference: Listing | SetOf, answer: Node, policy: MathParameters) -> Verdict:
    """A list against a list or set in any order, or against a tuple in order."""
    if (
        isinstance(reference, Listing)
        and isinstance(answer, Listing)
        and contradict(reference, answer)
    ):
        return different("structure", "joint", reference=reference.joint, answer=answer.joint)
    if isinstance(answer, MEMBERS_OF_LIST):
        if (
            policy.list_order == "keep"
            and isinstance(reference, Listing)
            and isinstance(answer, Listing)
        ):
            return in_order(reference.items, answer.items, policy, compare)
        if labels.names_each(reference.items) and not labels.names_any(answer.items):
            return in_order(reference.items, answer.items, policy, compare)
        both_sets = isinstance(reference, SetOf) and isinstance(answer, SetOf)
        again = compare_elements if both_sets else compare
        return in_any_order(reference.items, answer.items, policy, again)
    if isinstance(answer, Group) and isinstance(reference, Listing) and answer.opening == "(":
        return in_order(labels.in_order_of_names(reference.items), answer.items, policy, compare)
    if isinstance(answer, Matrix) and isinstance(reference, Listing):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    if len(reference.items) == 1 and not is_set(reference.items[0]):
        return compare(reference.items[0], answer, policy)
    if isinstance(reference, SetOf) and isinstance(answer, Group):
        return different("structure", "type", reference="set", answer="tuple")
    if isinstance(answer, Words):
        return different("structure", "type", reference=kind(reference), answer="text")
    return different("list", "count", reference=len(reference.items), answer=1)


def contradict(reference: Listing, answer: Listing) -> bool:
    """One says that all of it holds, and the other that some of it does. The values that one
    variable takes are joined by either."""
    if {reference.joint, answer.joint} != {"and", "or"}:
        return False
    return any(isinstance(item, Symbol | Words) for item in reference.items) or (
        len({name for item in reference.items for name in free_symbols(item)}) > 1
    )


def compare_with_list(reference: Node, answer: Listing | SetOf, policy: MathParameters) -> Verdict:
    """A list where the reference is one thing: right only if it says one thing."""
    if isinstance(answer, SetOf) and len(answer.items) == 1 and not is_set(answer.items[0]):
        return compare(reference, answer.items[0], policy)
    if isinstance(reference, Group) and is_tuple(reference, len(answer.items)):
        items = labels.in_order_of_names(answer.items)
        if isinstance(answer, Listing):
            return in_order(reference.items, items, policy, compare)
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


def compare_elements(reference: Node, answer: Node, policy: MathParameters) -> Verdict:
    """Elements of sets: {1} is not {{1}}."""
    if is_set(reference) != is_set(answer):
        return different("structure", "type", reference=kind(reference), answer=kind(answer))
    return compare(reference, answer, policy)


def is_set(node: Node) -> bool:
    """Beside which a set of it is another set: the empty set and the set of it."""
    return isinstance(node, SetOf | SetOperation | SetBuilder | NamedSet)


def is_tuple(node: Group, length: int) -> bool:
    """(1, 2) and [1, 2, 3], of this length; [1, 2] may be an interval."""
    if len(node.items) != length:
        return False
    if (node.opening, node.closing) == ("[", "]"):
        return length > 2
    return node.opening in "(<" and node.closing in ")>"


def compare_groups(reference: Group, answer: Group, policy: MathParameters) -> Verdict:
    """Tuples in order. Pairs may be intervals, so their brackets must be the same."""
    brackets = (reference.opening, reference.closing), (answer.opening, answer.closing)
    if brackets[0] != brackets[1] and len(reference.items) == 2 and "[" in str(brackets) + "[":
        vectors = {("(", ")"), ("<", ">")}
        if not set(brackets) <= vectors:
            return different(
                "structure", "brackets", reference="".join(brackets[0]), answer="".join(brackets[1])
            )
    return in_order(reference.items, answer.items, policy, compare)
