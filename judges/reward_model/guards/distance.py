"""What is far from the training data: random letters, other languages."""

from __future__ import annotations

import base64
import math
import re
import zlib
from typing import Any, Self

from judges.reward_model.guards.guard import Examples, TextGuard
from judges.reward_model.model.render import Prompt

BUCKETS = 1 << 14
EIGHTHS = 8
"""Rarities are stored as eighths of a bit, in a byte."""


class Distance(TextGuard):
    """How unlike natural texts a text is: mean bits of its character trigrams, by how frequent
    they are there; 0 where it has none.

    Trigrams are hashed into buckets, so the table has one size for every script. Letter case
    is ignored and all digits are one.
    """

    name = "distance"
    stored_as = "rarity"

    def __init__(self, eighths: bytes) -> None:
        self._eighths = eighths

    @classmethod
    def fit(cls, examples: Examples) -> Self:
        counts = [0.5] * BUCKETS  # half a sighting of what was never seen
        for text in examples.completions:
            for bucket in buckets(text):
                counts[bucket] += 1
        total = sum(counts)
        bits = (math.log2(total / count) for count in counts)
        return cls(bytes(min(255, round(EIGHTHS * each)) for each in bits))

    @classmethod
    def load(cls, stored: Any) -> Self:
        eighths = base64.b64decode(str(stored), validate=True)
        if len(eighths) != BUCKETS:
            raise ValueError(f"a table of rarities has {BUCKETS} bytes")
        return cls(eighths)

    def stored(self) -> str:
        return base64.b64encode(self._eighths).decode()

    def measure(self, prompt: Prompt, completion: str) -> float:
        found = [self._eighths[bucket] for bucket in buckets(completion)]
        return sum(found) / len(found) / EIGHTHS if found else 0.0


def buckets(text: str) -> list[int]:
    plain = re.sub(r"\d", "0", " ".join(text.lower().split()))
    grams = (plain[i : i + 3] for i in range(len(plain) - 2))
    return [zlib.crc32(gram.encode(errors="replace")) % BUCKETS for gram in grams]
