"""curves.png and report.md: what came of a run, from the files that it wrote."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from trainer_client.train.config import Config, validated
from trainer_client.train.run_folder import Row, RunFolder, read_rows

matplotlib.use("Agg")  # a run has no window to draw in

from matplotlib import pyplot
from matplotlib.axes import Axes

HELD_OUT = "held_out"

EXAMPLES = 6
"""Completions shown before and after."""

NOTICEABLE = 0.05
"""A change of exact match that is more than chance: 256 texts have a standard error of 3 %."""

PANELS: tuple[tuple[str, str], ...] = (
    ("reward", "mean reward of rollouts"),
    ("exact", "exact match"),
    ("length", "completion length, tokens"),
    ("entropy", "entropy of sampled tokens, nats"),
    ("kl", "KL to the policy at the start, nats a token (k3)"),
    ("groups_without_spread", "share of groups without spread"),
)
"""Columns of metrics.jsonl, and what they are."""


def write_report(folder: RunFolder) -> None:
    """Draws the curves and writes the report of a finished run."""
    config = validated(tomllib.loads(folder.config.read_text(encoding="utf-8")))
    steps, evaluations = read_rows(folder.metrics), read_rows(folder.evaluations)
    draw_curves(steps, evaluations, folder.curves)
    lines = report_lines(folder, config, steps, evaluations)
    folder.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- curves -----------------------------------------------------------------------------


def draw_curves(steps: Sequence[Row], evaluations: Sequence[Row], file: Path) -> None:
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7), sharex=True)
    for axis, (column, title) in zip(axes.flat, PANELS, strict=True):
        draw(axis, steps, column, "rollouts")
        axis.set(title=title)
        axis.grid(alpha=0.3)
    reward = axes.flat[0]
    draw(reward, steps, "gold", "gold")
    if len(reward.lines) > 1:
        reward.legend()
    held_out = [row for row in evaluations if row["split"] == HELD_OUT]
    held_out.sort(key=lambda row: int(row["step"]))  # the last may be of an earlier policy
    exact = axes.flat[1]
    for measure in ("greedy", "sampled"):
        draw(exact, held_out, measure, f"held-out, {measure}", marker="o")
    if exact.lines:
        exact.legend()
    for axis in axes[-1]:
        axis.set(xlabel="step")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def draw(axis: Axes, rows: Sequence[Row], column: str, label: str, **style: Any) -> None:
    """Draws the rows that have a value; some columns are not measured at every step."""
    points = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
    if points:
        axis.plot(*zip(*points, strict=True), label=label, **style)


def draw_comparison(runs: Mapping[str, Sequence[Row]], file: Path) -> None:
    """Held-out exact match of several runs, by their names."""
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axis, measure in zip(axes, ("greedy", "sampled"), strict=True):
        for name, evaluations in runs.items():
            held_out = [row for row in evaluations if row["split"] == HELD_OUT]
            draw(axis, held_out, measure, name)
        axis.set(title=f"held-out exact match, {measure}", xlabel="step", ylim=(0, 1))
        axis.grid(alpha=0.3)
    if axes[0].lines:
        axes[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


# --- tables -----------------------------------------------------------------------------


def by_split(evaluations: Iterable[Row]) -> dict[str, list[Row]]:
    """The measurements of each split, in the order of their steps."""
    splits: dict[str, list[Row]] = {}
    for row in evaluations:
        splits.setdefault(row["split"], []).append(row)
    return splits


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def before_and_after(evaluations: Sequence[Row]) -> list[str]:
    """A Markdown table: exact match of each split at the first and the last measurement."""
    lines = [
        "| split | texts | greedy before | greedy after | sampled before | sampled after |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for split, rows in by_split(evaluations).items():
        first, last = rows[0], rows[-1]
        figures = [row[measure] for measure in ("greedy", "sampled") for row in (first, last)]
        cells = [split, str(last["problems"]), *map(percent, figures)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def seconds_by_phase(steps: Sequence[Row]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in steps:
        total.update(row["seconds"])
    return total


# --- the report -------------------------------------------------------------------------


def report_lines(
    folder: RunFolder, config: Config, steps: Sequence[Row], evaluations: Sequence[Row]
) -> Iterator[str]:
    yield f"# {folder.name}"
    yield ""
    yield f"Seed {config.seed}, {len(steps)} steps of GRPO. Exact match, as the service scores it:"
    yield ""
    yield from before_and_after(evaluations)
    yield ""
    yield "Greedy takes the likeliest token each time; sampled is at temperature 1,"
    yield f"{config.evaluation.samples} completions a text. No such text was trained on."
    yield "Those of `harder` are longer and of words that training never saw; those of `longer` are"
    yield "longer than any in training."
    yield ""
    yield "![curves](curves.png)"
    yield ""
    if config.cold_start and not config.data.demonstrations:
        yield from about_the_start(config, evaluations)
    yield from what_gold_saw(config, steps)
    yield from examples(evaluations)
    yield from where_the_time_went(folder, steps)
    yield from what_was_unscored(steps)
    yield "Everything about the run is in `config.toml`; `metrics.jsonl`, `evaluations.jsonl`,"
    yield "`samples.jsonl` and the TensorBoard events hold the numbers, `policy/` the result."


def about_the_start(config: Config, evaluations: Sequence[Row]) -> Iterator[str]:
    """What the demonstrations looked like, and what the run therefore shows and does not."""
    sft = config.sft
    yield "## What this shows"
    yield ""
    yield f"The policy was built from scratch and first imitated {sft.steps} batches of"
    yield f"demonstrations, {sft.gibberish:.0%} of random characters and the others of words."
    if careless(config):
        yield "Its demonstrators are careless on purpose: the last character is missing from"
        yield f"{sft.careless:.0%} of their reversals ({sft.careless_long:.0%} from {sft.long_from}"
        yield f"characters on), another {sft.typos:.0%} have one random typo, and only the rest are"
        yield "right."
    else:
        yield "All of them were right."
    yield ""
    held_out = by_split(evaluations).get(HELD_OUT, [])
    measured = [row["greedy"] for row in held_out if row["greedy"] is not None]
    if measured:
        yield from what_was_learned(config, measured[0], measured[-1])
        yield ""


def careless(config: Config) -> bool:
    return max(config.sft.careless, config.sft.careless_long, config.sft.typos) > 0


def what_was_learned(config: Config, before: float, after: float) -> Iterator[str]:
    """Only what the greedy accuracy on held-out texts, before and after, bears out."""
    right = 1 - config.sft.careless - config.sft.typos  # of long texts, fewer are
    if after < before + NOTICEABLE:
        yield f"Reinforcement learning did not improve on the start: {percent(before)} of the"
        yield f"held-out texts were right before it and {percent(after)} after."
        if after < NOTICEABLE:
            yield "Where hardly any answer is right, there is hardly anything to reinforce."
        return
    yield "Reinforcement learning, told only whether each answer is right, took the policy from"
    yield f"{percent(before)} to {percent(after)} of the held-out texts."
    if careless(config) and after > right:
        yield "It began with the mechanism of reversal and its demonstrators' habits on top, and"
        yield "lost the habits."
        yield ""
        yield "The claim is that a policy beats its demonstrators with only a verifier. It is not"
        yield "that this is the best way to learn reversal: supervised training on clean"
        yield "demonstrations alone gets far, too. And where the mechanism is missing,"
        yield "reinforcement learning hardly builds it: `examples/` has that experiment."
    elif careless(config):
        yield f"That is no better than its demonstrators, up to {percent(right)} of whose reversals"
        yield "are right."
    else:
        yield "That is no claim against supervised training: more of it on the same demonstrations"
        yield "gets far, too."


def what_gold_saw(config: Config, steps: Sequence[Row]) -> Iterator[str]:
    """What became of what the reward stands for, by the sample that gold scored."""
    if not config.monitor.gold:
        return
    yield "## Over-optimisation"
    yield ""
    looks = [row for row in steps if "monitor" in row]
    if looks:
        yield from what_became_of_gold(config, looks)
    else:
        yield f"Gold, {code(config.monitor.gold)}, scored too little to tell."
    missed = sum(row.get("gold_unscored", 0) for row in steps)
    if missed:
        yield f"{missed:,} of the completions could not be scored by gold, and were left out."
    yield ""


def what_became_of_gold(config: Config, looks: Sequence[Row]) -> Iterator[str]:
    last = looks[-1]["monitor"]
    # A row may be missing where gold could not score: the nearest one that is there, then.
    best = min(looks, key=lambda row: abs(row["step"] - last["best_step"]))
    yield f"Gold, {code(config.monitor.gold)}, scored up to {config.monitor.rollouts} completions"
    yield f"of {len(looks)} steps. Nothing was learned from it. It was best at step {best['step']}:"
    yield f"{in_figures(best)}; in the end: {in_figures(looks[-1])}."
    if last["alarm"]:
        yield ""
        yield f"**Alarm**: {last['reason']}. The KL to the policy at the start was then"
        yield f"{last['turnover_kl']:.3g} nats a completion."
        if config.monitor.stop:
            yield "The run ended there, and `policy/` is the checkpoint from about that step."
    else:
        yield f"No alarm: {last['reason']}."


def in_figures(row: Row) -> str:
    return f"gold {row['gold']:.4g}, reward {row['reward']:.4g}, length {row['length']:.4g}"


def examples(evaluations: Sequence[Row]) -> Iterator[str]:
    rows = by_split(evaluations).get(HELD_OUT, [])
    if not rows:
        return
    yield "## Before and after"
    yield ""
    yield "| prompt | before | after |"
    yield "| --- | --- | --- |"
    shown = zip(rows[0]["examples"], rows[-1]["examples"], strict=True)
    for before, after in list(shown)[:EXAMPLES]:
        yield f"| {code(before['prompt'])} | {verdict(before)} | {verdict(after)} |"
    yield ""


def code(text: Any) -> str:
    """A cell of a table that shows `text` as it is."""
    shown = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    return "`" + shown.replace("`", "ˋ").replace("|", "¦").replace("\n", "⏎") + "`"


def verdict(example: Row) -> str:
    mark = {"correct": " ✓", "judged": ""}.get(example["outcome"], " ✗")
    return code(example["completion"]) + mark


def where_the_time_went(folder: RunFolder, steps: Sequence[Row]) -> Iterator[str]:
    phases = seconds_by_phase(steps)
    total = phases.total() or 1.0
    yield "## Where the time went"
    yield ""
    if folder.cold_start.exists():
        start = json.loads(folder.cold_start.read_text())
        yield f"The cold start took {start['seconds']:.1f} s, the GRPO steps {total:.1f} s:"
    else:
        yield f"The GRPO steps took {total:.1f} s:"
    yield ""
    for phase, seconds in phases.most_common():
        yield f"- {phase}: {seconds:.1f} s, {seconds / total:.1%}"
    tokens = sum(row["tokens"] for row in steps)
    yield f"- {tokens:,} tokens were sampled, {tokens / total:,.0f} a second all in all"
    yield ""


def what_was_unscored(steps: Sequence[Row]) -> Iterator[str]:
    codes: Counter[str] = Counter()
    for row in steps:
        codes.update(row["unscored_by_code"])
    if codes:
        completions = sum(row["completions"] for row in steps)
        listed = ", ".join(f"{count} {error}" for error, count in codes.most_common())
        yield f"Of {completions:,} completions, {codes.total():,} could not be scored ({listed})."
        yield "They were left out: nothing was learned from them."
        yield ""
