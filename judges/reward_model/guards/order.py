"""An answer with its words shuffled: whether words stand in an order in which they are written.

Learned from natural texts and their own shuffles: for what stands side by side, how much more
often it does so by design than by chance. Two things are looked at between neighbours: which
common words, or endings of rarer ones, follow each other; and how a word ends and the next one
begins, by letter case, digits and punctuation.
"""

from __future__ import annotations

import base64
import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from judges.reward_model.guards.guard import Examples, TextGuard
from judges.reward_model.model.render import Prompt

COMMON_WORDS = 100
"""So many stand for themselves; of others the last two letters do."""

BUCKETS = 1 << 14
SIXTEENTHS = 16
"""Weights are stored as sixteenths of a natural logarithm, in a signed byte."""

STRONGEST = 2.0
"""No pair of neighbours says more than this: most were seen a few times at best."""

DOUBT = 2.0
"""Added to both counts of a pair."""

FEWEST = 3
"""Words: of fewer, the order tells nothing."""

SPACE = re.compile(r"\s+")
EDGES = re.compile(r"^\W+|\W+$")


class Order(TextGuard):
    """How like a shuffle the order of words is: minus the weights of all different neighbours,
    over the root of their number."""

    name = "order"
    penalises = True
    stored_as = "order"

    def __init__(self, common: Iterable[str], weights: bytes) -> None:
        """weights: one signed byte a bucket."""
        self._common = frozenset(common)
        self._weights = memoryview(weights).cast("b")

    @classmethod
    def fit(cls, examples: Examples) -> Self:
        chance, texts = random.Random(0), examples.completions
        words = Counter(bare(word) for text in texts for word in text.split())
        common = sorted(word for word, _ in words.most_common(COMMON_WORDS))
        made = cls(common, bytes(BUCKETS))
        written, shuffled = Counter[int](), Counter[int]()
        for text in texts:
            said, spaces = pieces(text)
            written.update(made._buckets(said, spaces))
            chance.shuffle(said)
            # The one shuffle keeps the lines, the other, as text.split() does, has none.
            for separators in (spaces, [" "] * len(spaces)):
                shuffled.update(made._buckets(said, separators))
        weights = (
            math.log((written[bucket] + DOUBT) / (shuffled[bucket] / 2 + DOUBT))
            for bucket in range(BUCKETS)
        )
        stored = (round(SIXTEENTHS * max(-STRONGEST, min(STRONGEST, each))) for each in weights)
        return cls(common, bytes(each % 256 for each in stored))

    @classmethod
    def load(cls, stored: Any) -> Self:
        weights, *common = str(stored).split(" ")
        table = base64.b64decode(weights, validate=True)
        if len(table) != BUCKETS:
            raise ValueError(f"a table of word orders has {BUCKETS} bytes")
        return cls(common, table)

    def stored(self) -> str:
        return " ".join([base64.b64encode(self._weights).decode(), *sorted(self._common)])

    def measure(self, prompt: Prompt, completion: str) -> float:
        words, spaces = pieces(completion)
        if len(words) < FEWEST:
            return 0.0
        found = self._buckets(words, spaces)
        weight = sum(self._weights[bucket] for bucket in found) / SIXTEENTHS
        return -weight / math.sqrt(len(found))

    def _buckets(self, words: Sequence[str], spaces: Sequence[str]) -> set[int]:
        return {
            zlib.crc32(pair.encode(errors="replace")) % BUCKETS
            for pair in self._neighbours(words, spaces)
        }

    def _neighbours(self, words: Sequence[str], spaces: Sequence[str]) -> Iterator[str]:
        kinds = ["^", *(self._kind(word) for word in words), "$"]
        ends = ["^", *(shape(word[-1]) for word in words)]
        starts = [*(shape(word[0]) for word in words), "$"]
        between = ["", *spaces, ""] if words else [""]
        for i, space in enumerate(between):
            yield f"w {kinds[i]} {kinds[i + 1]}"
            yield f"e {ends[i]}{space}{starts[i]}"

    def _kind(self, word: str) -> str:
        plain = bare(word)
        return plain if plain in self._common else f"-{plain[-2:]}"


def pieces(text: str) -> tuple[list[str], list[str]]:
    """The words, and what is between them: a line's end or a space."""
    text = text.strip()
    spaces = ["\n" if "\n" in found else " " for found in SPACE.findall(text)]
    return text.split(), spaces


def bare(word: str) -> str:
    """Without case, and without what surrounds its letters."""
    return EDGES.sub("", word.lower()) or word


def shape(character: str) -> str:
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return "0" if character.isdigit() else character
