"""The math verifier beside Math-Verify: accuracy, throughput, latency, hostile input.

Both grade the same pairs in one run, in CPU time of one core. Math-Verify is configured as
trainers configure it: the reference in a box, LaTeX and plain expressions extracted from
the completion. Where a data set gives bare answers, they are boxed for Math-Verify, which
needs a LaTeX environment, and left bare for us.

The data folder holds `math/` with `hardverify_even.jsonl`, `harp_basic.jsonl` and
`gsm8k_responses_200.jsonl` ({"reference", "completion", "correct"} a line), and
`math_solutions_1000.jsonl` ({"solution"} a line), from which rewrites are generated.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.math_hostile import REFERENCE, completions
from benchmarks.math_inequalities import inequalities
from benchmarks.math_rewrites import Pair, answers, pairs
from benchmarks.processes import assay_service
from benchmarks.results import Row, write
from verifiers.base import Sample
from verifiers.boundary import attempt
from verifiers.math_equivalence import MathEquivalence
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.units import read_unit
from verifiers.math_equivalence.scorer import compiled, read

CASES = Path(__file__).parent.parent / "tests" / "cases" / "math.jsonl"
CHILD_LIMIT_S = 20
THREADS = 8
PAIRS_IN_THREADS = 2_000

INEQUALITIES = 1_000
"""They have some ten thousand wrong solutions."""

ENOUGH_S = 2.0
REQUEST = 1_024
HTTP_ROUNDS = 21
MAX_ROUNDS = 50
"""A set that is graded in milliseconds is graded again, from empty caches."""

Grade = Callable[[Sample], bool]
"""Whether a completion is accepted. The sample is what a service has at hand by then."""

SCORER = MathEquivalence(MathParameters())

ANY_FORM = MathEquivalence(MathParameters(form="any"))
"""For what is equal and unsolved on purpose."""


def ours(sample: Sample) -> bool:
    return attempt(SCORER, sample).reward == 1.0


def math_verify(sample: Sample) -> bool:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    reference, completion = sample.reference, sample.text
    gold = parse(f"\\boxed{{{reference}}}", extraction_config=[LatexExtractionConfig()])
    answer = parse(completion, extraction_config=[ExprExtractionConfig(), LatexExtractionConfig()])
    return bool(verify(gold, answer))


# --- accuracy and speed on labelled pairs -----------------------------------------------


@dataclass(frozen=True)
class Graded:
    """What one system made of one set of pairs."""

    pairs: int
    wrong: int
    false_positives: int
    total_s: float
    seconds: list[float]
    """Of each pair, measured in a second run."""

    @property
    def accuracy(self) -> float:
        return 1 - self.wrong / self.pairs

    @property
    def rate(self) -> float:
        return self.pairs / self.total_s

    def quantile_ms(self, share: float) -> float:
        return sorted(self.seconds)[int(self.pairs * share)] * 1e3

    def __str__(self) -> str:
        return f"{self.accuracy:.2%}, {self.false_positives} false positives, {self.rate:,.0f}/s"


def graded(grade: Grade, labelled: Sequence[Pair]) -> Graded:
    """Grades every pair, in CPU seconds: all at once (the median of rounds), then one by one."""
    samples = [as_sample(pair) for pair in labelled]
    totals: list[float] = []
    while not totals or (sum(totals) < ENOUGH_S and len(totals) < MAX_ROUNDS):
        forget()
        started = time.process_time()
        accepted = [without_exception(grade, sample) for sample in samples]
        totals.append(time.process_time() - started)
    total_s = statistics.median(totals)
    forget()
    seconds = []
    for sample in samples:
        started = time.process_time()
        without_exception(grade, sample)
        seconds.append(time.process_time() - started)
    verdicts = [(given, pair.correct) for given, pair in zip(accepted, labelled, strict=True)]
    wrong = sum(given != correct for given, correct in verdicts)
    false_positives = sum(given and not correct for given, correct in verdicts)
    return Graded(len(labelled), wrong, false_positives, total_s, seconds)


def as_sample(pair: Pair) -> Sample:
    return Sample(completion=pair.completion, reference=pair.reference)


def without_exception(grade: Grade, sample: Sample) -> bool:
    """An exception counts as a rejection."""
    try:
        return grade(sample)
    except Exception:
        return False


def forget() -> None:
    """Empties our caches, so that a second run is like the first."""
    compiled.cache_clear()
    read.cache_clear()
    read_unit.cache_clear()


def labelled_pairs(path: Path) -> list[Pair]:
    with path.open() as lines:
        rows = [json.loads(line) for line in lines]
    return [Pair(path.stem, row["reference"], row["completion"], row["correct"]) for row in rows]


def boxed(labelled: Sequence[Pair]) -> list[Pair]:
    """Bare answers as Math-Verify reads them."""
    return [
        replace(
            pair,
            reference=pair.reference.replace("$", ""),
            completion=f"\\boxed{{{pair.completion}}}",
        )
        for pair in labelled
    ]


def accuracy_rows(data: Path) -> tuple[list[Row], list[Pair]]:
    hard, harp = (
        labelled_pairs(data / f"{name}.jsonl") for name in ("hardverify_even", "harp_basic")
    )
    gsm8k = labelled_pairs(data / "gsm8k_responses_200.jsonl")
    generated = list(pairs(answers(data / "math_solutions_1000.jsonl"), seed=0))
    rows = []
    for what, mine, theirs, least, most_false, times in (
        ("HardVerify, even half", hard, boxed(hard), 0.90, 3, 5),
        ("HARP basic", harp, boxed(harp), 1.0, 0, None),
        ("GSM8K responses", gsm8k, gsm8k, 1.0, 0, 50),
        (f"{len(generated):,} rewrites and near-misses", generated, generated, 0.999, 0, 25),
    ):
        we, they = graded(ours, mine), graded(math_verify, theirs)
        right = we.accuracy >= least and we.false_positives <= most_false
        target = f"at least {least:.1%}, at most {most_false} false positives"
        rows.append(Row(what, target, f"{we} (Math-Verify: {they})", right))
        if times is not None:
            ratio = we.rate / they.rate
            rows.append(Row(f"throughput, {what}", f"{times}×", f"{ratio:.0f}×", ratio >= times))
    p50, p99 = we.quantile_ms(0.5), we.quantile_ms(0.99)
    measured = (
        f"p50 {p50:.3f} ms, p99 {p99:.2f} ms (Math-Verify: p50 {they.quantile_ms(0.5):.2f} ms, "
        f"p99 {they.quantile_ms(0.99):.1f} ms)"
    )
    rows.append(
        Row("latency, rewrites", "p50 0.05 ms, p99 3 ms", measured, p50 <= 0.05 and p99 <= 3)
    )
    return rows, generated


# --- hostile completions ----------------------------------------------------------------


def in_child(grade: Grade, sample: Sample) -> tuple[float, float, bool]:
    """(CPU seconds, peak MB, accepted) in a process of its own, killed after a while."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=report, args=(sender, grade, sample))
    child.start()
    answered = receiver.poll(CHILD_LIMIT_S)
    result = receiver.recv() if answered else (float(CHILD_LIMIT_S), float("nan"), False)
    child.kill()
    child.join()
    return result


def report(sender: Any, grade: Grade, sample: Sample) -> None:
    started = time.process_time()
    accepted = without_exception(grade, sample)
    seconds = time.process_time() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sender.send((seconds, peak_mb, accepted))


def hostile_rows() -> list[Row]:
    """Each completion in a process of its own, in which SymPy is imported already."""
    rows = []
    ours(Sample(completion="\\int_0^1 2x\\,dx", reference="1"))
    for name, grade in (("ours", ours), ("Math-Verify", math_verify)):
        results = {
            kind: in_child(grade, Sample(completion=text, reference=REFERENCE))
            for kind, text in completions().items()
        }
        slowest = max(results, key=lambda kind: results[kind][0])
        over = sum(seconds > 1 for seconds, _, _ in results.values())
        worst, peak = results[slowest][0], max(peak for _, peak, _ in results.values())
        measured = (
            f"{over} of {len(results)} over 1 s, worst {worst:.2f} s ({slowest}), "
            f"peak {peak:.0f} MB"
        )
        mine = name == "ours"
        target = "none over 1 s, worst 0.6 s" if mine else "for comparison"
        rows.append(
            Row(
                f"hostile completions, {name}",
                target,
                measured,
                over == 0 and worst <= 0.6 if mine else None,
            )
        )
    return rows


# --- threads and hacks ------------------------------------------------------------------


def thread_rows(generated: Sequence[Pair]) -> list[Row]:
    some = [as_sample(pair) for pair in generated[:: len(generated) // PAIRS_IN_THREADS + 1]]
    alone = [ours(sample) for sample in some]
    forget()
    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(ours, some))
        failure = threads.submit(raised_by, math_verify, some[0]).result()
    changed = sum(a != b for a, b in zip(alone, together, strict=True))
    measured = f"{changed} of {len(some):,} verdicts differ (Math-Verify: {failure})"
    return [Row(f"from {THREADS} threads", "same verdicts", measured, changed == 0)]


def raised_by(grade: Grade, sample: Sample) -> str:
    try:
        grade(sample)
    except Exception as error:
        return type(error).__name__
    return "no error"


def hack_rows() -> list[Row]:
    with CASES.open() as lines:
        rows = [row for row in map(json.loads, lines) if row["tag"] == "hack"]
    samples = [
        Sample(prompt=row.get("prompt"), completion=row["completion"], reference=row["reference"])
        for row in rows
    ]
    accepted = [sum(without_exception(grade, s) for s in samples) for grade in (ours, math_verify)]
    measured = f"{accepted[0]} of {len(rows)} (Math-Verify: {accepted[1]})"
    return [Row("reward hacks accepted", "0", measured, accepted[0] == 0)]


NOTES = """\
Throughput and latency are CPU time of one core, whole calls: extraction, reading,
comparison and the score object, from samples that are already parsed; references are
compiled as they come, and all caches start empty. HardVerify and HARP give bare answers:
Math-Verify gets them boxed. Math-Verify runs with its default timeouts, each hostile
completion in a process of its own.
"""


# --- over HTTP --------------------------------------------------------------------------


def inequality_rows() -> list[Row]:
    """Wrong solutions of inequalities, both sides unsolved in turn, and right ones unproven."""
    accepted = wrong = unproven = right = 0
    for case in inequalities(INEQUALITIES, seed=1):
        for other in (case.solution, *case.wrong):
            is_right = other == case.solution
            for reference, answer in ((case.text, other), (other, case.text)):
                sample = Sample(completion=f"$\\boxed{{{answer}}}$", reference=reference)
                score = attempt(ANY_FORM, sample)
                right += is_right
                unproven += is_right and score.reward != 1.0
                wrong += not is_right
                accepted += not is_right and score.reward == 1.0
    return [
        Row(
            "wrong solutions of inequalities accepted",
            "0",
            f"{accepted} of {wrong:,}",
            not accepted,
        ),
        Row(
            "right ones not accepted (unproven)",
            "at most 3.0%",
            f"{unproven} of {right:,} ({unproven / right:.1%})",
            unproven <= 0.03 * right,
        ),
    ]


def http_rows(data: Path, generated: Sequence[Pair]) -> list[Row]:
    gsm8k = labelled_pairs(data / "gsm8k_responses_200.jsonl")
    rng = random.Random(0)
    batches = {
        "GSM8K responses": rng.choices(gsm8k, k=REQUEST),
        "rewrites and near-misses": rng.sample(generated, REQUEST),
    }
    with assay_service("--log-level", "warning") as (url, _), httpx.Client(base_url=url) as client:
        return [over_http(client, what, batch) for what, batch in batches.items()]


def over_http(client: httpx.Client, what: str, batch: Sequence[Pair]) -> Row:
    """A request against the same verdicts in this process, in turns, by the clock."""
    samples = [as_sample(pair) for pair in batch]
    body = {
        "scorer": "math",
        "samples": [{"completion": s.completion, "reference": s.reference} for s in samples],
    }
    content = client.build_request("POST", "/v1/score", json=body).content
    headers = {"Content-Type": "application/json"}
    pure_s, http_s = [], []
    for _ in range(HTTP_ROUNDS):
        started = time.perf_counter()
        for sample in samples:
            attempt(SCORER, sample)
        pure_s.append(time.perf_counter() - started)
        started = time.perf_counter()
        client.post("/v1/score", content=content, headers=headers).raise_for_status()
        http_s.append(time.perf_counter() - started)
    pure, http = (statistics.median(seconds[1:]) * 1e3 for seconds in (pure_s, http_s))
    measured = f"{http / pure:.2f}× ({http:.0f} ms against {pure:.0f} ms)"
    return Row(f"a request of {REQUEST:,} {what}", "at most 2×", measured, http <= 2 * pure)


def main(data: Path) -> None:
    rows, generated = accuracy_rows(data / "math")
    rows += inequality_rows()
    rows += thread_rows(generated) + hack_rows() + hostile_rows()
    rows += http_rows(data / "math", generated)
    write("math", "The math verifier beside Math-Verify 0.9.0", rows, NOTES)
