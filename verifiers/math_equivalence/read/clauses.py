"""Where the tokens of an answer fall into clauses: statements, cases, conditions, declarations."""

from __future__ import annotations

from typing import Final

from verifiers.math_equivalence.read.expression import Words
from verifiers.math_equivalence.read.lexer import Token

CONDITIONS: Final = frozenset("for where with if when for all for any for every for some".split())
DECLARING: Final = frozenset(
    "for where with if any all some every each arbitrary is are an be integer integers and in "
    "an the value values of number numbers mathbb constant constants real fixed".split()
)
"""Words of "where k is any integer"."""
QUALIFIERS: Final = frozenset(
    "positive negative nonnegative nonpositive nonzero "
    "real integer natural rational complex".split()
)
"""Words that say of what kind a number is."""
CASES: Final = frozenset(("if", "when", "for"))
OTHERWISE: Final = frozenset(("otherwise", "else"))
JOINTS: Final = {"and": "and", "or": "or", "land": "and", "lor": "or"}
INEQUALITIES: Final = frozenset(("<", ">", "<=", ">=", "!="))
MAX_NAME: Final = 8
"""Tokens of a label such as `f(x, y)`."""
OPENING: Final = frozenset(["(", "[", "{", "langle"])
CLOSING: Final = frozenset([")", "]", "}", "rangle"])


def statements(tokens: list[Token]) -> list[list[Token]]:
    """`f(x) = x for all x` and `f(x) = 0 for all x`: each has a condition of its own."""
    label = [token.value for token in tokens[: MAX_NAME + 1]]
    size = label.index("=") + 1 if "=" in label else 0
    if size < 2 or not any(opens_condition(token) for token in tokens):
        return [tokens]
    parts: list[list[Token]] = [[]]
    for index, (token, depth) in enumerate(with_depth(tokens)):
        following = [token.value for token in tokens[index + 1 : index + 1 + size]]
        if depth == 0 and separator_of(token) and following == label[:size]:
            parts.append([])
        else:
            parts[-1].append(token)
    return [trailing_comma(part) for part in parts]


def cases(tokens: list[Token]) -> list[list[Token]]:
    """`1 if n is odd, 2 if n is even` and `1 for odd n and 2 otherwise`, case by case."""
    keyword, start, separator = "", 0, 0
    parts = []
    for index, (token, depth) in enumerate(with_depth(tokens)):
        if depth:
            continue
        word = first_word(token)
        if keyword and separator_of(token) in (",", "and"):
            separator = index
        elif word in CASES and not keyword:
            keyword = word
        elif separator and separator + 1 < index and word in OTHERWISE | {keyword}:
            parts.append(tokens[start:separator])
            start, separator = separator + 1, 0
    return [*parts, tokens[start:]]


def declaration_start(tokens: list[Token]) -> int | None:
    """Where `c real` or `k any integer` begins, after the last comma."""
    commas = [index for index, token in enumerate(tokens) if token.value == ","]
    start = commas[-1] + 1 if commas else 0
    if start < 2 or len(tokens) < start + 2 or tokens[start].kind != "sym":
        return None
    if any(token.kind not in ("text", "word") for token in tokens[start + 1 :]):
        return None
    words = as_words(tokens[start + 1 :]).text.split()
    declares = all(word in DECLARING | QUALIFIERS or word == "a" for word in words)
    return start if declares and QUALIFIERS.intersection(words) else None


def without_parentheses(tokens: list[Token]) -> list[Token]:
    """`3/4 (when a = b)` and `kπ (k ∈ Z)` without the parentheses around the condition."""
    if len(tokens) < 5 or tokens[-1].value != ")":
        return tokens
    for index, token in enumerate(tokens[1:-2], start=1):
        if token.value == "(" and (
            opens_condition(tokens[index + 1])
            or tokens[index + 2].value == "in"
            or tokens[index + 2].value in INEQUALITIES
        ):
            inner = tokens[index + 1 : -1]
            if any(other.value in ("(", ")") for other in inner):
                return tokens
            comma = [] if opens_condition(inner[0]) else [Token("op", ",", False)]
            return [*tokens[:index], *comma, *inner]
    return tokens


def opens_condition(token: Token) -> bool:
    return token.kind == "text" and first_word(token) in CONDITIONS


def first_word(token: Token) -> str:
    words = token.value.split() if token.kind in ("text", "word") else []
    return words[0].strip(",") if words else ""


def as_words(tokens: list[Token]) -> Words:
    return Words(" ".join(token.value.strip() for token in tokens))


def trailing_comma(tokens: list[Token]) -> list[Token]:
    return tokens[:-1] if tokens and tokens[-1].value == "," else tokens


def separator_of(token: Token) -> str | None:
    if token.kind == "op":
        return "," if token.value in (",", ";") else None
    if token.kind == "text":
        return JOINTS.get(token.value.strip(" ,"), "," if not token.value.strip(" ,;") else None)
    if token.kind == "row":
        return ","
    return JOINTS.get(token.value) if token.kind == "cmd" else None


def with_depth(tokens: list[Token]) -> list[tuple[Token, int]]:
    """Every token with the number of brackets open around it."""
    depth = 0
    result = []
    for token in tokens:
        opens = token.kind == "begin" or (token.kind in ("op", "cmd") and token.value in OPENING)
        closes = token.kind == "end" or (token.kind in ("op", "cmd") and token.value in CLOSING)
        depth -= closes
        result.append((token, depth))
        depth += opens
    return result
