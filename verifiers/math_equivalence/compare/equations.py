"""Equations, labels and chains: x = 5 against 5, y = 2x + 3 against 2x - y + 3 = 0.

Equations are equal up to a constant that is not zero. Multiplied by an expression with
zeros they gain solutions, divided by one they lose some: xy = x^2 and y/x = 1 are not y = x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import permutations
from typing import Final

from verifiers.math_equivalence.compare.scalars import literal_of, within_half_a_unit
from verifiers.math_equivalence.numbers.evaluate import Evaluator, numerics
from verifiers.math_equivalence.numbers.identity import FEW_DIGITS, compare_scalars
from verifiers.math_equivalence.numbers.values import NotNumericError, UndefinedError, is_real
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.expression import (
    STRUCTURES,
    Applied,
    Call,
    Group,
    Listing,
    Node,
    Number,
    Product,
    Quotient,
    Relation,
    SetOf,
    Sum,
    Symbol,
    Words,
    free_symbols,
    negated,
    renamed,
    walk,
)  # fmt: skip
from verifiers.math_equivalence.read.labels import (
    EQUALITIES,
    arguments_of,
    is_function_result,
    is_label,
    labelled_value,
    labels_a_function,
    values_of_list,
)
from verifiers.math_equivalence.read.rationals import Literal
from verifiers.math_equivalence.verdict import Verdict, different, equal, rejected

Compare = Callable[[Node, Node, MathParameters], Verdict]

FLIPPED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
SCALE_POINTS: Final = (Fraction(29, 13), Fraction(-17, 11), Fraction(41, 9), Fraction(5, 19))
SMALL: Final = 1e-12
CONSTANTS: Final = frozenset(("C", "C_1", "C_2", "C_3", "c_1", "c_2", "c_3"))
ARBITRARY: Final = frozenset("ABDKkc")
"""Other names for them in an answer."""
MAX_CONSTANTS: Final = 3
DEPENDENT: Final = frozenset("yz")
"""Variables that an equation is solved for when an expression is given instead."""

"""The name that a function's value usually has: f(x) = 2x is y = 2x."""


def compare(reference: Node, answer: Node, policy: MathParameters, again: Compare) -> Verdict:
    """Relations, at least one side being one. `again` compares their parts."""
    if isinstance(reference, Relation) and isinstance(answer, Relation):
        return compare_relations(reference, answer, policy, again)
    if isinstance(answer, Relation):
        return unlabelled(reference, answer, policy, again)
    assert isinstance(reference, Relation)
    if isinstance(answer, Listing) and len(answer.items) > 1:
        return against_list(reference, answer, policy, again)
    if "≈" in reference.signs:
        verdict = again(exact_part(reference), answer, policy)
        return verdict if verdict.equal else again_rounded(reference, answer, policy, again)
    value = labelled_value(reference)
    if value is None:
        return solved_for(reference, answer)
    verdict = again(value, answer, policy)
    if verdict.equal:
        return verdict
    label = reference.operands[0]
    return (
        arbitrary_constants(label, value, answer, policy, again)
        or general_solution(value, answer, policy, again)
        or verdict
    )


def exact_part(reference: Relation) -> Node:
    """`√2` of `√2 ≈ 1.41`, and the decimal of `x ≈ 1.41`."""
    at = reference.signs.index("≈")
    exact = reference.operands[: at + 1]
    if len(exact) == 1:
        return reference.operands[-1] if is_label(exact[0]) else exact[0]
    return Relation(exact, reference.signs[:at])


def again_rounded(
    reference: Relation, answer: Node, policy: MathParameters, again: Compare
) -> Verdict:
    """The decimal that the reference itself states: 1.414 of `√2 ≈ 1.414`."""
    if policy.rounding == "never":
        return different("rounding")
    return again(reference.operands[-1], answer, policy)


def solved_for(reference: Relation, answer: Node) -> Verdict:
    """An expression where an equation in one more variable is due: y of x^2 + y = 3."""
    missing = free_symbols(reference) - free_symbols(answer)
    equation = difference(reference)
    if len(missing) != 1 or equation is None or isinstance(answer, STRUCTURES):
        return different("equation", "type", reference="equation", answer="expression")
    (name,) = missing
    labelled = Relation((Symbol(name), answer), ("=",))
    if name in DEPENDENT and free_symbols(answer) and solves(labelled, equation):
        return equal("equation")
    return different("equation", "type", reference="equation", answer="expression")


def against_list(
    reference: Relation, answer: Listing, policy: MathParameters, again: Compare
) -> Verdict:
    """`x ∈ {1, 2}` may be given as a list; any other relation may not."""
    value = labelled_value(reference)
    if isinstance(value, Listing | SetOf | Group):
        return again(value, values_of_list(answer), policy)
    verdicts = [again(reference, item, policy) for item in answer.items[:4]]
    if len(answer.items) <= 4 and all(verdict.equal for verdict in verdicts):
        return verdicts[0]
    return rejected("list", "several answers")


# --- a chain of equalities where a value is due -----------------------------------------


def unlabelled(
    reference: Node, answer: Relation, policy: MathParameters, again: Compare
) -> Verdict:
    """`x = 5` or `2 + 3 = 5` where 5 is due. All values of the chain must agree."""
    if not set(answer.signs) <= EQUALITIES | {"in"}:
        return different("equation", "type", reference="value", answer="inequality")
    if answer.signs == ("in",):
        value = labelled_value(answer)
        return again(reference, value, policy) if value else different("equation", "type")
    exact = [answer.operands[0]]
    rounded: list[Node] = []
    for sign, operand in zip(answer.signs, answer.operands[1:], strict=True):
        (rounded if sign == "≈" or rounded else exact).append(operand)
    if len(exact) == 1 and is_label(exact[0]) and rounded:
        exact, rounded = [exact[0], rounded[0]], rounded[1:]
    return chain(reference, exact, rounded, policy, again)


def chain(
    reference: Node, exact: list[Node], rounded: list[Node], policy: MathParameters, again: Compare
) -> Verdict:
    if len(exact) > 1 and all(isinstance(operand, Symbol | Words) for operand in exact):
        return chain_of_names(reference, exact, policy, again)
    verdict = again(reference, exact[-1], policy)
    if not verdict.equal and len(exact) == 2 and is_label(exact[1]):
        exact = exact[::-1]
        verdict = again(reference, exact[-1], policy)
    if not verdict.equal:
        if rounded and policy.rounding != "never":
            verdict = again(reference, rounded[-1], policy)
        if not verdict.equal:
            return verdict
    known = free_symbols(reference)
    for operand in exact[:-1]:
        if isinstance(operand, STRUCTURES) or is_label(operand) or free_symbols(operand) - known:
            continue
        if labels_a_function(operand, exact[-1]) or again(reference, operand, policy).equal:
            continue
        return rejected("equation", "unequal chain")
    if all(is_rounding(exact[-1], operand) for operand in rounded):
        return verdict
    return rejected("equation", "unequal chain")


def chain_of_names(
    reference: Node, names: list[Node], policy: MathParameters, again: Compare
) -> Verdict:
    """`x = a` gives x the value a, and never a the value x. `A = B` names two choices."""
    label, value = names[0], names[-1]
    if len(names) > 2 or (isinstance(label, Symbol) and label.name[0].isupper()):
        return rejected("equation", "unequal chain")
    return again(reference, value, policy)


def is_rounding(exact: Node, rounded: Node) -> bool:
    """Whether `exact ≈ rounded` is true, to the last digit stated."""
    literal = literal_of(rounded)
    if literal is None or free_symbols(exact):
        return not free_symbols(rounded)
    stated = Literal(literal.value, literal.places or 0, literal.digits)
    try:
        with numerics:
            return within_half_a_unit(Evaluator(FEW_DIGITS).value(exact, {}), stated)
    except (NotNumericError, UndefinedError):
        return False


# --- two relations ----------------------------------------------------------------------


def compare_relations(
    reference: Relation, answer: Relation, policy: MathParameters, again: Compare
) -> Verdict:
    if "≈" in reference.signs:
        return again(exact_part(reference), answer, policy)
    if "mod" in reference.signs and reference.signs == answer.signs:
        return compare_congruences(reference, answer, policy, again)
    if set(reference.signs) != set(answer.signs):
        flipped = Relation(
            answer.operands[::-1], tuple(FLIPPED.get(s, s) for s in answer.signs[::-1])
        )
        if flipped.signs == reference.signs:
            return in_parts(reference, flipped, policy, again)
        if set(answer.signs) <= EQUALITIES and (value := labelled_value(reference)):
            return unlabelled(value, answer, policy, again)
        return different(
            "equation", "type", reference=str(reference.signs), answer=str(answer.signs)
        )
    if set(reference.signs) == {"="}:
        return compare_equations(reference, answer, policy, again)
    return in_parts(reference, answer, policy, again)


def in_parts(
    reference: Relation, answer: Relation, policy: MathParameters, again: Compare
) -> Verdict:
    """Inequalities with parameters: side by side."""
    if reference.signs != answer.signs:
        return different("equation", "relation")
    for mine, theirs in zip(reference.operands, answer.operands, strict=True):
        verdict = again(mine, theirs, policy)
        if not verdict.equal:
            return verdict
    return equal("relation")


def compare_congruences(
    reference: Relation, answer: Relation, policy: MathParameters, again: Compare
) -> Verdict:
    """x ≡ 3 (mod 7) is x ≡ 10 (mod 7)."""
    *_, mine, modulus = reference.operands
    *_, theirs, other = answer.operands
    if reference.operands[0] != answer.operands[0] or not again(modulus, other, policy).equal:
        return in_parts(reference, answer, policy, again)
    residues = [Call("mod", (side, modulus)) for side in (mine, theirs)]
    return again(residues[0], residues[1], policy)


def compare_equations(
    reference: Relation, answer: Relation, policy: MathParameters, again: Compare
) -> Verdict:
    if verdict := same_label(reference, answer, policy, again):
        return verdict
    if len(reference.operands) == len(answer.operands) == 2:
        return up_to_scale(reference, answer)
    if set(reference.operands) == set(answer.operands):
        return equal("relation")
    value = labelled_value(reference)
    if value is not None:
        return unlabelled(value, answer, policy, again)
    return in_parts(reference, answer, policy, again)


def same_label(
    reference: Relation, answer: Relation, policy: MathParameters, again: Compare
) -> Verdict | None:
    """Both give a value to the same name, or to a function whose variable is renamed."""
    left, right = reference.operands[0], answer.operands[0]
    mine, theirs = labelled_value(reference), labelled_value(answer)
    if mine is None or theirs is None:
        return None
    labels = [side if is_label(side) else None for side in (left, right)]
    if isinstance(left, Words) or isinstance(right, Words):
        named_alike = again(left, right, policy).equal or not isinstance(right, type(left))
        return (
            unlabelled(mine, answer, policy, again)
            if named_alike
            else different("equation", "name")
        )
    if isinstance(left, Applied) and isinstance(right, Applied):
        return compare_functions(left, right, mine, theirs, policy, again)
    if left == right and (is_label(left) or len(answer.operands) > 2):
        verdict = unlabelled(mine, answer, policy, again)
        return (
            verdict if verdict.equal else general_solution(mine, theirs, policy, again) or verdict
        )
    if is_function_result(left) and is_function_result(right):
        return again(mine, theirs, policy)
    if index := renamed_index(left, right):
        return again(mine, renamed(theirs, *index), policy)
    if None in labels and len(answer.operands) > 2:
        return unlabelled(mine, answer, policy, again)
    return None


def renamed_index(left: Node, right: Node) -> tuple[str, Node] | None:
    """(k, n) where a_n is due and a_k given: an index is renamed as a variable is."""
    if not (isinstance(left, Symbol) and isinstance(right, Symbol)):
        return None
    (head, _, new), (name, _, old) = left.name.partition("_"), right.name.partition("_")
    if head != name or not (new.isalpha() and old.isalpha() and len(new) == len(old) == 1):
        return None
    return old, Symbol(new)


def general_solution(
    mine: Node, theirs: Node, policy: MathParameters, again: Compare
) -> Verdict | None:
    """y = Ce^{2x} is y = Ae^{2x}: C names an arbitrary constant, which has other names, too."""
    due, given = free_symbols(mine), free_symbols(theirs)
    new, old = sorted(filter(is_constant, due)), sorted(filter(is_constant, given))
    if len(new) != len(old) or not 0 < len(new) <= MAX_CONSTANTS or not set(new) <= CONSTANTS:
        return None
    return first_equal(mine, theirs, old, new, policy, again)


def is_constant(name: str) -> bool:
    return name in CONSTANTS or name in ARBITRARY


def first_equal(
    mine: Node,
    theirs: Node,
    old: Sequence[str],
    new: Sequence[str],
    policy: MathParameters,
    again: Compare,
) -> Verdict | None:
    """The verdict for the first way of renaming `old` to `new` that makes both sides equal."""
    for order in permutations(new):
        candidate = theirs
        for index, name in enumerate(old):
            candidate = renamed(candidate, name, Symbol(f"new {index}"))
        for index, name in enumerate(order):
            candidate = renamed(candidate, f"new {index}", Symbol(name))
        verdict = again(mine, candidate, policy)
        if verdict.equal:
            return verdict
    return None


def compare_functions(
    left: Applied, right: Applied, mine: Node, theirs: Node, policy: MathParameters, again: Compare
) -> Verdict:
    """f(x) = 2x is f(t) = 2t, but not g(x) = 2x."""
    if left.name != right.name or len(left.arguments) != len(right.arguments):
        return different("equation", "name", reference=left.name, answer=right.name)
    for old, new in zip(right.arguments, left.arguments, strict=True):
        if isinstance(old, Symbol) and isinstance(new, Symbol):
            theirs = renamed(theirs, old.name, new)
        elif old != new:
            return different("equation", "argument")
    verdict = again(mine, theirs, policy)
    if verdict.equal:
        return verdict
    return arbitrary_constants(left, mine, theirs, policy, again) or verdict


def arbitrary_constants(
    label: Node, mine: Node, theirs: Node, policy: MathParameters, again: Compare
) -> Verdict | None:
    """f(x) = cx is f(x) = kx: what is no argument is a constant, whatever its name."""
    arguments = arguments_of(label)
    if not arguments:
        return None
    due, given = free_symbols(mine) - arguments, free_symbols(theirs) - arguments
    old, new = sorted(given - due), sorted(due - given)
    if not 0 < len(old) == len(new) <= 2:
        return None
    return first_equal(mine, theirs, old, new, policy, again)


def up_to_scale(reference: Relation, answer: Relation) -> Verdict:
    """Whether left minus right is the same up to a nonzero constant, or has the same zeros."""
    mine, theirs = difference(reference), difference(answer)
    if mine is None or theirs is None:
        return different("equation", "type")
    symbols = free_symbols(mine)
    if "C" in symbols and len(other := free_symbols(theirs) - symbols) == 1 and other <= ARBITRARY:
        theirs = renamed(theirs, next(iter(other)), Symbol("C"))
    if not symbols or symbols != free_symbols(theirs):
        return different("equation", "variables")
    if "C" in symbols:
        mine, theirs = without_constant(mine), without_constant(theirs)
    scale = ratio_at(mine, theirs, sorted(symbols))
    if scale is None:
        return different("equation", "undefined")
    verdict = compare_scalars(mine, Product((scale, theirs)))
    if verdict.equal or solves(reference, theirs) or solves(answer, mine):
        return equal("equation")
    return different("equation", "different", **verdict.witness)


def without_constant(side: Node) -> Node:
    """`side` at C = 0, where C is an arbitrary constant that is added and nothing else."""
    at_zero, at_one = (renamed(side, "C", Number(value)) for value in (0, 1))
    coefficient = Sum((at_one, negated(at_zero)))
    return at_zero if is_multiple(coefficient, Number(1)) else side


def ratio_at(mine: Node, theirs: Node, symbols: list[str]) -> Node | None:
    """mine/theirs at a point where neither vanishes, as an expression without variables."""
    evaluator = Evaluator(FEW_DIGITS)
    for start in SCALE_POINTS:
        point = {name: start + Fraction(index, 7) for index, name in enumerate(symbols)}
        try:
            values = evaluator.value(mine, point), evaluator.value(theirs, point)
        except UndefinedError:
            continue
        if all(abs(value) > SMALL and is_real(value) for value in values):
            for name, value in point.items():
                mine, theirs = (renamed(side, name, Number(value)) for side in (mine, theirs))
            return Quotient(mine, theirs)
    return None


def solves(labelled: Relation, equation: Node) -> bool:
    """Whether `y = g(x)` is all there is to equation(x, y) = 0, which must be linear in y."""
    label, value = labelled.operands[0], labelled.operands[-1]
    if not isinstance(label, Symbol) or label.name in free_symbols(value):
        return False
    at = [renamed(equation, label.name, Sum((value, Number(step)))) for step in (0, 1, -5)]
    return (
        compare_scalars(Number(0), at[0]).equal
        and not compare_scalars(Number(0), at[1]).equal
        and compare_scalars(Product((Number(-5), at[1])), at[2]).equal
        and has_no_zeros(at[1], value)
    )


def has_no_zeros(coefficient: Node, value: Node) -> bool:
    """Whether y = value and coefficient * (y - value) = 0 have the same solutions.

    So it is where the coefficient is constant, or vanishes only where `value` has a pole:
    xy = 1 is y = 1/x, but xy = x^2 is not y = x.
    """
    poles = denominators(value)
    candidates = [Number(1), *poles, Product(tuple(poles))] if poles else [Number(1)]
    return any(is_multiple(coefficient, candidate) for candidate in candidates)


def denominators(value: Node) -> list[Node]:
    return [
        node.denominator
        for node in walk(value)
        if isinstance(node, Quotient) and free_symbols(node.denominator)
    ]


def is_multiple(left: Node, right: Node) -> bool:
    """Whether `left` is `right` up to a nonzero constant."""
    scale = ratio_at(left, right, sorted(free_symbols(left) | free_symbols(right)))
    return scale is not None and compare_scalars(left, Product((scale, right))).equal


def difference(relation: Relation) -> Node | None:
    left, right = relation.operands[0], relation.operands[-1]
    if isinstance(left, STRUCTURES) or isinstance(right, STRUCTURES):
        return None
    return left if right == Number(0) else Sum((left, negated(right)))
