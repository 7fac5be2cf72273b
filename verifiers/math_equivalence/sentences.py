"""Answers in words: "Petya" where "Petya will win." is due, "odd" for "f is odd".

Only sentences of one plain statement are shortened: an alternative, a condition or a denial
("A or B", "if n is even", "not odd", "A loses") leaves them as they are.
"""

from __future__ import annotations

import re
from typing import Final

from verifiers.math_equivalence.words import SYNONYMS, text_form

SUBJECT: Final = re.compile(
    r"(?:(?:the|this|that|given|improper|infinite|its|there|transformed) ){0,3}"
    r"(?:series|integral|sequence|limit|function|statement|claim|assertion|answer|triangle|graph|"
    r"equation|system|it|are|player|curve|shape|number|relation|value) "
    r"(?:(?:is|are|must be) )?"
)
"""Of "the series converges" and "there are infinitely many"."""
WINS: Final = re.compile(
    r"(?:has|have) (?:a |the )?winning strategy"
    r"|(?:always |will |will always |can always |can )?wins?\b"
)
LEADING: Final = frozenset(
    "the a an any all every each only always on at in by it is it's its this that there are".split()
)
VERBS: Final = frozenset(
    "wins win won will has have can is are was gets receives should must does always could would "
    "takes took finishes finished says said lies".split()
)
LINKS: Final = frozenset(("is", "are", "be", "was"))
ARTICLES: Final = frozenset(("a", "an", "the"))
KINDS: Final = frozenset(
    "number numbers integer integers function functions triangle triangles player players person "
    "people series one ones solution solutions time times prime primes side sides angle angles "
    "matrix matrices graph curve circle point points day days value values figure shape "
    "polygon quadrilateral".split()
)
UNCLEAR: Final = frozenset(
    "or not no never neither nor if unless when but and lose loses lost losing cannot can't except "
    "isn't doesn't don't won't otherwise wrong false either nobody none than maybe perhaps nothing "
    "false reference expected whether un impossible fails fail without".split()
)
"""Words after which a shorter answer may say something else."""
MAX_SHORT_WORDS: Final = 4
OPINIONS: Final = frozenset(("yes", "no"))
RANKS: Final = {"1st": "first", "2nd": "second", "3rd": "third"}
SAME_WORDS: Final = {
    "integer": "integer", "natural": "natural", "whole": "natural", "number": "", "prime": "prime",
    "real": "real", "rational": "rational", "odd": "odd", "even": "even", "positive": "positive",
    "negative": "negative", "composite": "composite", "perfect": "perfect", "square": "square",
    "cube": "cube", "nonzero": "nonzero", "all": "", "any": "", "every": "", "each": "", "the": "",
    "set": "", "of": "", "n": "", "is": "", "that": "", "are": "", "irrational": "irrational",
}  # fmt: skip
"""Adjectives and nouns that describe numbers, in any order; what says nothing is left out."""


def same_words(reference: str, answer: str, *, fold: bool) -> bool:
    """Whether two texts say the same."""
    left, right = text_form(reference, fold=fold), text_form(answer, fold=fold)
    if not left or not right:
        return False
    if left == right or shortened(left) == shortened(right):
        return True
    described = numbers_described(left), numbers_described(right)
    if None not in described:
        return described[0] == described[1]
    short, long = sorted((left.split(), right.split()), key=len)
    return gives_opinion(short, long) or says_only(long, short)


def shortened(text: str) -> str:
    """`converges` of "the series converges"."""
    text = WINS.sub("wins", text)
    found = SUBJECT.match(text)
    rest = text[found.end() :] if found else text
    return SYNONYMS.get(rest, rest)


def numbers_described(text: str) -> frozenset[str] | None:
    """The adjectives of "all odd positive integers"; None where it is something else."""
    words = [word if word in SAME_WORDS else word.removesuffix("s") for word in text.split()]
    if not all(word in SAME_WORDS for word in words):
        return None
    said = {SAME_WORDS[word] for word in words} - {""}
    if "natural" in said:
        said = said - {"natural"} | {"positive", "integer"}
    return frozenset(said) or None


def gives_opinion(short: list[str], long: list[str]) -> bool:
    """`Yes` for "Yes, it is possible."; "Yes or no" is neither."""
    if len(short) > 1 or short[0] not in OPINIONS or short[0] != long[0]:
        return False
    (other,) = OPINIONS - {short[0]}
    return other not in long[1:] and not {"or", "maybe", "but"} & set(long)


def says_only(long: list[str], short: list[str]) -> bool:
    """Whether `short` is the subject, the complement or the adjective of a plain sentence."""
    long, short = without_leading(long), without_leading(short)
    if not short or len(short) > MAX_SHORT_WORDS or UNCLEAR & set(long):
        return False
    if len(long) <= len(short) or any(word.isdecimal() for word in short):
        return long == short
    if long[: len(short)] == short:
        rest = long[len(short) :]
        return rest[0] in VERBS or rest[0] in KINDS
    before = long[: -len(short)]
    if before[-1] in ARTICLES:
        before = before[:-1]
    return long[-len(short) :] == short and bool(before) and before[-1] in LINKS


def without_leading(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) and words[start] in LEADING:
        start += 1
    return [RANKS.get(word, word) for word in words[start:]]
