"""Mathematics in words: "all real numbers except 2", "no solution", "twenty-one"."""

from __future__ import annotations

import re
from typing import Final

from verifiers.math_equivalence.answers import read_answer
from verifiers.math_equivalence.expression import (
    Conditional,
    Constant,
    Listing,
    NamedSet,
    Node,
    Number,
    Relation,
    SetOf,
    SetOperation,
    Symbol,
    Words,
    free_symbols,
)
from verifiers.math_equivalence.prose import WRAPPED_TEXT
from verifiers.math_equivalence.words import text_form

SMALL: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBERS: Final = {
    **{word: number for number, word in enumerate(SMALL)},
    **{word: 10 * number for number, word in enumerate(TENS, start=2)},
    **{
        f"{ten} {one}": 10 * number + unit
        for number, ten in enumerate(TENS, start=2)
        for unit, one in enumerate(SMALL[1:10], start=1)
    },
    "hundred": 100, "one hundred": 100, "thousand": 1000, "one thousand": 1000,
}  # fmt: skip
NOTHING: Final = re.compile(
    r"none|nothing|无解|null set|empty set"
    r"|(?:there (?:are|is|exists?) |it has |has |the equation has |the system has )?no "
    r"(?:(?:such|real|integer|integral|positive|valid|other|possible|rational|natural) )*"
    r"(?:solutions?|roots?|values?|integers?|numbers?|functions?|pairs?|triples?|triplets?|"
    r"polynomials?|primes?|sets?|points?|x|n)(?: exists?)?"
)
SETS: Final = {
    "real": "R", "positive real": "R+", "negative real": "R-", "nonnegative real": "R>=0",
    "nonpositive real": "R<=0", "nonzero real": "R!=0", "integer": "Z", "positive integer": "Z+",
    "natural": "Z+", "whole": "Z>=0", "nonnegative integer": "Z>=0", "rational": "Q",
    "complex": "C", "实数": "R", "任意实数": "R", "全体实数": "R", "整数": "Z", "正整数": "Z+",
}  # fmt: skip
LEADING: Final = frozenset(
    "the set of all any every each arbitrary possible values strictly only just for".split()
)
DESCRIPTION: Final = re.compile(
    r"(?P<kind>(?:(?:positive|negative|non-?negative|non-?positive|non-?zero) )?"
    r"(?:real|integer|natural|whole|rational|complex)|任意实数|全体实数|实数|正整数|整数)s?"
    r"(?: (?:numbers?|integers?|values?))?(?P<rest>(?:[ ,].*)?)",
    re.DOTALL,
)
EXCEPT: Final = re.compile(
    r"(?:except(?: for)?|other than|excluding|without|but not|apart from|besides|not equal to|"
    r"different from|distinct from)\b"
)
SUCH_THAT: Final = re.compile(
    r"(?:[a-z] )?(?:such that|where|with|for which|satisfying|that satisfy|so that|,)\s?"
)
COMPARED: Final = {
    "greater than or equal to": ">=", "less than or equal to": "<=", "greater than": ">",
    "bigger than": ">", "larger than": ">", "more than": ">", "less than": "<",
    "smaller than": "<", "at least": ">=", "at most": "<=", "not less than": ">=",
}  # fmt: skip
MULTIPLES: Final = re.compile(
    r"(?:(?:positive|natural) )?(?:integers?|numbers?)?(?: ?\b[a-z])?"
    r"(?: ?(?:that|which) (?:are|is)| is| are)?(?P<denied> not)? ?"
    r"(?:divisible by|(?:a )?multiples? of) (?P<modulus>[0-9]{1,3})"
)
PARITIES: Final = re.compile(r"(even|odd) (?:integers?|numbers?)")


def phrase(text: str) -> Node | None:
    """The mathematical object that a phrase means."""
    form = text_form(text, fold=True)
    if form in NUMBERS:
        return Number(NUMBERS[form])
    if form == "infinitely many":
        return Constant("infinity")
    if NOTHING.fullmatch(form):
        return NamedSet("empty")
    form = without_leading_words(form)
    if found := PARITIES.fullmatch(form):
        return residue(int(found[1] == "odd"), 2)
    if found := MULTIPLES.fullmatch(form):
        return multiples(int(found["modulus"]), bool(found["denied"]))
    return description(text)


def without_leading_words(text: str) -> str:
    """`real x` of "the set of all real x"."""
    words = text.split(" ")
    start = 0
    while start < len(words) and words[start].lower() in LEADING:
        start += 1
    return " ".join(words[start:])


def residue(remainder: int, modulus: int) -> Node:
    return Relation((Number(remainder), Number(modulus)), ("mod",))


def multiples(modulus: int, denied: bool) -> Node | None:
    """The residue classes of the multiples, or of all the others."""
    if not denied:
        return residue(0, modulus) if modulus else None
    return Listing(tuple(residue(remainder, modulus) for remainder in range(1, modulus)), "or")


def description(text: str) -> Node | None:
    """`all real numbers x such that x > 2` and its like."""
    plain = " ".join(WRAPPED_TEXT.sub(r" \1 ", text).replace("$", "").split())
    match = DESCRIPTION.fullmatch(without_leading_words(plain[:1].lower() + plain[1:]))
    if match is None:
        return None
    base = NamedSet(SETS[match["kind"].replace("non-", "non")])
    rest = match["rest"].strip(" ,.")
    if not rest or (len(rest) == 1 and rest.isalpha()):
        return base
    return restricted(base, rest)


def restricted(base: NamedSet, rest: str) -> Node | None:
    """`base` without some members, or under a condition."""
    variable = rest[:1] if len(rest) > 1 and rest[1] == " " and rest[0].isalpha() else ""
    tail = rest[2:] if variable else rest
    if found := EXCEPT.match(tail):
        excluded = members(tail[found.end() :])
        return None if excluded is None else SetOperation("difference", (base, excluded))
    for words, sign in COMPARED.items():
        if tail.startswith(words):
            bound = read_answer(tail[len(words) :])
            if isinstance(bound, Words | Listing):
                return None
            return on(base, Relation((Symbol(variable or "x"), bound), (sign,)))
    found = SUCH_THAT.match(rest)
    condition = read_answer(rest[found.end() :] if found else rest)
    return None if isinstance(condition, Words) else on(base, condition)


def members(text: str) -> Node | None:
    node = read_answer(text)
    if isinstance(node, Words | Relation):
        return None
    return SetOf(node.items if isinstance(node, Listing) else (node,))


def on(base: NamedSet, condition: Node) -> Node | None:
    """What satisfies `condition`; over the reals, that goes without saying."""
    if not isinstance(condition, Relation | Listing) or len(free_symbols(condition)) != 1:
        return None
    if base.name == "R":
        return condition
    (variable,) = free_symbols(condition)
    return Conditional(condition, Relation((Symbol(variable), base), ("in",)))
