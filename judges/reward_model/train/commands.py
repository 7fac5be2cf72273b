"""`assay reward-model`: train a reward model, and report on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from judges.reward_model.report.report import Report

app = typer.Typer(no_args_is_help=True, help="Train reward models, and report on them.")
stderr = Console(stderr=True)

USAGE_ERROR = 2

Data = Annotated[Path, typer.Option("--data", help="JSONL of preferences, plain or gzipped.")]
DropFaulty = Annotated[
    bool,
    typer.Option("--drop-faulty", help="Leave out identical and contradictory pairs."),
]


@app.command()
def train(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for the model and its report.")],
    base: Annotated[
        str, typer.Option(help="scratch, minilm, a folder, or a name on the Hugging Face hub.")
    ] = "minilm",
    layers: Annotated[
        Literal["head", "all"] | None,
        typer.Option("--train", help="The last layer or all. Default: head, and all for scratch."),
    ] = None,
    frozen_layers: Annotated[
        int, typer.Option(help="With --train all: but not the first so many, read only once.")
    ] = 0,
    held_out: Annotated[
        Path | None, typer.Option(help="Pairs to report on. Default: a share of --data.")
    ] = None,
    held_out_share: Annotated[float, typer.Option(help="Of the prompts of --data.")] = 0.2,
    validation_share: Annotated[
        float, typer.Option(help="Of the other prompts, to decide when to stop; 0 trains on all.")
    ] = 0.1,
    length_balance: Annotated[
        bool, typer.Option("--length-balance", help="As many pairs won by the longer as lost.")
    ] = False,
    heads: Annotated[int, typer.Option(help="Members of the ensemble.")] = 4,
    max_length: Annotated[int, typer.Option(help="Tokens of one text.")] = 256,
    truncation: Annotated[
        Literal["reject", "trim_prompt"], typer.Option(help="Of texts that are longer.")
    ] = "trim_prompt",
    max_updates: Annotated[int, typer.Option(help="Never more updates than these.")] = 300,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the data. Default: 3, and 20 for scratch.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Default: 5e-5, and 1e-3 for scratch.")
    ] = None,
    label_smoothing: Annotated[float, typer.Option(help="Share of wrong labels assumed.")] = 0.0,
    centering: Annotated[float, typer.Option(help="Pull of rewards towards zero.")] = 0.01,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Of the forward passes of training.")
    ] = "fp32",
    seed: int = 0,
    drop_faulty: DropFaulty = False,
) -> None:
    """Train a reward model on preference pairs, and report what it learned.

    A run that was interrupted goes on where it was, given the same command.
    """
    given = {
        "base": base,
        "train": layers,
        "frozen_layers": frozen_layers,
        "held_out": held_out_share,
        "validation": validation_share,
        "length_balance": length_balance,
        "heads": heads,
        "max_length": max_length,
        "truncation": truncation,
        "max_updates": max_updates,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "label_smoothing": label_smoothing,
        "centering": centering,
        "precision": precision,
        "seed": seed,
    }
    require_torch()
    quieten()
    from pydantic import ValidationError

    from judges.reward_model.guards.fitting import guards_of
    from judges.reward_model.model.loading_checks import ModelRefused
    from judges.reward_model.preferences import DataRefused
    from judges.reward_model.train.loop import TrainingFailed
    from judges.reward_model.train.options import Options
    from judges.reward_model.train.pipeline import train_model
    from verifiers.base import first_fault

    try:
        options = Options.model_validate({k: v for k, v in given.items() if v is not None})
        report = train_model(
            data,
            output,
            options,
            held_out=held_out,
            drop_faulty=drop_faulty,
            fit_guards=guards_of,
            step=bar,
        )
    except ValidationError as error:
        raise refuse(first_fault("options", error)) from None
    except (DataRefused, ModelRefused, TrainingFailed) as error:
        raise refuse(str(error)) from None
    except OSError as error:
        raise refuse(f"cannot read or write: {error}") from None
    show(report)
    stderr.print(f"The model and its report are in {output}", highlight=False, soft_wrap=True)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A model's folder.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Other preference pairs to measure it on.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="With --data: a folder for the new report.")
    ] = None,
    drop_faulty: DropFaulty = False,
) -> None:
    """Print the report of a model, or measure the model on other data."""
    require_torch()
    quieten()
    from judges.reward_model.guards.guards import GuardsRefused
    from judges.reward_model.model.load import load
    from judges.reward_model.model.loading_checks import ModelRefused
    from judges.reward_model.preferences import DataRefused
    from judges.reward_model.report import files
    from judges.reward_model.report.text import markdown
    from judges.reward_model.train.pipeline import evaluate_model

    try:
        if data is None:
            found = files.read(folder)
        else:
            found = evaluate_model(load(folder), data, drop_faulty=drop_faulty)
    except (DataRefused, GuardsRefused, ModelRefused, files.NoReport) as error:
        raise refuse(str(error)) from None
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        files.write(found, output)
    print(markdown(found))


def require_torch() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise refuse(f"{error.name} is missing: pip install -e '.[encoder]'") from None


def quieten() -> None:
    """Only our own progress bars and messages."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def refuse(message: str) -> typer.Exit:
    stderr.print(f"[red]assay:[/red] {message}", highlight=False, soft_wrap=True)
    return typer.Exit(USAGE_ERROR)


@contextmanager
def bar(name: str, units: int) -> Iterator[Callable[[int], None]]:
    """One step's bar on standard error, gone when the step is."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task(name, total=units)
        yield lambda done: progress.advance(task, done)


def show(found: Report) -> None:
    """The figures that matter most."""
    from judges.reward_model.report.text import interval, percent

    table = Table("held-out pairs", "count", "right", "95 % interval")
    held_out: Any = found.held_out
    rows = {
        "all": held_out.accuracy,
        "all, by length alone": held_out.length_only,
        "balanced by length": held_out.balanced,
        "won by the shorter": held_out.shorter_won,
    }
    for name, measured in rows.items():
        table.add_row(name, str(measured.pairs), percent(measured.value), interval(measured))
    Console().print(table)
