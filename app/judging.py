"""What `assay judge calibrate` does: asks the judges of the settings about labelled data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from app.hosting import Hosted
from app.main import create_registry, create_scheduler
from app.metrics import Metrics
from app.settings import load_settings
from judges.rubric.calibrate import Line, Report, calibrate
from judges.rubric.fitting import Agreement, Method
from verifiers.base import SpecError
from verifiers.sample import ScorerSpec


async def calibrated(
    lines: Sequence[Line],
    spec: ScorerSpec | None,
    names: Sequence[str],
    method: Method,
    config: Path | None,
) -> tuple[dict[str, Any], Report]:
    """The fitted spec and its report; see `judges.rubric.calibrate`."""
    settings = load_settings(config)
    hosted = Hosted.of(settings)
    scheduler = create_scheduler(settings, Metrics(), hosted)
    registry = create_registry(settings, scheduler.run, hosted)
    rubric = rubric_spec(spec, settings.presets)
    if not (chosen := list(names) or sorted(hosted.judges)):
        raise SpecError([(("judges",), "the settings name none")])
    await scheduler.start()
    try:
        return await calibrate(rubric, chosen, lines, registry.build, scheduler.run, method)
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
