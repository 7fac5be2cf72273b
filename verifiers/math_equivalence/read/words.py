"""Answers in words: normal forms of text, multiple choice, clock times and dates."""

from __future__ import annotations

import re
from typing import Final

MARKUP: Final = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathbb|mbox|operatorname|emph|underline)\b|[\\{}$*_`\"]"
)
PUNCTUATION: Final = re.compile(r"[\s.,;:!?'()\[\]-]+")
TIGHT: Final = re.compile(r"\s*([\^_=<>+/])\s*")
ARTICLE: Final = re.compile(r"^(?:the|a|an) ")

CHOICE: Final = re.compile(
    r"(?:(?:option|choice|answer)\s+)?(?:\(\s*(?P<bracketed>[A-J])\s*\)|(?P<bare>[A-J]))"
    r"(?P<mark>\s*[.:)])?(?:\s*(?P<rest>\S.*))?",
    re.IGNORECASE | re.DOTALL,
)
FURTHER_CHOICE: Final = re.compile(r"(?:and|or|,)\s*\([A-J]\)")
CHOICES: Final = re.compile(
    r"\(?[A-J]\)?(?:(?:\s*[,;&/]\s*|\s*(?:and|or)\s*|\s*)\(?[A-J]\)?)+|[①-⑩](?:[\s,;]*[①-⑩])+"
)
LETTER: Final = re.compile(r"[A-J①-⑩]")

TIME: Final = re.compile(
    r"(?P<hour>[0-9]{1,2})(?:\s*:\s*(?P<minute>[0-5][0-9]))?(?:\s*:\s*(?P<second>[0-5][0-9]))?"
    r"\s*(?P<half>[ap]\.?\s?m\.?|noon|midnight)?",
    re.IGNORECASE,
)
MONTHS: Final = {
    month: number
    for number, month in enumerate(
        "jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1
    )
}
DATE: Final = re.compile(
    r"(?:(?P<day_first>[0-9]{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?P<month>[a-z]{3,9})\.?"
    r"(?:\s+(?P<day_last>[0-9]{1,2})(?:st|nd|rd|th)?(?![0-9]))?(?:\s*,?\s*(?P<year>[0-9]{4}))?",
    re.IGNORECASE,
)

SYNONYMS: Final = {
    "dne": "does not exist", "doesnt exist": "does not exist", "undefined": "does not exist",
    "infinitely many solutions": "infinitely many", "infinite": "infinitely many",
    "infinite solutions": "infinitely many", "an infinite number": "infinitely many",
    "infinite number": "infinitely many", "convergent": "converges", "is convergent": "converges",
    "divergent": "diverges", "is divergent": "diverges", "true": "yes", "correct": "yes",
    "false": "no", "incorrect": "no", "正确": "yes", "对": "yes", "错误": "no", "错": "no",
    "not possible": "no", "impossible": "no", "possible": "yes", "是": "yes", "否": "no",
}  # fmt: skip


def text_form(text: str, *, fold: bool) -> str:
    """Text without markup, punctuation, articles and, where `fold`, case."""
    text = TIGHT.sub(r"\1", MARKUP.sub(" ", text))
    text = PUNCTUATION.sub(" ", text).strip().removesuffix("条件")
    lowered = text.lower()
    article = ARTICLE.match(lowered)
    if article:
        text, lowered = text[article.end() :], lowered[article.end() :]
    return SYNONYMS.get(lowered, lowered if fold else text)


def choice(text: str) -> tuple[str, str | None] | None:
    """("C", "12") for `(C) 12`, ("C", None) for `C.`; None where it is no choice."""
    plain = MARKUP.sub(" ", text) if "\\t" in text or "\\m" in text or "*" in text else text
    match = CHOICE.fullmatch(plain.strip())
    if match is None:
        return None
    letter = match["bracketed"] or match["bare"]
    if match["rest"] is None:
        return letter.upper(), None
    if (match["bare"] and not match["mark"]) or choices(text) or choice(match["rest"]):
        return None
    if FURTHER_CHOICE.search(match["rest"]):
        return None
    return letter.upper(), match["rest"]


def choices(text: str) -> tuple[list[str], bool] | None:
    """The letters of `A, C` or `BD`, and whether something separates them."""
    plain = MARKUP.sub(" ", text).strip()
    if not CHOICES.fullmatch(plain):
        return None
    return LETTER.findall(plain), not plain.isalnum()


def same_choices(reference: tuple[list[str], bool], answer: tuple[list[str], bool]) -> bool:
    """The same letters; in any order where they are a set and no ranking or word.

    Separators make a set, and so do letters in alphabetical order beside one: `AC` is
    `C, A`. Between two rows of letters, `AC` and `CA`, the order counts, but not between
    numbered statements, ①③ and ③①.
    """
    (due, separated), (given, given_separated) = reference, answer
    if due == given:
        return True
    numbered = not due[0].isascii()
    unordered = separated or ((given_separated or numbered) and due == sorted(due))
    return unordered and sorted(due) == sorted(given)


def is_row_of_letters(text: str) -> bool:
    """Two letters or more and nothing else."""
    return len(text) > 1 and text.isascii() and text.isalpha()


def clock_time(text: str) -> tuple[int, bool] | None:
    """(seconds after midnight, whether the half of the day is known)."""
    plain = MARKUP.sub(" ", text).replace("~", " ").strip()
    match = TIME.fullmatch(plain)
    if match is None or (match["minute"] is None and match["half"] is None):
        return None
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    if hour > 24:
        return None
    if half:
        late = half[0] == "p" or half == "noon"
        if hour > 12:
            return None
        hour = hour % 12 + 12 * late
    known = bool(half) or hour > 12
    return hour * 3600 + int(match["minute"] or 0) * 60 + int(match["second"] or 0), known


def same_time(reference: tuple[int, bool], answer: tuple[int, bool]) -> bool:
    """Where one does not say which half of the day it means, either is right."""
    if reference[1] and answer[1]:
        return reference[0] == answer[0]
    return (reference[0] - answer[0]) % (12 * 3600) == 0


def date(text: str) -> tuple[int | None, int, int] | None:
    """(year or None, month, day) of a date with its month in letters."""
    match = DATE.fullmatch(MARKUP.sub(" ", text).strip())
    if match is None:
        return None
    month = MONTHS.get(match["month"][:3].lower())
    day = match["day_first"] or match["day_last"]
    if month is None or day is None or (match["day_first"] and match["day_last"]):
        return None
    return int(match["year"]) if match["year"] else None, month, int(day)
