"""Loops: "the the the", one answer pasted thrice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable

from judges.reward_model.guards.guard import TextGuard
from judges.reward_model.model.render import Prompt

WORDS_OR_SYMBOLS = re.compile(r"\w+|[^\w\s]")

WORD_GRAM, CHARACTER_GRAM = 3, 12
"""Three words, or twelve characters, seldom occur twice in a text by chance."""


class Repetition(TextGuard):
    """How much of its word trigrams, or of its runs of twelve characters, occurred before: from
    0 to 1."""

    name = "repetition"
    penalises = True

    def measure(self, prompt: Prompt, completion: str) -> float:
        words = WORDS_OR_SYMBOLS.findall(completion.lower())
        by_word = repeated_share(zip(*(words[i:] for i in range(WORD_GRAM)), strict=False))
        text = " ".join(completion.split())
        runs = (text[i : i + CHARACTER_GRAM] for i in range(len(text) - CHARACTER_GRAM + 1))
        return max(by_word, repeated_share(runs))


def repeated_share(grams: Iterable[Hashable]) -> float:
    """The share of grams that occurred before. It counts in full where they did so at the
    commonest distance, as in a loop, and half where they did not, as in lists of like things."""
    last: dict[Hashable, int] = {}
    distances: Counter[int] = Counter()
    total = 0
    for total, gram in enumerate(grams, start=1):
        if gram in last:
            distances[total - last[gram]] += 1
        last[gram] = total
    most = max(distances.values(), default=0)
    return (distances.total() + most) / 2 / total if total else 0.0
