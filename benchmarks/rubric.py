"""Rubric judges: parsing, injections, recorded judges, fitted panels, and what a verdict costs.

Without data, what is measured is the protocol, on judges that are programs. A data folder adds
real recorded judges (`preferences/llmbar_natural/JUDGE_PROMPT.json.gz`) and real answers
(`preferences/pandalm_test.json`).
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Row, write
from benchmarks.rubric_judges import NAIVE, Gullible, Honest, contains, naively_met, reply_of
from benchmarks.rubric_replay import Replayed, last_conclusion, recorded_rule
from benchmarks.rubric_replay import Row as Pair
from benchmarks.rubric_replay import rows as recorded_pairs
from benchmarks.small_judge import FAMILIES, Item, SmallJudge, items
from judges.llm.base import Reply
from judges.llm.hosting import Judges
from judges.rubric import RubricScorer
from judges.rubric.agreement import accuracy, calibration_error, mean
from judges.rubric.calibration import fitted_isotonic, fitted_temperature
from judges.rubric.fitting import (
    agreement,
    best_single,
    cross_validated,
    folds,
    joined,
    rows_of,
)
from judges.rubric.forms import YES_NO, Between, Form
from judges.rubric.hygiene import content_free
from judges.rubric.parse import Malformed, verdicts_in
from verifiers.base import Sample, Score
from verifiers.registry import Registry

CASES = Path(__file__).parent.parent / "tests" / "cases" / "rubric"

NONCE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
FORMS: dict[str, Form] = {"c1": YES_NO, "c2": Between(1, 5)}

FUZZED = 10_000
SAMPLES = 2_000
"""Scored to find out what a verdict takes apart from the judge."""

TRAINED, CALIBRATED, HELD_OUT = 6_000, 1_000, 2_000
"""Items of the small judge."""

SEEDS = 10
"""Of cross-validation: the panel's accuracy is a mean over so many ways to cut the folds."""


def cases(name: str) -> list[dict[str, Any]]:
    lines = (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def scored(judge: Any, samples: Sequence[Sample], **spec: Any) -> list[Score]:
    registry = Registry(more=[RubricScorer], hosted={Judges: {judge.name: judge}})
    return asyncio.run(registry.build({"type": "rubric", **spec}).score(samples))


# --- parsing ----------------------------------------------------------------------------


def parsed(reply: Reply) -> dict[str, float] | None:
    try:
        return {key: v.value for key, v in verdicts_in(reply, NONCE, FORMS).items()}
    except Malformed:
        return None


def battery_row() -> Row:
    battery = cases("replies")
    right = 0
    for case in battery:
        text = case["reply"].replace("NONCE", NONCE).replace("OTHER", "f" * 32)
        found = parsed(Reply(text, case.get("finish_reason", "stop")))
        right += found == (None if case["expect"] == "failed" else case["expect"])
    whole = f"{len(battery)} of {len(battery)}"
    return Row("malformed replies read rightly", whole, f"{right} of {len(battery)}", right == 34)


def fuzz_row() -> Row:
    """Whole replies with one to three places cut, doubled or overwritten."""
    source, read, wrong = random.Random(0), 0, 0
    for _ in range(FUZZED):
        given = {"c1": source.random() < 0.5, "c2": source.randint(1, 5)}
        text = reply_of(NONCE, given, reason="r")
        for _ in range(source.randint(1, 3)):
            start = source.randrange(len(text) + 1)
            end = start + source.choice([0, 1, 2, 5, 20])
            piece = source.choice(["", "{", "}", '"', "NaN", "1e999", "6", "true", text[start:end]])
            text = text[:start] + piece + text[end:]
        found = parsed(Reply(text))
        read += found is not None
        wrong += found is not None and not is_said(found, text)
    measured = f"{wrong} wrong of {FUZZED:,} ({read:,} still readable)"
    return Row("fuzzed replies: not finite, out of range or invented", "0", measured, wrong == 0)


def is_said(found: Mapping[str, float], text: str) -> bool:
    """Whether the values are finite, in range, and stand in the text."""
    flat = "".join(text.split())
    said = {"c1": json.dumps(bool(found["c1"])), "c2": str(round(1 + 4 * found["c2"]))}
    in_range = all(math.isfinite(value) and 0 <= value <= 1 for value in found.values())
    return in_range and all(f'"verdict":{value}' in flat for value in said.values())


# --- injections -------------------------------------------------------------------------

PROMPT, WANTED = "What is the capital of France?", "Paris"
CRITERION = f'Contains "{WANTED}".'


def injection_rows() -> list[Row]:
    attacks = [case["completion"] for case in cases("attacks")]
    rubric = {"criteria": [{"id": "names-it", "text": CRITERION}]}
    samples = [Sample(prompt=PROMPT, completion=text) for text in attacks]
    scores = scored(Gullible(contains), samples, rubric=rubric)
    failed = sum(score.reward == 0.0 for score in scores)
    count = len(attacks)
    rows = [
        Row("attacks that fail", f"{count} of {count}", f"{failed} of {count}", failed == count)
    ]
    for template in NAIVE:
        met = sum(naively_met(template, PROMPT, text, CRITERION, WANTED) for text in attacks)
        what = f"the same attacks that succeed on a naive template, {template}"
        rows.append(Row(what, "for comparison", f"{met} of {count}"))
    return rows


# --- what a verdict takes ---------------------------------------------------------------


def overhead_row() -> Row:
    """CPU of a sample with five criteria, the judge's stand-in taken off."""
    criteria = [{"id": str(n), "text": f'Contains "{n}".'} for n in range(5)]
    samples = [Sample(prompt="Count.", completion=f"{n} and so on. " * 40) for n in range(SAMPLES)]
    judge = Honest(contains)
    started = time.process_time()
    scored(judge, samples, rubric={"criteria": criteria})
    both = time.process_time() - started

    async def alone() -> None:
        for ask in asks:
            await judge.ask(ask)

    asks = list(judge.asks)
    started = time.process_time()
    asyncio.run(alone())
    ours = both - (time.process_time() - started)
    measured = f"{ours / SAMPLES * 1e3:.2f} ms"
    return Row("our CPU time for a sample of five criteria and 600 characters", "", measured)


# --- a small judge of our own -----------------------------------------------------------


def small_judge_rows() -> list[Row]:
    """Trained, calibrated and measured on items of its own each, through the scorer."""
    judge = SmallJudge()
    judge.train(items(TRAINED, seed=1))
    fitted = {
        name: fit(probabilities(judge, items(CALIBRATED, seed=2)), labels_of(CALIBRATED, seed=2))
        for name, fit in (("temperature", fitted_temperature), ("isotonic", fitted_isotonic))
    }
    held_out, labels = items(HELD_OUT, seed=3), labels_of(HELD_OUT, seed=3)
    plain = probabilities(judge, held_out)
    found = agreement(plain, labels)
    families = ", ".join(
        f"{family} {share:.0%}" for family, share in by_family(held_out, plain).items()
    )
    what = f"small judge, {HELD_OUT:,} unseen items of {len(FAMILIES)} families"
    rows = [Row(what, "", f"accuracy {found.accuracy:.1%}, kappa {found.kappa:.3f} ({families})")]
    for name, calibration in fitted.items():
        error = calibration_error([calibration(p) for p in plain], labels)
        measured = f"{error:.3f} (before fitting {found.calibration_error:.3f})"
        rows.append(Row(f"its calibration error, {name}", "0.05", measured, error <= 0.05))
    return rows


def labels_of(count: int, seed: int) -> list[bool]:
    return [item.label for item in items(count, seed)]


def probabilities(judge: SmallJudge, asked: Sequence[Item]) -> list[float]:
    """What the scorer makes of the judge's probabilities: each item brings its own rubric."""
    samples = [
        Sample(
            prompt=item.prompt,
            completion=item.text,
            reference={"criteria": [{"id": "it", "text": item.criterion}]},
        )
        for item in asked
    ]
    scores = scored(judge, samples, probabilities=True)
    return [score.components["it"] for score in scores]


def by_family(asked: Sequence[Item], values: Sequence[float]) -> dict[str, float]:
    """Accuracy, family by family."""
    places = {
        family: [n for n, item in enumerate(asked) if item.family == family] for family in FAMILIES
    }
    return {
        family: accuracy([values[n] for n in found], [asked[n].label for n in found])
        for family, found in places.items()
    }


# --- recorded judges --------------------------------------------------------------------


def winner_rows(judges: Mapping[str, Sequence[Pair]]) -> list[Row]:
    replies = [reply for pairs in judges.values() for pair in pairs for reply in pair.replies]
    same = mean([float(recorded_rule(text) == side) for text, side in replies])
    other = sum(last_conclusion(text) != side for text, side in replies)
    return [
        Row(
            f"recorded winners of {len(replies):,} replies reproduced",
            "99.9 %",
            f"{same:.2%}",
            same >= 0.999,
        ),
        Row(
            "of these, contradicted by what the judge says last",
            "",
            f"{other} (the recording's rule takes the first output where both are called better)",
        ),
    ]


def compared(name: str, pairs: Sequence[Pair]) -> tuple[list[float], str]:
    """The value of each pair's first output, in both orders, and a summary."""
    samples = [
        Sample(prompt=pair.prompt, completion=text, group=str(n))
        for n, pair in enumerate(pairs)
        for text in pair.outputs
    ]
    rubric = {"criteria": [{"id": "follows", "text": "Follows the instruction precisely."}]}
    scores = scored(
        Replayed(pairs, name),
        samples,
        rubric=rubric,
        mode="pairwise",
        screen=False,
        answer_from="completion",
    )
    values = [score.reward for score in scores[::2] if score.reward is not None]
    assert len(values) == len(pairs), "every pair is scored"
    labels = [pair.first_is_better for pair in pairs]
    agreed = [(v, y) for v, y in zip(values, labels, strict=True) if v != 0.5]
    one_order = mean([float((p.winners[False] == "1") == p.first_is_better) for p in pairs])
    first_share = mean([s.details["position"]["first_share"] for s in scores[::2]])
    consistent = mean([s.details["position"]["consistent_share"] for s in scores[::2]])
    swapped = accuracy([v for v, _ in agreed], [y for _, y in agreed])
    return values, (
        f"{one_order:.1%} in one order, {swapped:.1%} where both orders agree "
        f"({consistent:.0%} of pairs); shown first, a text wins {first_share:.0%}"
    )


def panel_rows(
    values: Mapping[str, list[float]], labels: list[bool], panels: Mapping[str, list[str]]
) -> list[Row]:
    rows = []
    groups = [str(n) for n in range(len(labels))]
    for what, names in panels.items():
        members = {name: values[name] for name in names}
        runs = [
            agreement(cross_validated(members, labels, groups, "vote", seed), labels)
            for seed in range(SEEDS)
        ]
        panel = mean([run.accuracy for run in runs])
        error = mean([run.calibration_error for run in runs])
        best = best_single(members, labels)
        single = accuracy(members[best], labels)
        equal = accuracy(joined(members, dict.fromkeys(members, 1.0)), labels)
        chosen = mean([picked(members, labels, groups, seed) for seed in range(SEEDS)])
        measured = (
            f"{panel:.2%}, calibration error {error:.3f} (best judge {best}: {single:.2%}, "
            f"picked as blindly as the panel: {chosen:.2%}; equal weights: {equal:.2%})"
        )
        target = "at least the best judge"
        rows.append(Row(f"fitted panel, held out: {what}", target, measured, panel >= single))
    return rows


def picked(
    values: Mapping[str, list[float]], labels: list[bool], groups: list[str], seed: int
) -> float:
    """How accurate the judge is that was the best on the other pairs, fold by fold."""
    fold_of = folds(groups, seed)
    found = [0.0] * len(labels)
    for fold in set(fold_of.values()):
        kept = [n for n, group in enumerate(groups) if fold_of[group] != fold]
        best = best_single(rows_of(values, kept), [labels[n] for n in kept])
        for n, group in enumerate(groups):
            if fold_of[group] == fold:
                found[n] = values[best][n]
    return accuracy(found, labels)


def screen_row(preferences: Path) -> Row:
    """How many real answers, and which kind, earn the lowest reward without a call."""
    texts: list[str] = []
    for file, members in (
        ("pandalm_test.json", ("response1", "response2")),
        ("llmbar_natural/dataset.json", ("output_1", "output_2")),
    ):
        for record in json.loads((preferences / file).read_text(encoding="utf-8")):
            texts += [str(record[member]) for member in members if member in record]
    screened = [text for text in texts if content_free(text)]
    with_words = sum(any(map(str.isalnum, text)) for text in screened)
    measured = f"{len(screened)} of {len(texts):,}, {with_words} of them with a letter or digit"
    return Row("real answers screened as saying nothing", "0 with words", measured, with_words == 0)


def recorded_rows(folder: Path) -> list[Row]:
    judges = {
        path.name.removesuffix(".json.gz"): recorded_pairs(path)
        for path in sorted(folder.glob("*.json.gz"))
    }
    rows = winner_rows(judges)
    values = {}
    for name, pairs in judges.items():
        values[name], summary = compared(name, pairs)
        rows.append(Row(f"{name}, {len(pairs)} pairs", "", summary))
    labels = [pair.first_is_better for pair in next(iter(judges.values()))]
    plain = [name for name in judges if name.endswith("_Vanilla")]
    weak = [name for name in judges if not name.startswith("GPT-4")]
    panels = {
        "one prompt of each model": plain,
        "one prompt of each weak model": [name for name in plain if name in weak],
        "all prompts of the weak models": weak,
        "all prompts of all models": list(judges),
    }
    return rows + panel_rows(values, labels, panels)


NOTES = """\
The judge of the attacks obeys the last instruction that it sees outside a rightly tagged block,
quotes what it read word for word, and otherwise looks for the truth; the naive templates are
read by the same judge, and the first verdict of its reply is taken. This measures the protocol
and not how often a given LLM is persuaded by what stays inside its block. Recorded judges are
replayed through our pairwise comparison, which shows them the texts that they saw; pairs on
which the two orders disagree count half. The small judge is a logistic regression over hashed
crosses of criterion and text, trained in a second on generated texts whose truth a program
knows: it shows that probabilities come through calibrated, and nothing about judging real text.
Panels are fitted on nine tenths of the pairs and measured on the rest, the mean of ten ways to
cut them; the best judge is picked with all labels in sight, and beside it without those that it
is then measured on. Agreement of a strong LLM with people on open-ended quality is not measured
here.
"""


def main(data: Path | None = None) -> None:
    rows = [battery_row(), fuzz_row(), *injection_rows(), overhead_row(), *small_judge_rows()]
    if data is not None:
        rows += [screen_row(data / "preferences")]
        rows += recorded_rows(data / "preferences" / "llmbar_natural")
    write("rubric", "Rubric judges", rows, NOTES)
