"""What a run leaves behind.

RUN/
  config.toml          the configuration in effect
  cold_start.json      how long the cold start took
  start/               the policy before reinforcement learning
  policy/              the policy after it
  checkpoints/         the latest of them; `grpo --resume` goes on from the last
  metrics.jsonl        one line a step
  evaluations.jsonl    one line a measurement on held-out problems
  samples.jsonl        completions of every step, with prompt and reward
  tensorboard/         the same numbers as events
  curves.png           the same numbers as curves
  report.md            what came of it
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

Row = dict[str, Any]


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.start = path / "start"
        self.cold_start = path / "cold_start.json"
        self.policy = path / "policy"
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"
        self.evaluations = path / "evaluations.jsonl"
        self.samples = path / "samples.jsonl"
        self.curves = path / "curves.png"
        self.report = path / "report.md"
        self._events: SummaryWriter | None = None

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def rewind(self, step: int) -> None:
        """Forgets what was written after the checkpoint of `step`, whole or in part.

        The measurement of `step` itself is forgotten, too: it comes after the checkpoint
        and is made again.
        """
        keep_rows(self.metrics, lambda row: row["step"] <= step)
        keep_rows(self.samples, lambda row: row["step"] <= step)
        keep_rows(self.evaluations, lambda row: row["step"] < step)
        self._events = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)

    def log_step(self, row: Row, samples: Iterable[Row]) -> None:
        append(self.metrics, [row])
        append(self.samples, samples)
        self.log_events(row, row["step"])

    def log_evaluation(self, row: Row) -> None:
        append(self.evaluations, [row])
        measured = {key: row[key] for key in ("greedy", "sampled", "reward")}
        self.log_events({row["split"]: measured}, row["step"])

    def log_events(self, values: Mapping[str, Any], step: int) -> None:
        if self._events is None:
            self._events = SummaryWriter(str(self.path / "tensorboard"))
        for tag, number in flat(values):
            self._events.add_scalar(tag, number, step)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested `values`, with its path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            yield prefix + key, value


def append(file: Path, rows: Iterable[Row]) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_rows(file: Path) -> list[Row]:
    """The rows in `file`, less a last one that was not written to its end."""
    if not file.exists():
        return []
    *lines, _unfinished = file.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]


def keep_rows(file: Path, wanted: Any) -> None:
    """Drops the other rows, in one step that is done or not done."""
    rows = [row for row in read_rows(file) if wanted(row)]
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    append(partial, rows)
    os.replace(partial, file)
