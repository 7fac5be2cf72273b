"""The command line: `assay serve`, `assay score`, `assay scorers`, `assay judge`."""

from __future__ import annotations

import asyncio
import codecs
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app import exact_json, log
from app.metrics import Metrics
from app.settings import SettingsError, load_settings
from judges.reward_model.commands import app as reward_model
from verifiers.base import Sample, Score, Scorer, SpecError, first_fault, run_here
from verifiers.registry import Registry
from verifiers.sample import ScorerSpec
from verifiers.score import to_json

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
judge = typer.Typer(no_args_is_help=True, help="What judges are worth.")
app.add_typer(reward_model, name="reward-model")
app.add_typer(judge, name="judge")
stderr = Console(stderr=True)


BATCH = 512
"""Samples scored together by `assay score`: the steps of its progress bar."""

USAGE_ERROR = 2


class Calibrations(StrEnum):
    VOTE = "vote"
    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; see assay.example.toml.")
]


def main() -> None:
    app()


def show_version(wanted: bool) -> None:
    if wanted:
        print(version("assay-server"))
        raise typer.Exit


@app.callback()
def assay(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    """The reward and verifier service of a reinforcement-learning run."""


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 takes a free one. [default: 8000]")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error. [default: info]")
    ] = None,
    config: ConfigOption = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve other machines without API keys.")
    ] = False,
    until_stdin_closes: Annotated[
        bool,
        typer.Option("--until-stdin-closes", hidden=True, help="End with whoever started it."),
    ] = False,
) -> None:
    """Run the service. It prints its address once it is ready.

    Settings come from these options, else from ASSAY_... variables, else from the file.
    Without API keys only this machine is served.
    """
    from app.main import create_app
    from app.server import serve as serve_app

    try:
        settings = load_settings(
            config, host=host, port=port, log_level=log_level, insecure=insecure or None
        )
        if settings.exposed:
            raise SettingsError(
                f"{settings.host} is reachable from other machines and no API key is set. "
                "Set ASSAY_API_KEYS, or pass --insecure if a proxy keeps strangers out."
            )
        log.configure(settings.log_level)
        service = create_app(settings)
    except (SettingsError, SpecError) as error:
        raise refuse(str(error)) from None
    serve_app(service, settings, until_stdin_closes=until_stdin_closes)


@app.command()
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
        samples = list(read_samples(file))
        tally = asyncio.run(score_all(samples, parse_spec(scorer), output, config))
    except (SettingsError, SpecError, InputError) as error:
        raise refuse(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise refuse(f"cannot read or write: {error}") from None
    stderr.print(summary_table(tally))
    if any(outcome.startswith("error: ") for _, outcome in tally):
        raise typer.Exit(1)


@app.command()
def scorers(
    name: Annotated[str | None, typer.Argument(help="Show this one in full.")] = None,
    config: ConfigOption = None,
) -> None:
    """List what there is to score with, or show one with its parameters and an example."""
    from app.hosting import Hosted
    from app.main import create_registry
    from app.routes.discovery import describe, describe_preset

    try:
        settings = load_settings(config)
        registry = create_registry(settings, run_here, Hosted.of(settings))
        if name is None:
            Console().print(scorers_table(registry))
        elif name in registry.presets:
            print(describe_preset(registry, name).model_dump_json(indent=2))
        else:
            registry.build({"type": name}) if name not in registry.types else None
            print(describe(registry, name).model_dump_json(indent=2))
    except (SettingsError, SpecError) as error:
        raise refuse(str(error)) from None


@judge.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="JSONL of labelled completions, or of pairs.")],
    scorer: Annotated[str, typer.Option(help="A rubric: a preset's name, or JSON.")],
    name: Annotated[
        list[str] | None, typer.Option("--judge", help="Judges of the settings; all by default.")
    ] = None,
    method: Annotated[
        Calibrations, typer.Option(help="How values become probabilities.")
    ] = Calibrations.VOTE,
    output: Annotated[Path | None, typer.Option(help="JSON of the fitted spec and report.")] = None,
    config: ConfigOption = None,
) -> None:
    """Fit a panel of judges to labels, refusing those that do not beat chance.

    A line is {"prompt", "completion", "labels": {CRITERION: true}}, or {"prompt", "first",
    "second", "better": "first"}. Exits with 1 when no judge is good enough.
    """
    from app.judging import calibrated, judges_table, panel_table
    from judges.rubric.calibrate import DataError, read_lines
    from judges.rubric.fitting import NoJudgeIsGoodEnough

    try:
        lines = read_lines(file.read_text(encoding="utf-8").splitlines())
        spec, report = asyncio.run(
            calibrated(lines, parse_spec(scorer), name or [], method.value, config)
        )
    except (SettingsError, SpecError, InputError, DataError) as error:
        raise refuse(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise refuse(f"cannot read: {error}") from None
    except NoJudgeIsGoodEnough as error:
        stderr.print(f"[red]assay:[/red] {error}", highlight=False)
        raise typer.Exit(1) from None
    stderr.print(judges_table(report), panel_table(report))
    document = json.dumps({"spec": spec, "report": report.document()}, indent=2)
    output.write_text(document + "\n") if output else print(document)


class InputError(Exception):
    """A line of the input, or the scorer asked for, cannot be used."""


def refuse(message: str) -> typer.Exit:
    stderr.print(f"[red]assay:[/red] {message}", highlight=False, soft_wrap=True)
    return typer.Exit(USAGE_ERROR)


def parse_spec(text: str | None) -> ScorerSpec | None:
    if text is None or not text.lstrip().startswith("{"):
        return text
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise InputError(f"--scorer is not JSON: {error}") from None


def read_samples(file: Path) -> Iterator[Sample]:
    """The samples of a JSONL file, read as strictly as the service reads a request.

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
            try:
                value = exact_json.loads(line.removeprefix(codecs.BOM_UTF8))
                sample = Sample.model_validate(value)
            except ValidationError as error:
                raise InputError(first_fault(f"line {number}", error, value)) from None
            except exact_json.NotStrictJson as error:
                raise InputError(f"line {number}: not JSON: {error}") from None
            sample.id = sample.id or str(len(seen))
            if sample.id in seen:
                raise InputError(f"line {number}.id: another sample has this id")
            seen.add(sample.id)
            yield sample
    if not seen:
        raise InputError("there are no samples in the input")


async def score_all(
    samples: list[Sample], default: ScorerSpec | None, output: Path, config: Path | None
) -> Counter[tuple[str, str]]:
    """Scores `samples` in order into `output`. Counts (scorer, outcome) pairs."""
    from app.hosting import Hosted
    from app.main import create_registry, create_scheduler

    settings = load_settings(config)
    hosted = Hosted.of(settings)
    scheduler = create_scheduler(settings, Metrics(), hosted)
    registry = create_registry(settings, scheduler.run, hosted)
    chosen = [choose(registry, sample, default) for sample in samples]
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


def choose(registry: Registry, sample: Sample, default: ScorerSpec | None) -> Scorer[Any]:
    spec = sample.scorer if sample.scorer is not None else default
    if spec is None:
        raise InputError(f"sample {sample.id} names no scorer; pass --scorer")
    return registry.build(spec)


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


def scorers_table(registry: Registry) -> Table:
    from app.routes.discovery import first_line

    table = Table("name", "kind", "rewards")
    for name, scorer_type in sorted(registry.types.items()):
        table.add_row(name, scorer_type.kind, first_line(scorer_type))
    for name, spec in sorted(registry.presets.items()):
        table.add_row(name, "preset", json.dumps(spec))
    return table


if __name__ == "__main__":
    main()
