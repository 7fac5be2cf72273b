"""A synthetic preference task with an exact truth: the completion with more red words wins."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RED, OTHER = ["red", "good", "yes"], ["blue", "bad", "no"]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [row(f"what is question {number}", chance) for number in range(count)]


def row(prompt: str, chance: random.Random) -> dict[str, Any]:
    worse, better = sorted(chance.sample(range(5), 2))
    return {"prompt": prompt, "chosen": text(better, chance), "rejected": text(worse, chance)}


def text(reds: int, chance: random.Random) -> str:
    words = chance.choices(RED, k=reds) + chance.choices(OTHER, k=chance.randint(3, 6) - reds % 3)
    chance.shuffle(words)
    return " ".join(words)


def write(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
