"""Mathematics in words: "all real numbers except 2", "no solution", "twenty-one"."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Final

from verifiers.math_equivalence.limits import MAX_ITEMS
from verifiers.math_equivalence.read.answers import read_answer
from verifiers.math_equivalence.read.expression import (
    Conditional,
    Constant,
    Group,
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
from verifiers.math_equivalence.read.prose import WRAPPED_TEXT
from verifiers.math_equivalence.read.sentences import plainly
from verifiers.math_equivalence.read.words import text_form

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
}  # fmt: skip
SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
MAX_NUMBER_WORDS: Final = 60
"""Characters of a number in words."""
NOTHING: Final = re.compile(
    r"none(?: exists?)?|nothing|无解|null set|empty set"
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
BETWEEN: Final = re.compile(
    r"between (?P<low>\S+) and (?P<high>[^\s,]+),? ?\(?(?P<kind>inclusive|exclusive)\)?"
)
MULTIPLES: Final = re.compile(
    r"(?:(?:positive|natural) )?(?:integers?|numbers?)?(?: ?\b[a-z])?"
    r"(?: ?(?:that|which) (?:are|is)| is| are)?(?P<denied> not)? ?"
    r"(?:divisible by|(?:a )?multiples? of) (?P<modulus>[0-9]{1,3})"
)
PARITIES: Final = re.compile(
    r"(?:[kmn] (?:is )?)(?P<stated>even|odd)|(?P<adjective>even|odd) (?:integers?|numbers?|[kmn])"
)
PERMUTED: Final = re.compile(
    r"(?:all )?(?P<cyclic_first>cyclic )?permutations of (?P<after>.+)"
    r"|(?P<before>[^A-Za-z]+?),? (?:(?:and|with|along with|together with|up to)"
    r"(?: (?:all|its|their|the|all its|all their|any))? (?P<cyclic>cyclic )?permutations?|"
    r"in (?:some|any) order)(?: thereof)?"
)
MAX_PERMUTED: Final = 5
"""Members of a tuple: 120 permutations."""
EXCLUDING: Final = re.compile(
    r"(?P<name>[a-z]) (?:except(?: for)?|other than) (?P<members>[0-9, and]+)"
)


def phrase(text: str) -> Node | None:
    """The mathematical object that a phrase means."""
    form = text_form(text, fold=True)
    if number := number_in_words(form):
        return number
    if plainly(form) == "infinitely many":
        return Constant("infinity")
    if NOTHING.fullmatch(form):
        return NamedSet("empty")
    whole, form = without_leading_words(form), without_leading_words(plainly(form))
    if found := PARITIES.fullmatch(form) or PARITIES.fullmatch(whole):
        return residue(int("odd" in (found["stated"], found["adjective"])), 2)
    if found := MULTIPLES.fullmatch(form):
        return multiples(int(found["modulus"]), bool(found["denied"]))
    return permuted(text) or description(text)


def without_leading_words(text: str) -> str:
    """`real x` of "the set of all real x"."""
    words = text.split(" ")
    start = 0
    while start < len(words) and words[start].lower() in LEADING:
        start += 1
    return " ".join(words[start:])


def number_in_words(form: str) -> Node | None:
    """`forty two` and `three hundred thousand`, without their "and"s."""
    if form in NUMBERS:
        return Number(NUMBERS[form])
    head, _, last = form.rpartition(" ")
    if last in SCALES and len(form) < MAX_NUMBER_WORDS and (size := number_in_words(head)):
        return Number(size.value * SCALES[last]) if isinstance(size, Number) else None
    return None


def residue(remainder: int, modulus: int) -> Node:
    return Relation((Number(remainder), Number(modulus)), ("mod",))


def multiples(modulus: int, denied: bool) -> Node | None:
    """The residue classes of the multiples, or of all the others."""
    if modulus < 2:
        return None
    if not denied:
        return residue(0, modulus)
    return Listing(tuple(residue(remainder, modulus) for remainder in range(1, modulus)), "or")


def permuted(text: str) -> Node | None:
    """`(1, 2, 3) and its permutations`, written out."""
    plain = " ".join(WRAPPED_TEXT.sub(r" \1 ", text).replace("$", "").split())
    found = PERMUTED.fullmatch(plain)
    if found is None:
        return None
    node = read_answer(found["after"] or found["before"])
    groups = node.items if isinstance(node, Listing) else (node,)
    if not all(isinstance(g, Group) and len(g.items) <= MAX_PERMUTED for g in groups):
        return None
    arranged = rotations if found["cyclic"] or found["cyclic_first"] else permutations
    points = [
        Group(group.opening, tuple(items), group.closing)
        for group in groups
        if isinstance(group, Group)
        for items in arranged(group.items)
    ]
    return SetOf(tuple(dict.fromkeys(points))) if len(points) <= MAX_ITEMS else None


def rotations(items: tuple[Node, ...]) -> list[tuple[Node, ...]]:
    return [items[start:] + items[:start] for start in range(len(items))]


def description(text: str) -> Node | None:
    """`all real numbers x such that x > 2` and its like."""
    plain = " ".join(WRAPPED_TEXT.sub(r" \1 ", text).replace("$", "").split())
    plain = without_leading_words(plain[:1].lower() + plain[1:])
    match = DESCRIPTION.fullmatch(plain)
    if match is None:
        return excluding(plain)
    name = SETS.get(match["kind"].replace("non-", "non"))
    if name is None:
        return None
    base, rest = NamedSet(name), match["rest"].strip(" ,.")
    if not rest or (len(rest) == 1 and rest.isalpha()):
        return base
    return restricted(base, rest)


def excluding(plain: str) -> Node | None:
    """`n except 2 and 3` as n ≠ 2, n ≠ 3."""
    found = EXCLUDING.fullmatch(plain)
    excluded = members(found["members"]) if found else None
    if found is None or not isinstance(excluded, SetOf):
        return None
    name = Symbol(found["name"])
    relations = tuple(Relation((name, item), ("!=",)) for item in excluded.items)
    return relations[0] if len(relations) == 1 else Listing(relations, "and")


def restricted(base: NamedSet, rest: str) -> Node | None:
    """`base` without some members, or under a condition."""
    variable = rest[:1] if len(rest) > 1 and rest[1] == " " and rest[0].isalpha() else ""
    tail = rest[2:] if variable else rest
    if found := EXCEPT.match(tail):
        excluded = members(tail[found.end() :])
        return None if excluded is None else SetOperation("difference", (base, excluded))
    if found := BETWEEN.fullmatch(tail):
        low, high = read_answer(found["low"]), read_answer(found["high"])
        sign = "<=" if found["kind"] == "inclusive" else "<"
        return on(base, Relation((low, Symbol(variable or "x"), high), (sign, sign)))
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
    """What satisfies `condition`, and of what kind it is."""
    if not isinstance(condition, Relation | Listing) or len(free_symbols(condition)) != 1:
        return None
    (variable,) = free_symbols(condition)
    return Conditional(condition, Relation((Symbol(variable), base), ("in",)))
