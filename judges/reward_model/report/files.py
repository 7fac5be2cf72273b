"""The files of a report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from judges.reward_model.model.card import REPORT_JSON
from judges.reward_model.report.plots import plot
from judges.reward_model.report.report import Report
from judges.reward_model.report.text import markdown

REPORT_MD, PLOTS = "report.md", "report.png"

REPORT = TypeAdapter(Report)


def write(report: Report, folder: Path) -> None:
    """`report.json`, `report.md` and `report.png`."""
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
