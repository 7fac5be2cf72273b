"""Answers in words: "Petya" where "Petya will win." is due, "odd" for "f is odd".

Only sentences of one plain statement are shortened: an alternative, a condition or a denial
("A or B", "if n is even", "not odd", "A loses") leaves them as they are. A reference may say
more than the answer in words of its own. An answer may not: every word in which it says more
must be one that names nothing, so that it cannot name every candidate ("A wins, B wins").
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from verifiers.math_equivalence.read.words import SYNONYMS, text_form

SUBJECT: Final = re.compile(
    r"(?:(?:the|this|that|given|improper|infinite|its|there|transformed) ){0,3}"
    r"(?:series|integral|sequence|limit|function|statement|claim|assertion|answer|triangle|graph|"
    r"equation|system|it|are|player|curve|shape|number|relation|value) "
    r"(?:(?:is|are|must be) )?"
    r"|[kmnp] (?:is|are|must be) (?:an? |the )?"
)
"""Of "the series converges" and "there are infinitely many"."""
CONDITION: Final = re.compile(
    r"^(?:(?:if and )?only if|iff|exactly when|precisely when|when|no (?=not)) ?"
)
EXISTENCE: Final = re.compile(r"(?:no,? )?such (?:an? )?[a-z]{2,16} (?:does|do) not exist")
MAX_STEM: Final = 3
DIGITS: Final = {
    word: str(number)
    for number, word in enumerate("one two three four five six seven eight nine ten".split(), 1)
}
WINS: Final = re.compile(
    r"(?:has|have) (?:a |the )?winning strategy"
    r"|(?:always |will |will always |can always |can )?wins?\b"
)
LEADING: Final = frozenset(
    "the a an any all every each only always on at in by it is it's its this that there are "
    "strictly straight monotonically for when iff".split()
)
VERBS: Final = frozenset(
    "wins win won will has have can is are was gets receives should must does always could would "
    "takes took finishes finished says said lies".split()
)
PREPOSITIONS: Final = frozenset("to at with about by on in".split())
LINKS: Final = frozenset(("is", "are", "be", "was"))
ARTICLES: Final = frozenset(("a", "an", "the"))
KINDS: Final = frozenset(
    "number numbers integer integers function functions triangle triangles player players person "
    "people series one ones solution solutions time times prime primes side sides angle angles "
    "matrix matrices graph curve circle point points day days value values figure shape "
    "polygon quadrilateral condition".split()
)
UNCLEAR: Final = frozenset(
    "or not no never neither nor if unless when but and lose loses lost losing cannot can't except "
    "isn't doesn't don't won't otherwise wrong false either nobody none than maybe perhaps nothing "
    "false reference expected whether un impossible fails fail without".split()
)
"""Words after which a shorter answer may say something else."""
NEUTRAL: Final = (
    LEADING | VERBS | PREPOSITIONS | LINKS | ARTICLES | frozenset(
        "number numbers integer integers function functions player players person people series "
        "solution solutions time times value values day days game match strategy winning winner "
        "of participants statement answer shape figure polygon quadrilateral condition".split()
    )
)  # fmt: skip
"""Words that name no answer of their own."""
DENIALS: Final = frozenset("not never cannot can't impossible isn't doesn't don't won't".split())
MAX_SHORT_WORDS: Final = 4
OPINIONS: Final = frozenset(("yes", "no"))
RESERVED: Final = frozenset(
    "or maybe perhaps but if unless when except only until one 1 idea more less".split()
)
"""Words of "yes, if n is even", which is no plain yes."""
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
    left, right = plainly(left) or left, plainly(right) or right
    if singular_words(left) == singular_words(right):
        return True
    described = numbers_described(left), numbers_described(right)
    if None not in described:
        return described[0] == described[1]
    due, said = left.split(), right.split()
    if len(said) > len(due):
        return gives_opinion(due, said) or (adds_nothing(said, due) and says_only(said, due))
    return gives_opinion(said, due) or says_only(due, said)


def adds_nothing(long: list[str], short: list[str]) -> bool:
    """Whether the words of `long` beyond those of `short` name nothing."""
    rest = Counter(long)
    rest.subtract(short)
    return all(word in NEUTRAL for word in +rest)


def singular_words(text: str) -> list[str]:
    """`power of 2` of "powers of 2"."""
    return [word.removesuffix("s") if len(word) > MAX_STEM else word for word in text.split()]


def plainly(text: str) -> str:
    """`converges` of "the series converges", `n is odd` of "if and only if n is odd"."""
    text = WINS.sub("wins", CONDITION.sub("", text))
    if EXISTENCE.fullmatch(text):
        return "no"
    text = " ".join(DIGITS.get(word, word) for word in text.split())
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
    if said & {"odd", "even", "prime", "composite"}:
        said -= {"integer"}
    return frozenset(said) or None


def gives_opinion(short: list[str], long: list[str]) -> bool:
    """`Yes` for "Yes, it is possible."; "Yes or no" is neither."""
    if len(short) != 1 or short[0] not in OPINIONS or short[0] != long[0]:
        return False
    (other,) = OPINIONS - {short[0]}
    if short[0] == "yes" and DENIALS & set(long):
        return False
    return other not in long[1:] and not RESERVED & set(long)


def says_only(long: list[str], short: list[str]) -> bool:
    """Whether `short` is the subject, the complement or the adjective of a plain sentence."""
    long, short = without_leading(long), without_leading(short)
    if not short or len(long) <= len(short):
        return long == short != []
    if long[:-1] == short and long[-1] in KINDS:
        return True
    if len(short) > MAX_SHORT_WORDS or UNCLEAR & set(long):
        return False
    if any(word.isdecimal() for word in short):
        return False
    return is_subject(long, short) or is_complement(long, short)


def is_subject(long: list[str], short: list[str]) -> bool:
    """`petya` of "petya will win", `odd` of "odd number of participants"."""
    following = long[len(short)]
    return long[: len(short)] == short and (following in VERBS or following in KINDS)


def is_complement(long: list[str], short: list[str]) -> bool:
    """`tangent` of "the line is tangent to the circle"."""
    for start in range(1, len(long) - len(short) + 1):
        end = start + len(short)
        before = long[start - 2] if start > 1 and long[start - 1] in ARTICLES else long[start - 1]
        if long[start:end] == short and before in LINKS:
            return end == len(long) or long[end] in PREPOSITIONS
    return False


def without_leading(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) and words[start] in LEADING:
        start += 1
    return [RANKS.get(word, word) for word in words[start:]]
