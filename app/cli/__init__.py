"""The command line `assay`: a file a command, each a plain function until it is registered here."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import judge, score, scorers, serve
from judges.reward_model.train import commands as reward_model

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for command in (serve.serve, score.score, scorers.scorers):
    app.command()(command)
app.add_typer(reward_model.app, name="reward-model")
app.add_typer(judge.app, name="judge")


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
