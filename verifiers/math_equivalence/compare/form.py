"""Whether an answer is solved: equal to the reference, and more than the question handed back.

An answer that is mathematically equal may still have solved nothing. It is `unsolved`, and earns
what a wrong one does, where

1. it leaves something to be worked out that the reference does not: an integral, a sum, a product,
   a limit, a derivative, a remainder, a greatest common divisor. Arithmetic that is a number as
   it stands (2^{10}, 5!, a binomial coefficient) does not count;
2. the reference is solved for its variable and the answer is a relation that is not;
3. the prompt demands a form (factor, expand, rationalise, convert …) that the reference has and
   the answer has not;
4. the prompt prints that very expression. Numbers as written, and single names, are exempt: what
   is asked for may well be one of the numbers that are given.

A reference that is itself of that form relaxes each of these. Nothing here makes a wrong answer
right: it is asked only of answers that were found equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from verifiers.math_equivalence.read.expression import (
    Applied,
    BigOperator,
    Call,
    Conditional,
    Constant,
    Group,
    Listing,
    Matrix,
    NamedSet,
    Node,
    Number,
    PlusMinus,
    Power,
    Product,
    Quotient,
    Relation,
    Root,
    SetBuilder,
    SetOf,
    SetOperation,
    Sum,
    Symbol,
    Words,
    contains,
    free_symbols,
    walk,
)  # fmt: skip
from verifiers.math_equivalence.read.normal_form import clean
from verifiers.math_equivalence.read.reading import Reading

TO_BE_COMPUTED: Final = frozenset({"mod", "gcd", "lcm", "det"})
"""Functions whose value is the work that a question asks for."""

INEQUALITIES: Final = frozenset({"<", "<=", ">", ">=", "!="})

SOLVED_FOR_OTHERS: Final = 3
"""Symbols of a formula that is to be solved for one of them. With two, such as a line's x and y,
every form of the equation is as good, unless the prompt says which is wanted."""

SOLVE_FOR: Final = re.compile(
    r"\b(?:solve\b.{0,200}?\bfor|in terms of|isolate|the subject)\b", re.IGNORECASE | re.DOTALL
)


def unsolved(reference: Reading, answer: Reading, prompt: str) -> str | None:
    """Why `answer`, which equals `reference`, solves nothing; None where it does."""
    if reference.normal == answer.normal:
        return None
    symbols = 2 if SOLVE_FOR.search(prompt) else SOLVED_FOR_OTHERS
    return (
        left_to_compute(reference.node, answer.node)
        or left_to_solve(reference.node, answer.node, symbols)
        or (of_another_form(reference, answer, prompt) if prompt else None)
        or ("the prompt prints it" if prompt and is_printed(answer, prompt) else None)
    )


# --- what an answer leaves to be done -----------------------------------------------------


def left_to_compute(reference: Node, answer: Node) -> str | None:
    due = set(computations(reference))
    if any("mod" in inner.signs for inner in walk(reference) if isinstance(inner, Relation)):
        due.add("mod")  # a residue class, which `3 mod 7` names as well
    return next((f"{name} left" for name in computations(answer) if name not in due), None)


def computations(node: Node) -> Iterator[str]:
    for inner in walk(node):
        if isinstance(inner, BigOperator):
            yield inner.kind
        elif isinstance(inner, Call) and inner.name in TO_BE_COMPUTED:
            yield inner.name


def left_to_solve(reference: Node, answer: Node, symbols: int) -> str | None:
    if any(map(is_open, relations(reference))):
        return None
    formula = solved_formula(reference, symbols)
    if formula is not None and not any(solves(each, formula) for each in relations(answer)):
        return "not solved for its variable" if list(relations(answer)) else None
    if is_solution(reference) and any(map(is_open, relations(answer))):
        return "a relation that is not solved"
    return None


def relations(node: Node) -> Iterator[Relation]:
    """The statements that an answer makes, in a list, a set or with conditions."""
    if isinstance(node, Relation):
        yield node
    elif isinstance(node, Listing | SetOperation):
        for part in node.items if isinstance(node, Listing) else node.parts:
            yield from relations(part)
    elif isinstance(node, SetBuilder):
        yield from relations(node.condition)
    elif isinstance(node, Conditional):
        yield from relations(node.statement)


def is_open(relation: Relation) -> bool:
    """x^2 < 4 or 2x + 3 = 9: in one variable, which does not stand alone."""
    if not set(relation.signs) <= INEQUALITIES | {"="} or len(free_symbols(relation)) != 1:
        return False
    return any(
        free_symbols(operand) and not isinstance(operand, Symbol | Applied)
        for operand in relation.operands
    )


def is_solution(node: Node) -> bool:
    """Says which numbers solve something, and not merely a number."""
    return isinstance(node, Relation | Group | SetOperation | NamedSet | SetBuilder | SetOf) or (
        isinstance(node, Listing) and all(map(is_solution, node.items))
    )


def solved_formula(node: Node, symbols: int) -> Symbol | None:
    """The variable that `s = …` is solved for, in a formula of at least so many symbols."""
    if not (isinstance(node, Relation) and node.signs == ("=",)):
        return None
    left, right = node.operands
    is_solved = isinstance(left, Symbol) and left.name not in free_symbols(right)
    if not is_solved or len(free_symbols(node)) < symbols:
        return None
    return left  # type: ignore[return-value]


def solves(relation: Relation, variable: Symbol) -> bool:
    return variable in (relation.operands[0], relation.operands[-1]) and any(
        variable.name not in free_symbols(operand) for operand in relation.operands
    )


# --- what the prompt demands --------------------------------------------------------------


def is_sum(node: Node) -> bool:
    return isinstance(node, Sum)


def is_product_of_sums(node: Node) -> bool:
    parts = node.factors if isinstance(node, Product) else (node,)
    bases = [part.base if isinstance(part, Power) else part for part in parts]
    return (len(parts) > 1 or isinstance(node, Power)) and any(map(is_sum, bases))


def has_root_below(node: Node) -> bool:
    return any(
        isinstance(inner, Quotient) and contains(inner.denominator, Root) for inner in walk(node)
    )


DEMANDS: Final[tuple[tuple[re.Pattern[str], Callable[[Node], bool]], ...]] = (
    (re.compile(r"\bfactor(?:ed|i[sz]e|i[sz]ed)?\b", re.IGNORECASE), is_sum),
    (re.compile(r"\b(?:expand|multiply out)\b", re.IGNORECASE), is_product_of_sums),
    (re.compile(r"\brationali[sz]e\b", re.IGNORECASE), has_root_below),
)
"""Words by which a prompt demands a form, and what an answer without it looks like."""

CONVERSION: Final = re.compile(
    r"\b(?:(?:convert|write|rewrite|express|change|give|state)\b.{0,200}?\b(?:as|in|into|to)"
    r"|simplify|simplest|reduce|lowest terms)\b",
    re.IGNORECASE | re.DOTALL,
)


def of_another_form(reference: Reading, answer: Reading, prompt: str) -> str | None:
    for word, lacks in DEMANDS:
        if word.search(prompt) and lacks(answer.node) and not lacks(reference.node):
            return "not of the form that is asked for"
    if CONVERSION.search(prompt) and appears(answer, prompt):
        return "what is to be converted"
    return None


# --- what the prompt prints ---------------------------------------------------------------

TOKEN: Final = re.compile(r"\\[A-Za-z]+|[A-Za-z]+|[0-9]+(?:\.[0-9]+)?|[^\sA-Za-z0-9]")
LAYOUT: Final = frozenset(
    "$ { } ~ \\ \\left \\right \\displaystyle \\limits \\text \\mathrm \\quad \\qquad \\, \\; \\! "
    "\\[ \\] \\( \\)".split()
)
SPELLINGS: Final = {
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cdot": "*", "\\times": "*", "·": "*", "×": "*",
    "\\leq": "\\le", "\\geq": "\\ge", "≤": "\\le", "≥": "\\ge", "−": "-", "degree": "\\circ",
    "degrees": "\\circ", "°": "\\circ", "percent": "%", "\\int": "∫", "\\lt": "<", "\\gt": ">",
}  # fmt: skip
LAYOUT_MARKS: Final = re.compile(r"\\[,;:!\[\]() ]|\^(?=\s*\{?\s*\\circ)")
FORMULA: Final = re.compile(
    r"\$\$?([^$]{1,500})\$|\\\[(.{1,500}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL
)
MAX_PROMPT_CHARACTERS: Final = 65_536


@lru_cache(maxsize=256)
def tokens(text: str) -> str:
    """`text` as words between spaces, without layout: the same for the same formula."""
    text = LAYOUT_MARKS.sub(" ", text)
    found = [token for token in TOKEN.findall(text) if token not in LAYOUT]
    return f" {' '.join(SPELLINGS.get(token, token) for token in found)} "


@lru_cache(maxsize=256)
def printed(prompt: str) -> str:
    """The prompt's tokens, and those of its formulas in the form that answers are read in."""
    formulas = (next(filter(None, found.groups())) for found in FORMULA.finditer(prompt))
    return tokens(prompt) + "".join(tokens(clean(formula)) for formula in formulas)


def appears(answer: Reading, prompt: str) -> bool:
    """The prompt prints the answer, whatever it is."""
    written = tokens(answer.cleaned)
    return len(written) > 2 and written in printed(prompt[-MAX_PROMPT_CHARACTERS:])


def is_printed(answer: Reading, prompt: str) -> bool:
    return answer.literal is None and not is_given(answer.node) and appears(answer, prompt)


def is_given(node: Node) -> bool:
    """A number as written, a name, a word, or some of these: the question's data, which may be
    its answer."""
    if isinstance(node, Number | Symbol | Constant | Words | NamedSet):
        return True
    if isinstance(node, Product) and len(node.factors) == 2:
        return isinstance(node.factors[0], Number) and is_given(node.factors[1])
    if isinstance(node, Quotient):
        return isinstance(node.denominator, Number) and is_given(node.numerator)
    if isinstance(node, PlusMinus):
        return is_given(node.term)
    if isinstance(node, Relation):
        return all(map(is_given, node.operands))
    if isinstance(node, Group | Listing | SetOf):
        return all(map(is_given, node.items))
    if isinstance(node, SetOperation):
        return all(map(is_given, node.parts))
    if isinstance(node, Matrix):
        return all(is_given(entry) for row in node.rows for entry in row)
    return False
