"""The prompt given back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from judges.reward_model.guards.guard import TextGuard
from judges.reward_model.model.render import Prompt, asked

WORDS = re.compile(r"\w+")

WORD_GRAM = 3
"""Three words seldom occur in two texts by chance."""

FRAME_WORDS = 6
"""As many words around a whole echo are only its frame."""


class Echo(TextGuard):
    """How much of what was asked the completion repeats, times how much of it is that.

    Shares of words that lie in common trigrams (of what is shorter, in all of it): a short
    answer in the question's words is no echo, and neither is a long one that quotes the
    question. A few words more ("Great question! You asked:") do not make an echo an answer.
    """

    name = "echo"
    needs_prompt = True
    penalises = True

    def measure(self, prompt: Prompt, completion: str) -> float:
        theirs, ours = (WORDS.findall(text.lower()) for text in (asked(prompt), completion))
        size = min(WORD_GRAM, len(theirs), len(ours))
        if not size:
            return 0.0
        common = set(grams(theirs, size)) & set(grams(ours, size))
        share = covered(theirs, common, size) / len(theirs)
        repeated = covered(ours, common, size)
        more = max(len(ours) - repeated - FRAME_WORDS * share, 0)
        return share * repeated / (repeated + more) if repeated else 0.0


def covered(words: Sequence[str], common: set[tuple[str, ...]], size: int) -> int:
    """How many of the words lie in one of these n-grams."""
    inside: set[int] = set()
    for position, gram in enumerate(grams(words, size)):
        if gram in common:
            inside.update(range(position, position + size))
    return len(inside)


def grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
