"""What the commands share: how they are told which settings, and how they complain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from verifiers.sample import ScorerSpec

stderr = Console(stderr=True)

USAGE_ERROR = 2

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; see assay.example.toml.")
]


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
