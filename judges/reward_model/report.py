"""The report of a training: what the model learned, and what it may have learned instead."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from judges.reward_model import metrics
from judges.reward_model.attacks import AttackResult
from judges.reward_model.data import Pair
from judges.reward_model.metrics import Accuracy, Calibration
from judges.reward_model.model import REPORT_JSON

REPORT_MD, PLOTS = "report.md", "report.png"

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
    false_alarms: float | None
    versions: dict[str, str]


REPORT = TypeAdapter(Report)


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


def _lengths(pairs: Sequence[Pair], rewards: Tensor) -> Lengths:
    characters = [len(text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    logs = metrics.log_lengths(characters)
    values = rewards.tolist()
    unequal = [pair.log_length_ratio > 0 for pair in pairs if pair.log_length_ratio]
    return Lengths(
        longer_won=sum(unequal) / len(unequal) if unequal else None,
        pearson=metrics.correlation(logs, values),
        spearman=metrics.rank_correlation(logs, values),
        points=list(zip(characters, values, strict=True))[:MAX_POINTS],
    )


# --- files ------------------------------------------------------------------------------


def write(report: Report, folder: Path) -> None:
    """`report.json`, `report.md` and `report.png`."""
    from judges.reward_model.plots import plot

    (folder / REPORT_JSON).write_text(json.dumps(asdict(report), indent=1) + "\n")
    (folder / REPORT_MD).write_text(markdown(report))
    plot(report, folder / PLOTS)


class NoReport(ValueError):
    """The folder has no report."""


def read(folder: Path) -> Report:
    """
    Raises:
        NoReport: there is none, or it is damaged.
    """
    path = folder / REPORT_JSON
    try:
        return REPORT.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NoReport(
            f"{folder} has no {REPORT_JSON}; train with `assay reward-model train`, "
            "or pass --data to measure the model on preference pairs"
        ) from None
    except ValidationError as error:
        raise NoReport(f"{path} is damaged: {error.error_count()} faults") from None


# --- markdown ---------------------------------------------------------------------------


def markdown(report: Report) -> str:
    parts = [
        ["# Reward model " + report.model, ""],
        _verdict(report.held_out),
        _accuracies(report.held_out),
        _length_lines(report.held_out),
        _calibration_lines(report.held_out.calibration),
        _curve_lines(report.curve),
        _attack_lines(report),
        _data_lines(report),
        _course_lines(report.course),
        _recipe_lines(report),
        ["![Plots](report.png)"],
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def interval(measured: Accuracy) -> str:
    if measured.low is None or measured.high is None:
        return "–"
    return f"{measured.low:.1%} to {measured.high:.1%}"


def _verdict(held_out: HeldOut) -> list[str]:
    model, length = held_out.accuracy, held_out.length_only
    if model.value is None or length.value is None or model.low is None:
        return ["No held-out pairs: nothing can be said about this model.", ""]
    ahead = model.value - length.value
    by = f"{abs(ahead) * 100:.1f} points {'above' if ahead >= 0 else '**below**'}"
    which = "longer" if held_out.length_only_prefers_longer else "shorter"
    lines = [
        f"It is right about {model.value:.1%} of held-out pairs, {by} "
        f'"the {which} one wins" ({length.value:.1%}).'
    ]
    if model.low <= length.value:
        lines.append("**Length alone explains this: the interval reaches down to it.**")
    if model.low <= 0.5:
        lines.append("**It may be no better than a coin.**")
    fair = held_out.balanced
    if fair.low is not None and fair.low <= 0.5:
        lines.append("**Where length tells nothing, it may tell nothing either.**")
    return [" ".join(lines), ""]


def _accuracies(held_out: HeldOut) -> list[str]:
    rows = {
        "all": held_out.accuracy,
        "all, by length alone": held_out.length_only,
        "as many won by the longer as by the shorter": held_out.balanced,
        "won by the shorter": held_out.shorter_won,
        "lengths within a tenth": held_out.equally_long,
    }
    members = ", ".join(map(percent, held_out.members))
    return [
        "## Held-out pairs",
        "",
        "| pairs | count | right | 95 % interval |",
        "| --- | --- | --- | --- |",
        *(f"| {n} | {a.pairs} | {percent(a.value)} | {interval(a)} |" for n, a in rows.items()),
        "",
        "Intervals are bootstrapped over prompts. "
        f"Heads alone: {members}; their rewards of one completion deviate by "
        f"{held_out.spread:.3f} on average.",
        "",
    ]


def _length_lines(held_out: HeldOut) -> list[str]:
    lengths = held_out.lengths

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:+.2f}"

    return [
        "## Length",
        "",
        f"The longer completion won {percent(lengths.longer_won)} of the held-out pairs. "
        f"Correlation of reward and log length: {shown(lengths.pearson)} (ranks: "
        f"{shown(lengths.spearman)}).",
        "",
    ]


def _calibration_lines(found: Calibration | None) -> list[str]:
    if found is None:
        return []
    return [
        "## Calibration",
        "",
        f"Expected calibration error of σ(difference): {found.error:.3f}. Divided by "
        f"{found.temperature:.2f}, which suits these pairs best, {found.error_after:.3f}.",
        "",
    ]


def _curve_lines(curve: Curve | None) -> list[str]:
    if curve is None:
        return []
    rows = [f"| {share:.0%} | {pairs} | {percent(value)} |" for share, pairs, value in curve.points]
    head = ["| training prompts | pairs | held-out accuracy |", "| --- | --- | --- |"]
    return ["## More data?", "", curve.how, "", *head, *rows, ""]


def _attack_lines(report: Report) -> list[str]:
    if not report.attacks:
        return ["## Attacks", "", "Not run: they need at least two held-out prompts.", ""]
    guarded = report.attacks[0].wins_guarded is not None
    rows = [
        f"| {a.name} | {percent(a.wins)} | {percent(a.wins_guarded)} |"
        for a in sorted(report.attacks, key=lambda a: -a.wins)
    ]
    after = (
        f"Guards stop {percent(report.false_alarms)} of the held-out completions themselves."
        if guarded
        else "The model has no guards yet: nothing stops these."
    )
    return [
        "## Attacks",
        "",
        f"The share of {report.attacks[0].prompts} held-out prompts where a degenerate text earns "
        f"more than every real completion of that prompt. {after}",
        "",
        "| text | wins | with guards |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]


def _data_lines(report: Report) -> list[str]:
    files = [f"- {f['name']}: {f['pairs']} pairs, sha256 {f['sha256']}" for f in report.files]
    counts = [
        f"- {part}: {pairs} pairs of {report.prompts[part]} prompts"
        for part, pairs in report.pairs.items()
    ]
    left_out = [f"- {reason}: {count}" for reason, count in report.left_out.items()]
    return ["## Data", "", *files, *counts, *left_out, ""]


def _course_lines(course: Course | None) -> list[str]:
    if course is None:
        return []
    rows = [
        f"| {update} | {learned:.4f} | {'–' if seen is None else f'{seen:.4f}'} |"
        for update, learned, seen in course.looks
    ]
    return [
        "## Training",
        "",
        f"{course.updates} of at most {course.most_updates} updates in {course.seconds:.0f} s; "
        f"kept as it was after update {course.best_update}.",
        "",
        "| update | training loss | validation loss |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]


def _recipe_lines(report: Report) -> list[str]:
    rows = {**report.options, **report.versions}
    head = ["## Recipe", "", "| what | value |", "| --- | --- |"]
    return [*head, *(f"| {name} | {value} |" for name, value in rows.items()), ""]
