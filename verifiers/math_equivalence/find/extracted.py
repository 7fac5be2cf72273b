"""What extraction finds, and the marks of text that its rules share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SENTENCE_END: Final = re.compile(r"[.!?](?=\s+[A-Z\"'(\\$*]|\s*$)|。|(?<=[\w$})])[!?](?=\s)")
DISPLAYS: Final = (("$$", "$$"), ("\\[", "\\]"))
DISPLAY_ENVIRONMENT: Final = re.compile(
    r"\\(?:begin|end)\{(?:equation|align|gather|displaymath)\*?\}"
)
INLINE_RUN: Final = re.compile(
    r"(?:\$[^$\n]{1,400}\$|\\\((?:(?!\\[()]).){1,400}\\\))"
    r"(?:\s*(?:,|,?\s*and|,?\s*or)\s*(?:\$[^$\n]{1,400}\$|\\\((?:(?!\\[()]).){1,400}\\\)))*"
)
AFTER_INLINE: Final = re.compile(
    r"\s*(?:\\?%|[A-Za-z°]{1,12}(?:\s+[A-Za-z]{1,12}){0,2})?[\s.!*。]*"
)
LATEX_WORD: Final = re.compile(r"\\[A-Za-z]+|\\text\{[^{}]*\}")
PROSE_WORD: Final = re.compile(r"[A-Za-z]{2,}")
NOT_PROSE: Final = frozenset(
    "and or sqrt sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim pi "
    "max min gcd lcm mod frac infty inf infinity cm mm km kg ft mi in hr min sec dollars cents "
    "degrees percent units square cubic cup cap text le ge ne pm xy yz xz ab bc ac abc xyz dx "
    "dy".split()
)
MAX_PROSE_WORDS: Final = 2
MAX_TEXT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Extraction:
    """An answer, the rule that found it, and what contradicts it."""

    text: str
    rule: str
    others: tuple[str, ...] = ()


def is_without_prose(text: str) -> bool:
    words = PROSE_WORD.findall(LATEX_WORD.sub(" ", text))
    return sum(word.lower() not in NOT_PROSE for word in words) <= MAX_PROSE_WORDS
