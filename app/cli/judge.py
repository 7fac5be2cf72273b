"""`assay judge calibrate`: asks the judges of the settings about labelled data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.terminal import ConfigOption, InputError, parse_spec, refuse, stderr
from app.http.metrics import Metrics
from app.settings import SettingsError, load_settings
from judges.rubric.calibrate import DataError, Line, Report, read_lines
from judges.rubric.calibrate import calibrate as fit
from judges.rubric.fitting import Agreement, Method, NoJudgeIsGoodEnough
from verifiers.base import SpecError
from verifiers.sample import ScorerSpec

app = typer.Typer(no_args_is_help=True, help="What judges are worth.")


@app.callback()
def judge() -> None:
    """What judges are worth."""


class Calibrations(StrEnum):
    VOTE = "vote"
    TEMPERATURE = "temperature"
    ISOTONIC = "isotonic"


@app.command()
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


async def calibrated(
    lines: Sequence[Line],
    spec: ScorerSpec | None,
    names: Sequence[str],
    method: Method,
    config: Path | None,
) -> tuple[dict[str, Any], Report]:
    """The fitted spec and its report; see `judges.rubric.calibrate`."""
    from app.hosting import Hosted
    from app.main import create_registry, create_scheduler

    settings = load_settings(config)
    hosted = Hosted.of(settings)
    scheduler = create_scheduler(settings, Metrics(), hosted)
    registry = create_registry(settings, scheduler.run, hosted)
    rubric = rubric_spec(spec, settings.presets)
    if not (chosen := list(names) or sorted(hosted.judges)):
        raise SpecError([(("judges",), "the settings name none")])
    await scheduler.start()
    try:
        return await fit(rubric, chosen, lines, registry.build, scheduler.run, method)
    finally:
        await scheduler.stop(grace_s=0)


def rubric_spec(spec: ScorerSpec | None, presets: Mapping[str, ScorerSpec]) -> Mapping[str, Any]:
    """The spec of a rubric, of which a preset may be the name."""
    found = presets.get(spec) if isinstance(spec, str) else spec
    if not isinstance(found, Mapping) or found.get("type") != "rubric":
        raise SpecError([(("scorer",), 'a preset or a spec of the type "rubric" is needed')])
    return found


def judges_table(report: Report) -> Table:
    """Every judge by itself, and whether it was seated."""
    columns = ("judge", "accuracy", "balanced", "at least", "kappa", "calibration error", "weight")
    table = Table(*columns, "failed", title=f"{report.labels} labels")
    for name, found in report.judges.items():
        seated = f"{report.weights[name]:.3f}" if name in report.weights else "none needed"
        weight = "refused" if name in report.refused else seated
        table.add_row(name, *figures(found), weight, str(report.failed[name]))
    return table


def panel_table(report: Report) -> Table:
    """The panel on lines that it was not fitted to, beside what it must beat."""
    columns = ("held out", "accuracy", "balanced", "at least", "kappa", "calibration error")
    table = Table(*columns)
    table.add_row("panel", *figures(report.panel))
    table.add_row("equal weights", *figures(report.equal_weights))
    table.add_row(f"best judge ({report.best_judge})", *figures(report.judges[report.best_judge]))
    return table


def figures(found: Agreement) -> list[str]:
    shares = (found.accuracy, found.balanced_accuracy, found.lower_bound)
    return [
        *(f"{share:.1%}" for share in shares),
        f"{found.kappa:.3f}",
        f"{found.calibration_error:.3f}",
    ]
