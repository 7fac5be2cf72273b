"""The four plots of a report, in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from judges.reward_model.report.report import Report


def plot(report: Report, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10), layout="constrained")
    panels = figure.subplots(2, 2)
    _calibration(panels[0, 0], report)
    _lengths(panels[0, 1], report)
    _curve(panels[1, 0], report)
    _attacks(panels[1, 1], report)
    figure.savefig(path, dpi=100)


def _calibration(axes: Any, report: Report) -> None:
    axes.set(title="Calibration", xlabel="stated probability", ylabel="share that was right")
    axes.plot([0.5, 1], [0.5, 1], color="grey", linestyle=":")
    if report.held_out.calibration is not None:
        stated, right, _ = zip(*report.held_out.calibration.bins, strict=True)
        axes.plot(stated, right, marker="o")


def _lengths(axes: Any, report: Report) -> None:
    axes.set(title="Reward and length", xlabel="characters", ylabel="reward", xscale="log")
    points = report.held_out.lengths.points
    axes.scatter([max(c, 1) for c, _ in points], [r for _, r in points], s=6, alpha=0.5)


def _curve(axes: Any, report: Report) -> None:
    axes.set(title="More data?", xlabel="training pairs", ylabel="held-out accuracy")
    length_only = report.held_out.length_only.value
    if length_only is not None:
        axes.axhline(length_only, color="grey", linestyle=":", label="length alone")
        axes.legend()
    if report.curve is not None:
        known = [(pairs, value) for _, pairs, value in report.curve.points if value is not None]
        axes.plot([pairs for pairs, _ in known], [value for _, value in known], marker="o")


def _attacks(axes: Any, report: Report) -> None:
    axes.set(
        title="Attacks that beat every real completion", xlabel="share of prompts", xlim=(0, 1)
    )
    found = sorted(report.attacks, key=lambda attack: attack.wins)
    places = range(len(found))
    axes.barh(places, [attack.wins for attack in found], label="no guards")
    if found and found[0].wins_guarded is not None:
        axes.barh(places, [attack.wins_guarded or 0 for attack in found], 0.4, label="guards")
        axes.legend()
    axes.set_yticks(list(places), [attack.name for attack in found], fontsize=7)
