"""A report as text."""

from __future__ import annotations

from judges.reward_model.report.metrics import Accuracy, Calibration
from judges.reward_model.report.report import Course, Curve, Guarded, HeldOut, Report


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
    rows = [
        f"| {a.name} | {percent(a.wins)} | {percent(a.wins_guarded)} |"
        for a in sorted(report.attacks, key=lambda a: -a.wins)
    ]
    return [
        "## Attacks",
        "",
        f"The share of {report.attacks[0].prompts} held-out prompts where a degenerate text earns "
        "more than every real completion of that prompt.",
        "",
        *_guard_lines(report.guarded),
        "| text | wins | with guards |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]


def _guard_lines(guarded: Guarded | None) -> list[str]:
    if guarded is None:
        return ["The model has no guards: nothing stops these.", ""]
    found = guarded.accuracy
    return [
        f"Of the held-out completions themselves, guards flag {percent(guarded.false_alarms)} and "
        f"take more than a deviation from {percent(guarded.penalised)}. With guards, "
        f"{percent(found.value)} of the pairs are right ({interval(found)}).",
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
