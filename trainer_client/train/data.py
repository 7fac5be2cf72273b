"""What the policy is asked: generated texts to reverse, or problems read from JSONL.

Nothing here keeps a cursor. The problems of a step are a function of the seed and the
step alone, so a resumed run sees what an uninterrupted one would have seen.

Generated texts never overlap: whether one is trained on is read off a hash of its letters
and digits, so a training text and a held-out one differ in more than case or punctuation.
The harder splits use other words; the last one is longer than anything in training.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any, Protocol, TypeVar

from trainer_client.train.config import Config, ConfigError, DataConfig
from trainer_client.train.words import COMMON, UNSEEN

HELD_OUT_SHARE = 8
"""One text in this many belongs to the held-out split."""

LONGER_BY = 8
"""How many characters the `longer` split goes beyond the longest text in training."""

Prompt = str | list[dict[str, str]]
"""Plain text, or chat messages."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to ask, and what the scorer needs to judge the completion."""

    prompt: Prompt
    reference: Any

    def sample(self, completion: str) -> dict[str, Any]:
        """A completion of it, as the service takes it."""
        return {"prompt": self.prompt, "completion": completion, "reference": self.reference}


class Problems(Protocol):
    """Where a run's problems come from."""

    def batch(self, step: int, size: int) -> list[Problem]:
        """The problems that `step` trains on, counted from 0."""

    def splits(self) -> dict[str, list[Problem]]:
        """The problems it is measured on, never trained on. The first is `held_out`."""


def problems_of(config: Config) -> Problems:
    """What `config` says to train on.

    Raises:
        ConfigError: a file cannot be read, or a held-out prompt is also trained on.
    """
    return Listed.of(config) if config.data.train else Texts.of(config)


# --- generated texts --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Texts:
    """Words and short English sentences, to be written backwards."""

    data: DataConfig
    seed: int

    @classmethod
    def of(cls, config: Config) -> Texts:
        return cls(config.data, config.seed)

    def batch(self, step: int, size: int) -> list[Problem]:
        return [self.problem(text) for text in self.texts("train", step, size)]

    def texts(self, purpose: str, step: int, size: int, gibberish: float = 0.0) -> list[str]:
        """`size` training texts, a share of them gibberish. Each purpose has its own draws."""
        rng = random.Random(f"{self.seed}/{purpose}/{step}")
        texts = stream(rng, COMMON, (self.data.shortest, self.data.longest), gibberish)
        return take(size, (text for text in texts if trained(text)))

    def splits(self) -> dict[str, list[Problem]]:
        """The same for every seed, so that runs can be compared."""
        shortest, longest = self.data.shortest, self.data.longest
        held_out = stream(random.Random("held-out"), COMMON, (shortest, longest))
        upper_half = ((shortest + longest + 1) // 2, longest)
        beyond = (longest + 1, longest + LONGER_BY)
        splits = {
            "held_out": (text for text in held_out if not trained(text)),
            "harder": stream(random.Random("harder"), UNSEEN, upper_half),
            "longer": stream(random.Random("longer"), UNSEEN, beyond),
        }
        return {
            name: [self.problem(text) for text in take(self.data.held_out_size, distinct(texts))]
            for name, texts in splits.items()
        }

    def problem(self, text: str) -> Problem:
        return Problem(self.prompt(text), text)

    def prompt(self, text: str) -> str:
        return self.data.template.format(text=text)


def trained(text: str) -> bool:
    """Whether `text` may be trained on; otherwise it belongs to the held-out split."""
    letters = "".join(filter(str.isalnum, text.casefold()))
    return zlib.crc32(letters.encode()) % HELD_OUT_SHARE != 0


def stream(
    rng: random.Random, words: Sequence[str], lengths: tuple[int, int], gibberish: float = 0.0
) -> Iterator[str]:
    """Texts without end, each between `lengths` characters long."""
    while True:
        length = rng.randint(*lengths)
        text = nonsense(rng, length) if rng.random() < gibberish else sentence(rng, words, length)
        if lengths[0] <= len(text) <= lengths[1]:
            yield text


def sentence(rng: random.Random, words: Sequence[str], length: int) -> str:
    """Words, sometimes a number, until there are about `length` characters."""
    parts = [styled(rng, rng.choice(words))]
    while sum(map(len, parts)) + len(parts) - 1 < length:
        if rng.random() < 0.1:
            parts[-1] += ","
        word = number(rng) if rng.random() < 0.15 else styled(rng, rng.choice(words))
        parts.append(word)
    text = " ".join(parts)
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return text + rng.choice(("", "", ".", "!", "?"))


def nonsense(rng: random.Random, length: int) -> str:
    """Random letters and digits, with spaces between, of exactly `length` characters."""
    kinds = (ascii_lowercase, ascii_lowercase, ascii_lowercase, ascii_uppercase, digits)
    text = ""
    while len(text) < length:
        text += "".join(rng.choices(rng.choice(kinds), k=rng.randint(1, 9))) + " "
    return text[:length]


def number(rng: random.Random) -> str:
    """A number of up to four digits."""
    return str(rng.randrange(10 ** rng.randint(1, 4)))


def styled(rng: random.Random, word: str) -> str:
    """`word`, now and then as a name or shouted."""
    chance = rng.random()
    return word.upper() if chance < 0.1 else word.capitalize() if chance < 0.3 else word


def distinct(texts: Iterator[str]) -> Iterator[str]:
    seen = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


def take(count: int, texts: Iterator[str]) -> list[str]:
    return [next(texts) for _ in range(count)]


# --- problems from files ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """Problems from JSONL, every one once before any comes again."""

    train: list[Problem]
    held_out: list[Problem]
    seed: int

    @classmethod
    def of(cls, config: Config) -> Listed:
        train, held_out = (
            read_problems(Path(config.data.train)),
            read_problems(Path(config.data.held_out)),
        )
        shared = {repr(problem.prompt) for problem in train} & {repr(p.prompt) for p in held_out}
        if shared:
            raise ConfigError(
                f"{len(shared)} prompts of {config.data.held_out} are also in {config.data.train}: "
                f"{min(shared)} is one"
            )
        return cls(train, held_out, config.seed)

    def batch(self, step: int, size: int) -> list[Problem]:
        return shuffled(self.train, self.seed, step * size, size)

    def splits(self) -> dict[str, list[Problem]]:
        return {"held_out": self.held_out}


def shuffled(items: Sequence[T], seed: int, start: int, count: int) -> list[T]:
    """`count` items from place `start` on, of an endless sequence of shuffled epochs."""
    taken: list[T] = []
    while len(taken) < count:
        epoch, place = divmod(start + len(taken), len(items))
        order = list(items)
        random.Random(f"{seed}/epoch/{epoch}").shuffle(order)
        taken += order[place : place + count - len(taken)]
    return taken


def read_problems(file: Path) -> list[Problem]:
    return [Problem(row["prompt"], row.get("reference")) for row in read_jsonl(file, {"prompt"})]


def read_jsonl(file: Path, required: set[str]) -> list[dict[str, Any]]:
    """The objects in `file`, one a line.

    Raises:
        ConfigError: there is no such file, it is empty, or a line is not such an object.
    """
    try:
        # Not splitlines(): JSON strings may hold other characters that it splits at.
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file}:{number}: {error}") from None
        if not isinstance(row, dict) or not required <= row.keys():
            raise ConfigError(f"{file}:{number}: an object with {sorted(required)} is needed here")
        rows.append(row)
    if not rows:
        raise ConfigError(f"{file} is empty")
    return rows
