"""The report of a training: what the model learned, and what it may have learned instead."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import Tensor

from judges.reward_model.guards.guards import Guarding
from judges.reward_model.preferences import Pair
from judges.reward_model.report import metrics
from judges.reward_model.report.attacks import AttackResult
from judges.reward_model.report.metrics import Accuracy, Calibration

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "assay-server")

MAX_POINTS = 1_000
"""Of the plot of rewards against lengths."""


@dataclass(frozen=True)
class Lengths:
    """How much of the reward is length."""

    longer_won: float | None
    """The share of held-out pairs that the longer completion won, equal lengths left out."""
    pearson: float | None
    spearman: float | None
    points: list[tuple[int, float]]
    """(characters, reward) of some held-out completions."""


@dataclass(frozen=True)
class HeldOut:
    """Measured on prompts that were neither trained on nor used to stop."""

    accuracy: Accuracy
    length_only: Accuracy
    """Of a model that saw nothing but length, its direction learned from the training pairs."""
    length_only_prefers_longer: bool
    balanced: Accuracy
    shorter_won: Accuracy
    equally_long: Accuracy
    members: list[float | None]
    """The accuracy of each head alone."""
    spread: float
    """The mean deviation of the heads' rewards of one completion."""
    lengths: Lengths
    calibration: Calibration | None


@dataclass(frozen=True)
class Guarded:
    """What guards do to the held-out pairs themselves."""

    accuracy: Accuracy
    false_alarms: float
    """The share of completions that are flagged."""
    penalised: float
    """The share that loses more than a deviation."""


@dataclass(frozen=True)
class Curve:
    """Held-out accuracy by the share of the training prompts."""

    how: str
    points: list[tuple[float, int, float | None]] = field(default_factory=list)
    """(share, pairs, accuracy)"""


@dataclass(frozen=True)
class Course:
    """How the training went."""

    updates: int
    most_updates: int
    best_update: int
    seconds: float
    looks: list[tuple[int, float, float | None]]
    """(update, training loss, validation loss)"""


@dataclass(frozen=True)
class Report:
    model: str
    """The digest of the model's folder."""
    options: dict[str, Any]
    files: list[dict[str, Any]]
    pairs: dict[str, int]
    prompts: dict[str, int]
    left_out: dict[str, int]
    course: Course | None
    held_out: HeldOut
    curve: Curve | None
    attacks: list[AttackResult]
    guarded: Guarded | None
    versions: dict[str, str]


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def measure(
    pairs: Sequence[Pair], rewards: Tensor, *, prefers_longer: bool, seed: int = 0
) -> HeldOut:
    """
    Args:
        rewards: of the pairs' texts, chosen and rejected in turn: (2 * pairs, heads).
        prefers_longer: what length alone says; see `metrics.longer_wins`.
    """
    mean = rewards.mean(1)
    differences = (mean[0::2] - mean[1::2]).tolist()
    by_head = (rewards[0::2] - rewards[1::2]).T.tolist()
    return HeldOut(
        accuracy=metrics.accuracy(pairs, differences, seed),
        length_only=metrics.accuracy(pairs, metrics.by_length(pairs, longer=prefers_longer), seed),
        length_only_prefers_longer=prefers_longer,
        balanced=metrics.on(metrics.balanced_part(pairs, seed), pairs, differences, seed),
        shorter_won=metrics.on(metrics.shorter_won(pairs), pairs, differences, seed),
        equally_long=metrics.on(metrics.equally_long(pairs), pairs, differences, seed),
        members=[metrics.accuracy(pairs, one, seed).value for one in by_head],
        spread=float(rewards.std(1, correction=0).mean()),
        lengths=_lengths(pairs, mean),
        calibration=metrics.calibration(differences),
    )


def measure_guarded(
    pairs: Sequence[Pair], rewards: Tensor, guarding: Guarding | None, *, seed: int = 0
) -> Guarded | None:
    """
    Args:
        rewards: as for `measure`.
    """
    if guarding is None:
        return None
    texts = [text for pair in pairs for text in pair.texts]
    suspected = guarding.suspicions(texts)
    raw = rewards.mean(1).tolist()
    left = [guarding.left_of(*each) for each in zip(raw, suspected, strict=True)]
    differences = [a - b for a, b in zip(left[0::2], left[1::2], strict=True)]
    return Guarded(
        accuracy=metrics.accuracy(pairs, differences, seed),
        false_alarms=sum(bool(each.flags) for each in suspected) / len(texts),
        penalised=sum(each.penalty > 1 for each in suspected) / len(texts),
    )


def _lengths(pairs: Sequence[Pair], rewards: Tensor) -> Lengths:
    characters = [len(text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    logs = [math.log(1 + count) for count in characters]
    values = rewards.tolist()
    unequal = [pair.log_length_ratio > 0 for pair in pairs if pair.log_length_ratio]
    return Lengths(
        longer_won=sum(unequal) / len(unequal) if unequal else None,
        pearson=metrics.correlation(logs, values),
        spearman=metrics.rank_correlation(logs, values),
        points=list(zip(characters, values, strict=True))[:MAX_POINTS],
    )
