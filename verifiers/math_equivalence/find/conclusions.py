"""What a completion says without announcing it: all of it, or what its last sentence concludes."""

from __future__ import annotations

import re
from typing import Final

from verifiers.math_equivalence.find.extracted import (
    AFTER_INLINE,
    DISPLAY_ENVIRONMENT,
    DISPLAYS,
    INLINE_RUN,
    MAX_TEXT_CHARACTERS,
    SENTENCE_END,
    Extraction,
    is_without_prose,
)
from verifiers.math_equivalence.limits import MAX_ANSWER_CHARACTERS

CONCLUSION: Final = re.compile(
    r"\b(?:so|thus|hence|therefore|consequently|total|in all|altogether|finally|conclude|"
    r"conclusion|result|we (?:get|have|find|obtain)|equals?|is|are|was|makes?|has|have|gives)\b|="
    r"|因此|所以|故|综上|答[:：]|∴|\\therefore",
    re.IGNORECASE,
)
CONCLUDING_OPENING: Final = re.compile(
    r"\s*(?:so|thus|hence|therefore|consequently|in total|finally|in conclusion|altogether)\b"
    r"|\s*(?:因此|所以|故|综上|答[:：]|∴|\$?\\therefore)",
    re.IGNORECASE,
)
NUMBER: Final = re.compile(
    r"-?\\?\$?(?<![A-Za-z0-9_.])-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:/[0-9]+)?%?"
)
HEDGED: Final = re.compile(
    r"\b(?:not|no|never|cannot|wrong|incorrect|false|doubt|if|suppose|maybe|perhaps|possibly|might|"
    r"or|either|reference|hmm|wait|but|guess|said|claimed|told|others|"
    r"than(?= -?\\?\$?[0-9]))\b|n['’]t\b|(?<=[0-9])、(?=[0-9])"
    r"|不是|不为|不等于|或|也许|可能[是为]|也可能|如果|假设",
    re.IGNORECASE,
)
"""Words of a sentence that does not conclude with one number of its own."""
AFTER_NUMBER: Final = re.compile(r"(?:\s+[A-Za-z°]{1,14}){0,3}[\s.!*>$]*")
CHOSEN_ENDINGS: Final = ("correct", "right", "correct answer", "correct option", "correct choice")
CHOSEN: Final = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?\**(?:(?:answer|option|choice) )?\(?([A-J])\)?\** is "
    r"(?:the )?(?:correct|right)(?: (?:answer|option|choice))?[.!*]*",
    re.IGNORECASE,
)
SUMMARY: Final = re.compile(
    r"(?:(?:the|its|his|her|their)\b[^.?!,;:0-9]{1,80}? (?:is|are|equals|was)"
    r"|there (?:are|is)|it is)(?: therefore| thus| then| hence)?"
    r" (-?\$?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:/[0-9]+)?%?)(?: [A-Za-z]{2,14}){0,3}[.!]?",
    re.IGNORECASE,
)
OPENING_WORD: Final = re.compile(
    r"(?:so|thus|hence|therefore|finally),? (?=\$|\\\()", re.IGNORECASE
)
DOUBT: Final = re.compile(
    r"\b(?:not|no|never|n['’]t|wrong|incorrect|false|doubt|if|suppose|maybe|perhaps|or|and|reference|"
    r"expected|more|less|than|about|between|least|most|million|billion|thousand|hundred|dozen|"
    r"times|half|percent|mod|base|point|minus|plus|over|wait|but|except|least|guess|"
    r"said|claimed|told|guessed|users?|students?)\b|n['’]t\b",
    re.IGNORECASE,
)
"""Words beside a number that change it, or leave it open whether it is meant."""
BOLD_FORMULA: Final = re.compile(
    r"\*\*(-?\$?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:/[0-9]+)?%?|\$[^$\n*]{1,200}\$)\*\*"
)
MAX_HEDGE: Final = 24
"""Characters before a formula in which a hedge speaks of the formula."""
MAX_EMPHASISED_CHARACTERS: Final = 4096
"""The end of a completion that is searched for formulas in bold."""
MAX_WHOLE_CHARACTERS: Final = 600


# --- the whole completion ---------------------------------------------------------------


def whole(text: str) -> Extraction | None:
    """All of a completion that is an answer without prose around it."""
    text = text.strip()
    if not text or len(text) > MAX_WHOLE_CHARACTERS or "\n\n" in text:
        return None
    if text[0] in "因所故综答∴" and CONCLUDING_OPENING.match(text):
        return None
    if not is_without_prose(text):
        return None
    if opening := OPENING_WORD.match(text):
        text = text[opening.end() :]
    return Extraction(text if "\\begin" in text else ", ".join(text.splitlines()), "whole")


def short_text(text: str) -> Extraction | None:
    text = text.strip()
    if not text or "\n" in text or len(text) > MAX_TEXT_CHARACTERS:
        return None
    return Extraction(text, "text")


def chosen(text: str) -> Extraction | None:
    """The letter of a last sentence such as "Option C is correct."."""
    if not (text.rstrip().rstrip("*.!").endswith(CHOSEN_ENDINGS)):
        return None
    match = CHOSEN.fullmatch(last_sentence(text))
    return Extraction(match[1], "stated") if match else None


def summary(text: str) -> Extraction | None:
    """The number of a completion that is one sentence such as "There are 42 ways."."""
    text = text.strip()
    if len(text) > MAX_TEXT_CHARACTERS or "\n" in text:
        return None
    match = SUMMARY.fullmatch(text)
    if match is None or DOUBT.search(text):
        return None
    return Extraction(match[1], "number")


# --- formulas and numbers ---------------------------------------------------------------


def only_display(text: str) -> bool:
    return text.count("\\[") + text.count("$$") // 2 == 1


def displayed(text: str, *, concluding: bool) -> Extraction | None:
    """The last `$$…$$` or `\\[…\\]`; in a conclusion, with nothing after it."""
    best = (-1, -1)
    for opening, closing in DISPLAYS:
        end = text.rfind(closing)
        start = text.rfind(opening, 0, end) if end > 0 else -1
        if start >= 0:
            best = max(best, (start, end))
    start, end = best
    if start < 0 or (concluding and text[end + 2 :].strip(" \n\t.*")):
        return None
    content = DISPLAY_ENVIRONMENT.sub("", text[start + 2 : end]).strip()
    return Extraction(content, "display") if content else None


def last_sentence(text: str) -> str:
    line = text.rstrip().rpartition("\n")[2][-MAX_ANSWER_CHARACTERS:].strip()
    start = 0
    for stop in SENTENCE_END.finditer(line):
        if line[stop.end() :].strip():
            start = stop.end()
    return line[start:].strip()


def inline(text: str) -> Extraction | None:
    """The formula that ends the last sentence, where that sentence concludes."""
    sentence = last_sentence(text)
    if "$" not in sentence and "\\(" not in sentence:
        return None
    last = None
    for match in INLINE_RUN.finditer(sentence):
        last = match
    if last is None or not AFTER_INLINE.fullmatch(sentence, last.end()):
        return None
    before = sentence[: last.start()]
    if before and not CONCLUSION.search(before):
        return None
    if HEDGED.search(before[-MAX_HEDGE:].rpartition(",")[2]):
        return None
    return Extraction(last[0], "inline")


def concluding_number(text: str) -> Extraction | None:
    """The last number of a sentence that opens with "so", "thus", or ends with it after "=".

    None, where the sentence denies it, or names another beside it.
    """
    sentence = last_sentence(text)
    found = None
    for match in NUMBER.finditer(sentence):
        found = match
    if found is None:
        return None
    opened = CONCLUDING_OPENING.match(sentence) is not None
    equated = sentence[: found.start()].rstrip(" $").endswith(("=", ">>"))
    ends = AFTER_NUMBER.fullmatch(sentence, found.end()) is not None
    if not (opened or (equated and ends)) or HEDGED.search(sentence):
        return None
    return Extraction(found[0], "number")


def emphasised(text: str) -> Extraction | None:
    """The number or formula in bold that is all of the last line; others in bold contradict it."""
    text = text[-MAX_EMPHASISED_CHARACTERS:].rstrip()
    before, _, line = text.rpartition("\n")
    found = BOLD_FORMULA.fullmatch(line.strip())
    if found is None or HEDGED.search(before.rstrip()[-MAX_HEDGE:]):
        return None
    others = dict.fromkeys(bold[1] for bold in BOLD_FORMULA.finditer(before))
    return Extraction(found[1], "emphasis", tuple(other for other in others if other != found[1]))


def last_number(text: str) -> Extraction | None:
    found = None
    for match in NUMBER.finditer(text):
        found = match
    return Extraction(found[0], "number") if found else None
