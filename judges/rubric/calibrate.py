"""Fits a panel to labelled data, and reports how well every judge agrees with it.

A line of the data is a completion with the right verdicts, or two with the better one:

    {"prompt": …, "completion": …, "labels": {"CRITERION": true, …}}
    {"prompt": …, "first": …, "second": …, "better": "first"}

Each judge is asked about every line by the same scorer that will use the panel, of which the
result is a spec. What the panel is worth is measured on lines that it was not fitted to, all lines
of a prompt left out together.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from judges.rubric.fitting import (
    Agreement,
    FittedPanel,
    Method,
    NoJudgeIsGoodEnough,
    agreement,
    best_single,
    cross_validated,
    fitted_panel,
    joined,
)
from verifiers.base import Parameters, Run, Sample, Score, Scorer, Text, first_fault
from verifiers.sample import Json, Message, Name

GROUP = "pair"


class DataError(Exception):
    """The labelled data cannot be used. The message says where and why."""


class Line(Parameters):
    """One line of labelled data."""

    prompt: Text | list[Message] | None = None
    reference: Json = None
    completion: Text | None = None
    labels: dict[Name, bool] = Field({}, description="The right verdict of each criterion.")
    first: Text | None = None
    second: Text | None = None
    better: Literal["first", "second"] | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        single = self.completion is not None and bool(self.labels)
        pair = None not in (self.first, self.second, self.better)
        if single == pair:
            raise ValueError("`completion` and `labels`, or `first`, `second` and `better`")
        return self

    @property
    def is_pair(self) -> bool:
        return self.better is not None

    @property
    def group(self) -> str:
        """The same for all lines of a prompt; without one, for all of a text."""
        if self.prompt is None:
            return self.completion or f"{self.first}\n{self.second}"
        return Sample(prompt=self.prompt, completion="").model_dump_json(include={"prompt"})

    def samples(self) -> list[Sample]:
        texts = [self.first, self.second] if self.is_pair else [self.completion]
        group = GROUP if self.is_pair else None
        return [
            Sample(prompt=self.prompt, completion=text, reference=self.reference, group=group)
            for text in texts
            if text is not None
        ]

    def targets(self) -> dict[str, bool]:
        return {"better": self.better == "first"} if self.is_pair else dict(self.labels)

    def values(self, scores: Sequence[Score]) -> dict[str, float] | None:
        """What a judge made of the line, by target; None where it failed.

        Targets that it was not asked about, such as where a text says nothing, are left out.
        """
        score = scores[0]
        if score.error is not None:
            return None
        if self.is_pair:
            return score.components
        if score.components and (missing := self.labels.keys() - score.components.keys()):
            raise DataError(f"{min(missing)!r} is labelled, and no criterion of the rubric")
        verdicts = score.details.get("verdicts", {})
        return {target: verdicts[target]["value"] for target in self.labels if target in verdicts}


@dataclass(frozen=True, slots=True)
class Collected:
    """What each judge made of each label that every judge gave a verdict on."""

    values: dict[str, list[float]]
    labels: list[bool]
    groups: list[str]
    failed: dict[str, int]
    """Lines without an answer, by judge."""
    failure: str | None
    """Why the first of them has none."""


@dataclass(frozen=True, slots=True)
class Report:
    """Judges, the panel made of them, and how they agree with the labels."""

    labels: int
    share_true: float
    data_digest: str
    judges: Mapping[str, Agreement]
    refused: Sequence[str]
    """Judges whose lower bound is not above chance."""
    failed: Mapping[str, int]
    weights: Mapping[str, float]
    calibration: Mapping[str, Any]
    best_judge: str
    panel: Agreement
    """Of the panel on lines that it was not fitted to."""
    equal_weights: Agreement
    """Of all the judges with equal weights, for comparison."""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def read_lines(lines: Iterable[str]) -> list[Line]:
    """The labelled data of a JSONL file.

    Raises:
        DataError: naming the line.
    """
    found = []
    for number, text in enumerate(lines, start=1):
        if text.strip():
            try:
                found.append(Line.model_validate(json.loads(text)))
            except ValidationError as error:
                raise DataError(first_fault(f"line {number}", error)) from None
            except ValueError as error:
                raise DataError(f"line {number}: not JSON: {error}") from None
    if not found:
        raise DataError("there is no labelled line")
    if len({line.is_pair for line in found}) > 1:
        raise DataError("either all lines are pairs, or none")
    return found


async def collect(scorers: Mapping[str, Scorer[Any]], lines: Sequence[Line], run: Run) -> Collected:
    """Asks every judge about every line."""
    names = list(scorers)
    asked = [run(scorers[name], line.samples()) for name in names for line in lines]
    found = await asyncio.gather(*asked)
    errors = (score.error.message for scores in found for score in scores if score.error)
    answers = iter(found)
    by_judge = {name: [line.values(next(answers)) for line in lines] for name in names}
    values: dict[str, list[float]] = {name: [] for name in names}
    labels: list[bool] = []
    groups: list[str] = []
    for index, line in enumerate(lines):
        made_by = {name: by_judge[name][index] for name in names}
        for target, label in line.targets().items():
            column = {
                name: made[target] for name, made in made_by.items() if made and target in made
            }
            if len(column) == len(names):
                labels.append(label)
                groups.append(line.group)
                for name, value in column.items():
                    values[name].append(value)
    failed = {name: sum(made is None for made in by_judge[name]) for name in names}
    return Collected(values, labels, groups, failed, next(errors, None))


def report_on(collected: Collected, method: Method = "vote") -> tuple[FittedPanel, Report]:
    """The panel fitted to all the labels, and what it is worth on labels that it did not see.

    Raises:
        NoJudgeIsGoodEnough: no judge beats chance, or there are too few labels.
    """
    values, labels = collected.values, collected.labels
    try:
        panel = fitted_panel(values, labels, method)
    except NoJudgeIsGoodEnough as error:
        if collected.failure is None:
            raise
        failed = ", ".join(f"{name} on {count}" for name, count in collected.failed.items())
        message = f"{error}; without an answer: {failed} lines, first for: {collected.failure}"
        raise NoJudgeIsGoodEnough(message) from None
    judges = {name: agreement(found, labels) for name, found in values.items()}
    held_out = cross_validated(values, labels, collected.groups, method)
    return panel, Report(
        labels=len(labels),
        share_true=math.fsum(labels) / len(labels),
        data_digest=hashlib.sha256(
            json.dumps([values, labels, collected.groups], sort_keys=True).encode()
        ).hexdigest()[:16],
        judges=judges,
        refused=[name for name, found in judges.items() if not found.beats_chance],
        failed=collected.failed,
        weights=panel.weights,
        calibration=panel.calibration.model_dump(),
        best_judge=best_single(values, labels),
        panel=agreement(held_out, labels),
        equal_weights=agreement(joined(values, dict.fromkeys(values, 1.0)), labels),
    )


async def calibrate(
    spec: Mapping[str, Any],
    judges: Sequence[str],
    lines: Sequence[Line],
    build: Callable[[dict[str, Any]], Scorer[Any]],
    run: Run,
    method: Method = "vote",
) -> tuple[dict[str, Any], Report]:
    """The spec of a rubric with the panel that was fitted to the lines, and a report.

    Raises:
        SpecError: the spec does not build.
        DataError: a label has no criterion.
        NoJudgeIsGoodEnough: see `report_on`.
    """
    plain = {key: value for key, value in spec.items() if key not in ("judge", "calibration")}
    if lines[0].is_pair:
        plain.setdefault("mode", "pairwise")
    scorers = {name: build({**plain, "judge": name}) for name in judges}
    panel, report = report_on(await collect(scorers, lines, run), method)
    weights = {name: round(weight, 6) for name, weight in panel.weights.items()}
    return {**plain, "judge": weights, "calibration": panel.calibration.model_dump()}, report
