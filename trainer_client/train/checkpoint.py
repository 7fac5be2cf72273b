"""Checkpoints that are whole or absent, and from which a run goes on as if never stopped.

A checkpoint is a folder that `AutoModelForCausalLM` loads, plus the optimizer's state. It
needs no random states and no data cursor: every draw of a run is a function of the seed,
its purpose and the step. Rounding depends on the number of threads, so that is kept, too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer_client.train.policy import Policy

STATE = "trainer.pt"


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stood, besides its policy."""

    step: int
    optimizer: dict[str, Any]
    threads: int


def save(
    folder: Path,
    step: int,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    keep: int,
    best: int | None = None,
) -> None:
    """Writes the checkpoint of `step`, then removes all but the latest `keep` and that of
    about step `best`."""
    target = folder / f"step-{step:06d}"
    if target.exists():
        return  # the same step of the same run: nothing has changed since
    state = {"step": step, "optimizer": optimizer.state_dict(), "threads": torch.get_num_threads()}
    with whole_or_absent(target) as partial:
        policy.save(partial)
        torch.save(state, partial / STATE)
    for old in all_of(folder)[:-keep]:
        if best is None or old != nearest(folder, best):
            shutil.rmtree(old)


@contextmanager
def whole_or_absent(target: Path) -> Iterator[Path]:
    """A folder to write into. It becomes `target` once all of it is on the disk."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    for path in [*partial.iterdir(), partial]:
        flush_to_disk(path)
    partial.rename(target)
    flush_to_disk(target.parent)


def flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def all_of(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    return sorted(folder.glob("step-*"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def nearest(folder: Path, step: int) -> Path:
    """The checkpoint whose step is nearest, the earlier of two."""
    return min(all_of(folder), key=lambda path: abs(step_of(path) - step))


def load_state(checkpoint: Path) -> State:
    return State(**torch.load(checkpoint / STATE, weights_only=True))
