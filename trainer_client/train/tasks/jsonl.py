"""Problems and demonstrations read from JSONL, every one once before any comes again."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from trainer_client.train.config import Config, ConfigError
from trainer_client.train.tasks.problem import Demonstration, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """Problems of two files, one to train on and one to measure on."""

    train: list[Problem]
    held_out: list[Problem]
    seed: int

    @classmethod
    def of(cls, config: Config) -> Listed:
        files = config.data.train, config.data.held_out
        train, held_out = (read_problems(Path(file)) for file in files)
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


def demonstrations(config: Config, size: int) -> Iterator[list[Demonstration]]:
    """Those of `data.demonstrations` without end, `size` at a time."""
    rows = read_jsonl(Path(config.data.demonstrations), {"prompt", "completion"})
    listed = [(row["prompt"], row["completion"]) for row in rows]
    for number in itertools.count():
        yield shuffled(listed, config.seed, number * size, size)


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
