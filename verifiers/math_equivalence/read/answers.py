r"""Reads a whole answer: lists, conditions, labels and units around the expressions.

    answer    := [label] list [("for" | "where" | "if" …) list]
    list      := item (("," | ";" | "and" | "or") item)*
    item      := relation [unit]

What cannot be read is `Words`, which are compared as text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from verifiers.math_equivalence.limits import MAX_ITEMS, TooLargeError
from verifiers.math_equivalence.read.clauses import (
    CONDITIONS,
    INEQUALITIES,
    OTHERWISE,
    as_words,
    cases,
    declaration_start,
    first_word,
    opens_condition,
    separator_of,
    statements,
    trailing_comma,
    with_depth,
    without_parentheses,
)
from verifiers.math_equivalence.read.expression import (
    BasedNumber,
    Call,
    Conditional,
    Group,
    Listing,
    NamedSet,
    Node,
    Number,
    Quantity,
    Relation,
    Symbol,
    Words,
    free_symbols,
)  # fmt: skip
from verifiers.math_equivalence.read.labels import in_order_of_names, names_each
from verifiers.math_equivalence.read.lexer import (
    Token,
    UnreadableError,
    is_product_of_letters,
    tokenize,
)
from verifiers.math_equivalence.read.parser import parse
from verifiers.math_equivalence.read.rationals import read_number, simplified
from verifiers.math_equivalence.read.units import SINGLE_LETTERS, read_unit

IN_BASE: Final = re.compile(
    r"\(?(?P<digits>[0-9A-Z]{2,64}|[0-9][0-9a-f]{1,63})\)?"
    r"(?:\s*_\s*\{?\s*(?P<base>[0-9]{1,2})\s*\}?|\s*\(?(?:in )?base (?P<spelled>[0-9]{1,2})\)?)"
)
DIGIT: Final = re.compile("[0-9]")
HEDGES: Final = frozenset(
    "approximately about roughly exactly around approx equals the answer is only".split()
)
ENDS_VALUE: Final = frozenset([")", "]", "}", "|", "!", "%", "'"])
DENIALS: Final = frozenset(
    "not never no wrong incorrect false except but reference expected truth gold target".split()
)
MULTIPLIERS: Final = {"dozen": "12", "hundred": "100", "thousand": "1000",
                      "million": "1000000", "billion": "1000000000",
                      "trillion": "1000000000000", "百": "100", "千": "1000",
                      "万": "10000", "亿": "100000000"}  # fmt: skip
MAX_LABEL_WORDS: Final = 4
MARKS: Final = {"degree": "degrees", "degrees": "degrees", "deg": "degrees",
                "percent": "percent", "per cent": "percent"}  # fmt: skip


def read_answer(cleaned: str, *, thousands: bool = True) -> Node:
    """The answer that `cleaned` states.

    Raises:
        TooLargeError: beyond a limit.
    """
    if based := in_base(cleaned):
        return based
    try:
        tokens = without_label(with_set_braces(tokenize(cleaned, thousands=thousands)))
        return conditional(tokens) if tokens else Words(cleaned)
    except UnreadableError:
        return Words(cleaned)


def in_base(cleaned: str) -> Node | None:
    """`2A_{16}`, `(1011)_2` and `1011 (base 2)`; `a_{16}` is a name."""
    match = IN_BASE.fullmatch(cleaned)
    if match is None or not (DIGIT.search(match["digits"]) or match["digits"].isupper()):
        return None
    base = int(match["base"] or match["spelled"])
    try:
        return BasedNumber(int(match["digits"], base), base) if base > 1 else None
    except ValueError:
        return None


def with_set_braces(tokens: list[Token]) -> list[Token]:
    """`{x | x > 3}` is a set, whose braces lack their backslashes."""
    if len(tokens) < 5 or tokens[0].value != "{" or tokens[-1].value != "}":
        return tokens
    if tokens[1].kind not in ("sym", "const") or tokens[2].value not in ("|", ":"):
        return tokens
    first, *inner, last = tokens
    return [first._replace(kind="cmd"), *inner, last._replace(kind="cmd")]


def conditional(tokens: list[Token]) -> Node:
    """A list, and the condition that it holds under."""
    parts = statements(tokens)
    if len(parts) > 1:
        return Listing(tuple(map(conditional, parts)), "or")
    tokens = without_parentheses(tokens)
    if len(parts := cases(tokens)) > 1:
        return Listing(tuple(map(case, parts)), "and")
    if start := declaration_start(tokens):
        return Conditional(listing(tokens[: start - 1]), as_words(tokens[start:]))
    for index, (token, depth) in enumerate(with_depth(tokens)):
        if depth == 0 and index and opens_condition(token):
            statement = listing(trailing_comma(tokens[:index]))
            keyword = token.value.split()[0].strip(",")
            return Conditional(statement, condition_of(tokens[index:]), keyword)
    return membership_condition(listing(tokens))


def case(tokens: list[Token]) -> Node:
    if first_word(tokens[-1]) in OTHERWISE:
        return Conditional(listing(tokens[:-1]), Words("otherwise"), "if")
    return conditional(tokens)


def condition_of(tokens: list[Token]) -> Node:
    """What follows "for" or "where"; as words where it is no mathematics."""
    words = Words(" ".join(token.value for token in tokens))
    if "integer" in words.text:
        return words
    try:
        return listing(tokens[1:]) if len(tokens) > 1 else words
    except UnreadableError:
        return words


def membership_condition(node: Node) -> Node:
    """`x = kπ, k ∈ Z`: the last member declares what k is."""
    if isinstance(node, Listing) and len(node.items) > 1:
        *rest, last = node.items
        if isinstance(last, Relation) and (
            declares(last) or (len(rest) == 1 and bounds_parameter(last, rest[0]))
        ):
            statement = rest[0] if len(rest) == 1 else Listing(tuple(rest), node.joint)
            return Conditional(statement, last)
    return node


def declares(relation: Relation) -> bool:
    return relation.signs == ("in",) and isinstance(relation.operands[1], NamedSet)


def bounds_parameter(relation: Relation, statement: Node) -> bool:
    """`k ≥ 0` after `2^k`; after another inequality, it is one more of them."""
    symbols = free_symbols(relation)
    if (
        not set(relation.signs) <= INEQUALITIES
        or len(symbols) != 1
        or isinstance(statement, Symbol)
    ):
        return False
    if isinstance(statement, Relation) and set(statement.signs) != {"="}:
        return False
    return symbols < free_symbols(statement) or (
        symbols == free_symbols(statement) and not isinstance(statement, Relation)
    )


def listing(tokens: list[Token]) -> Node:
    """Items between separators outside of brackets."""
    joints = [token for token in tokens if token.value.strip() not in ("and", ",")]
    if len(joints) < len(tokens) and (compound := compound_quantity(joints)):
        return compound
    if points := named_points(tokens):
        return points
    parts: list[list[Token]] = [[]]
    joint = ","
    for token, depth in with_depth(tokens):
        separator = separator_of(token) if depth == 0 else None
        if separator is None:
            parts[-1].append(token)
            continue
        if separator != ",":
            joint = separator
        if parts[-1]:
            parts.append([])
        if len(parts) > MAX_ITEMS:
            raise TooLargeError("too many members")
    if joint != "," and not parts[-1]:
        raise UnreadableError("nothing after a conjunction")
    items = tuple(item(part) for part in parts if part)
    if not items:
        raise UnreadableError("nothing between separators")
    return items[0] if len(items) == 1 else Listing(items, joint)  # type: ignore[arg-type]


def named_points(tokens: list[Token]) -> Node | None:
    """`x = 1, y = 2 or x = 2, y = 1` as the points (x, y) = (1, 2) and (x, y) = (2, 1)."""
    parts: list[list[Token]] = [[]]
    for token, depth in with_depth(tokens):
        if depth == 0 and separator_of(token) == "or":
            parts.append([])
        else:
            parts[-1].append(token)
    if not 1 < len(parts) <= MAX_ITEMS or not all(parts):
        return None
    points = [values_by_name(listing(trailing_comma(part))) for part in parts]
    names = tuple(points[0])
    if len(names) < 2 or any(set(point) != set(names) for point in points):
        return None
    label = Group("(", names, ")")
    return Listing(
        tuple(
            Relation((label, Group("(", tuple(point[name] for name in names), ")")), ("=",))
            for point in points
        ),
        "or",
    )


def values_by_name(node: Node) -> dict[Node, Node]:
    """The values of x and y in `y = 2, x = 1`; nothing where it is something else."""
    items = node.items if isinstance(node, Listing) else ()
    if not names_each(items) or any(
        not isinstance(item, Relation) or item.signs != ("=",) for item in items
    ):
        return {}
    return {
        item.operands[0]: item.operands[1]
        for item in in_order_of_names(items)
        if isinstance(item, Relation)
    }


def item(tokens: list[Token]) -> Node:
    """One relation or structure, with its label and unit."""
    if label := label_length(tokens):
        name = Words(" ".join(token.value for token in tokens[:label]).strip(" :="))
        return Relation((name, item(tokens[label + 1 :])), ("=",))
    if not tokens:
        raise UnreadableError("nothing where a value is due")
    if tokens[0].kind == "cmd" and tokens[0].value == "$":
        return Quantity(item(tokens[1:]), "dollar")
    if compound := compound_quantity(tokens):
        return compound
    tokens = multiplied(tokens)
    start = unit_start(tokens)
    unit = "" if start is None else unit_text(tokens[start:])
    if (
        start is None
        or (read_unit(unit) is None and unit not in MARKS)
        or is_article(tokens, start)
    ):
        return parse(tokens)
    value = parse(tokens[:start])
    return Call(MARKS[unit], (value,)) if unit in MARKS else with_unit(value, unit)


def is_article(tokens: list[Token], start: int) -> bool:
    """`a parabola` is no number of parabolas."""
    return start == 1 and tokens[0].value in ("a", "A")


def multiplied(tokens: list[Token]) -> list[Token]:
    """`1.5 million` as 1.5 * 1000000."""
    for index, token in enumerate(tokens[1:3], start=1):
        size = MULTIPLIERS.get(token.value.strip()) if token.kind in ("text", "word") else None
        if size and tokens[index - 1].kind == "num":
            factor = [Token("op", "*", False), Token("num", size, False)]
            return [*tokens[:index], *factor, *tokens[index + 1 :]]
    return tokens


def compound_quantity(tokens: list[Token]) -> Node | None:
    """`2 hours 30 minutes` and `5 ft 6 in`, in the smaller unit."""
    if not 4 <= len(tokens) <= 9 or tokens[0].kind != "num":
        return None
    total, last = Fraction(0), None
    for index in range(0, len(tokens) - 1, 2):
        number, name = tokens[index : index + 2]
        literal = read_number(number.value) if number.kind == "num" else None
        unit = (
            read_unit(name.value.strip()) if name.kind in ("text", "word", "sym", "func") else None
        )
        if literal is None or unit is None or unit.nouns or not unit.dimensions:
            return None
        if last is not None and (last.dimensions != unit.dimensions or last.factor <= unit.factor):
            return None
        total, last = total + literal.value * unit.factor, unit
    if last is None or len(tokens) % 2:
        return None
    return Quantity(Number(simplified(total / last.factor)), tokens[-1].value.strip())


def label_length(tokens: list[Token]) -> int:
    """How many words stand before the first "=" or ":", if nothing else does."""
    if any(token.value.strip().lower() in DENIALS for token in tokens[:MAX_LABEL_WORDS]):
        return 0
    for index, token in enumerate(tokens[: MAX_LABEL_WORDS + 1]):
        if token.kind == "op" and token.value in ("=", ":"):
            return index if index + 1 < len(tokens) and is_prose(tokens[0]) else 0
        if token.kind not in ("text", "word", "func"):
            return 0
    return 0


def with_unit(value: Node, unit: str) -> Node:
    """The unit belongs to the right-hand side of `x = 5 cm`."""
    if isinstance(value, Relation):
        *rest, last = value.operands
        return Relation((*rest, Quantity(last, unit)), value.signs)
    return Quantity(value, unit)


def unit_start(tokens: list[Token]) -> int | None:
    """Where the unit at the end begins, if there is one."""
    start = None
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        if not may_be_in_unit(token) or (token.kind == "sym" and has_variables(tokens[:index])):
            break
        if begins_unit(token, tokens[index - 1]):
            start = index
    return start


def has_variables(tokens: list[Token]) -> bool:
    """Letters after which another is a variable, too; a label before "=" is none of them."""
    values = [token.value for token in tokens]
    start = values.index("=") + 1 if "=" in values else 0
    return any(
        token.kind == "sym" and token.value not in SINGLE_LETTERS | {"mu"}
        for token in tokens[start:]
    )


def may_be_in_unit(token: Token) -> bool:
    if token.kind in ("text", "word", "num"):
        return token.value.strip() not in CONDITIONS
    if token.kind == "func":
        return token.value == "min"
    if token.kind == "sym":
        return token.value in SINGLE_LETTERS or token.value in ("mu", "Omega")
    if token.kind == "op":
        return token.value in ("/", "^", "{", "}", "*", "-", "(", ")")
    return token.kind == "cmd" and token.value in ("circ",)


def begins_unit(token: Token, before: Token) -> bool:
    if before.kind == "op" and before.value not in ENDS_VALUE:
        return False
    if token.kind == "op" and token.value == "^":
        return False
    if token.kind == "text":
        return len(token.value.strip()) > 1 or before.kind in ("num", "op", "const")
    if token.kind == "word":
        return before.kind in ("num", "op", "const", "cmd", "sym") and (
            token.spaced or not token.value.isascii() or read_known(token.value)
        )
    after_value = before.kind == "num" or before.value == "}"
    return token.kind in ("sym", "func") and token.spaced and after_value


def read_known(word: str) -> bool:
    """A word that is a unit, not a noun: 5cm."""
    unit = read_unit(word)
    return unit is not None and not unit.nouns


def unit_text(tokens: list[Token]) -> str:
    return (
        " ".join(token.value.strip() for token in tokens)
        .replace(" ^ ", "^")
        .replace("- ", "-")
        .replace("mu ", "u")
        .strip()
    )


def without_label(tokens: list[Token]) -> list[Token]:
    """Without "Area =", "Answer:", "approximately" and the like at the start."""
    while tokens and tokens[0].kind in ("text", "word"):
        words = tokens[0].value.strip(" :=,").lower().split()
        if words and all(word in HEDGES for word in words):
            tokens = tokens[1:]
            continue
        if len(words) > 1 and tokens[0].value.rstrip().endswith((":", "=")):
            return tokens[1:]
        break
    if tokens and tokens[0].kind in ("op", "cmd") and tokens[0].value in ("=", "approx", ":"):
        return tokens[1:]
    return tokens


def is_prose(token: Token) -> bool:
    """A label such as "Area" or "Amy", not a product such as `xy` or `AB`."""
    word = token.value
    named = len(word) > 2 and word[0].isupper() and word[1:].islower()
    return token.kind in ("text", "func") or named or not is_product_of_letters(word)
