"""`assay score`: scores a file without a server."""

from __future__ import annotations

import asyncio
import codecs
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.cli.terminal import ConfigOption, InputError, parse_spec, refuse, stderr
from app.http import exact_json
from app.http.errors import NotJson
from app.http.metrics import Metrics
from app.http.strict_json import leniently
from app.routes.exchange import ScorerOrError, own_scorer
from app.routes.faults import Sparing, marred
from app.settings import SettingsError, load_settings
from verifiers.base import Sample, Score, ScoringError, SpecError
from verifiers.errors import faults_in
from verifiers.registry import Registry
from verifiers.sample import ScorerSpec
from verifiers.score import to_json

BATCH = 512
"""Samples scored together: the steps of the progress bar."""


class Line(Sparing):
    """A line as a request of its own, so that it is at fault where a sample of the service is."""

    samples: list[Sample]


def score(
    file: Annotated[Path, typer.Argument(help="JSONL of samples; - reads standard input.")],
    scorer: Annotated[
        str | None, typer.Option(help='A name, or JSON: {"type": NAME, ...parameters}.')
    ] = None,
    output: Annotated[Path, typer.Option(help="JSONL of scores; - writes standard output.")] = Path(
        "-"
    ),
    config: ConfigOption = None,
) -> None:
    """Score a file without a server, by the same code.

    Each line is a sample as in POST /v1/score; a sample's own "scorer" overrides --scorer.
    Exits with 1 when any sample could not be scored, and with 2 when the input is unusable.
    """
    try:
        lines = list(read_samples(file))
        tally = asyncio.run(score_all(lines, parse_spec(scorer), output, config))
    except (SettingsError, SpecError, InputError) as error:
        raise refuse(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise refuse(f"cannot read or write: {error}") from None
    stderr.print(summary_table(tally))
    if any(outcome.startswith("error: ") for _, outcome in tally):
        raise typer.Exit(1)


def read_samples(file: Path) -> Iterator[tuple[Sample, ScoringError | None]]:
    """The samples of a JSONL file, read as strictly as the service reads a request.

    One that is at fault alone comes with its error.

    Raises:
        InputError: naming the line, or that there is none.
    """
    if str(file) != "-" and not file.exists():
        raise InputError(f"there is no file {file}")
    seen: set[str] = set()
    with sys.stdin.buffer if str(file) == "-" else file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            sample, fault = read_line(line.removeprefix(codecs.BOM_UTF8), f"line {number}")
            sample.id = sample.id or str(len(seen))
            if sample.id in seen:
                raise InputError(f"line {number}.id: another sample has this id")
            seen.add(sample.id)
            yield sample, fault
    if not seen:
        raise InputError("there are no samples in the input")


def read_line(line: bytes, where: str) -> tuple[Sample, ScoringError | None]:
    """
    Raises:
        InputError: the fault is not the sample's alone.
    """
    value: dict[str, Any] | None
    try:
        value = {"samples": [exact_json.loads(line)]}
    except exact_json.NotStrictJson as error:
        value = mended(line, error)
        if value is None:
            raise InputError(f"{where}: not JSON: {error}") from None
    try:
        read = Line.model_validate(value)
    except ValidationError as error:
        path, message = faults_in(error, value)[0]
        raise InputError(f"{'.'.join([where, *map(str, path[2:])])}: {message}") from None
    return read.samples[0], next(iter(read._faults.values()), None)


def mended(line: bytes, error: exact_json.NotStrictJson) -> dict[str, Any] | None:
    """What is read of a line that is not strict JSON for its lone surrogates alone."""
    try:
        return marred({"samples": [leniently(line, error)]})
    except NotJson:
        return None


async def score_all(
    lines: Sequence[tuple[Sample, ScoringError | None]],
    default: ScorerSpec | None,
    output: Path,
    config: Path | None,
) -> Counter[tuple[str, str]]:
    """Scores the samples in order into `output`. Counts (scorer, outcome) pairs."""
    from app.hosting import Hosted
    from app.main import create_registry, create_scheduler

    settings = load_settings(config)
    hosted = Hosted.of(settings)
    scheduler = create_scheduler(settings, Metrics(), hosted)
    registry = create_registry(settings, scheduler.run, hosted)
    samples = [sample for sample, _ in lines]
    chosen = [choose(registry, sample, fault, default) for sample, fault in lines]
    tally: Counter[tuple[str, str]] = Counter()
    await scheduler.start()
    try:
        with (
            sys.stdout if str(output) == "-" else output.open("w", encoding="utf-8") as out,
            progress() as bar,
        ):
            task = bar.add_task("scoring", total=len(samples))
            for part in parts(samples, BATCH):
                scores = await scheduler.submit(chosen[part], samples[part]).result()
                write(scores, out)
                tally.update(map(label, scores))
                bar.advance(task, len(scores))
    finally:
        await scheduler.stop(grace_s=0)
    return tally


def parts(samples: Sequence[Sample], size: int) -> Iterator[slice]:
    """Cuts `samples` into parts of about this size, never between neighbours of one group."""
    start = 0
    while start < len(samples):
        stop = min(start + size, len(samples))
        while (
            stop < len(samples)
            and samples[stop].group is not None
            and samples[stop].group == samples[stop - 1].group
        ):
            stop += 1
        yield slice(start, stop)
        start = stop


def choose(
    registry: Registry, sample: Sample, fault: ScoringError | None, default: ScorerSpec | None
) -> ScorerOrError:
    """The sample's own scorer or the default one, or why the sample alone is not scored.

    Raises:
        InputError: there is neither.
        SpecError: the default one does not build.
    """
    if sample.scorer is None and default is None:
        raise InputError(f"sample {sample.id} names no scorer; pass --scorer")
    if fault is not None:
        return fault
    if sample.scorer is not None:
        return own_scorer(registry, sample.scorer)
    assert default is not None
    return registry.build(default)


def write(scores: list[Score], out: TextIO) -> None:
    for score in scores:
        out.write(to_json(score).decode() + "\n")


def label(score: Score) -> tuple[str, str]:
    scorer = score.scorer.name if score.scorer else "?"
    return scorer, f"error: {score.error.code}" if score.error else score.outcome or "scored"


def progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=stderr, transient=True)


def summary_table(tally: Counter[tuple[str, str]]) -> Table:
    table = Table("scorer", "outcome", "samples", "share")
    total = sum(tally.values())
    for (scorer, outcome), count in sorted(tally.items()):
        table.add_row(scorer, outcome, str(count), f"{count / total:.1%}")
    return table
