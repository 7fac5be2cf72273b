"""The command line `assay-trainer`. What needs torch is imported by the commands that do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trainer_client.errors import RewardClientError, ServiceUnreachable
from trainer_client.train.config import Config, ConfigError, load_config
from trainer_client.train.display import Display
from trainer_client.train.stopping import OverOptimised, Stopped, TooManyUnscored

USAGE_ERROR = 2
SERVICE_LOST = 3
RUN_STOPPED_ITSELF = 4

SPIN_COUNT = "1000"
"""How long GNU OpenMP's threads spin before they sleep. It is read when torch is imported."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Trains policies on rewards served by Assay.\n\n"
    "Every value of a run comes from one TOML file and can be set on the command line: "
    "--set grpo.steps=200 --set grpo.kl_beta=0.02. `assay-trainer config` prints them all.",
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; `assay-trainer config` prints one.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Overrides one value. Repeatable."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Hugging Face id or folder; default: a tiny one from scratch."),
]
UrlOption = Annotated[str | None, typer.Option("--url", help="The reward service's address.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Decides every random draw.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", help="The run's folder. [default: runs/<time>]")
]
ResumeOption = Annotated[
    Path | None,
    typer.Option("--resume", help="Go on with the run in this folder, from its checkpoint."),
]


def main() -> None:
    prepare_environment()
    app()


def prepare_environment() -> None:
    """Call before the first import of torch."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@app.command()
def demo(
    seed: SeedOption = None,
    output: OutputOption = None,
    config_file: ConfigOption = None,
    settings: SetOption = None,
    resume: ResumeOption = None,
) -> None:
    """Start a reward service, train a tiny policy on its rewards, show what came of it.

    Needs no account, no download and no GPU, and takes about two minutes on two cores.
    Ctrl-C ends the run between two steps with a checkpoint; --resume goes on from there.
    """
    config = configured(saved_config(resume) or config_file, settings, None, None, seed)
    folder = resume or output or new_folder("demo")
    with exits(folder, "demo"):
        from trainer_client.train.demo import NoService
        from trainer_client.train.demo import demo as run_demo

        try:
            print(run_demo(config, folder, Display(), resume=resume is not None))
        except NoService as error:
            raise refused(str(error)) from None


@app.command()
def grpo(
    config_file: ConfigOption = None,
    settings: SetOption = None,
    model: ModelOption = None,
    url: UrlOption = None,
    seed: SeedOption = None,
    output: OutputOption = None,
    resume: ResumeOption = None,
) -> None:
    """Train by GRPO on rewards of a running service, after a cold start where one is needed.

    Ctrl-C ends the run between two steps with a checkpoint; --resume goes on from there.
    """
    config = configured(saved_config(resume) or config_file, settings, model, url, seed)
    folder = resume or output or new_folder("grpo")
    with exits(folder, "grpo"):
        from trainer_client.train.run import run

        report = run(config, folder, Display(), resume=resume is not None).report
    print(f"Report: {report}")


@app.command()
def sft(
    output: Annotated[Path, typer.Option(help="Where to save the policy.")],
    config_file: ConfigOption = None,
    settings: SetOption = None,
    model: ModelOption = None,
    seed: SeedOption = None,
) -> None:
    """Fine-tune on demonstrations only: the cold start on its own. Needs no service."""
    config = configured(config_file, ["sft.when=always", *(settings or ())], model, None, seed)
    with exits():
        from trainer_client.train.run import set_threads, starting_policy
        from trainer_client.train.stopping import StopSignals

        set_threads(config, Display())
        with StopSignals() as signals:
            starting_policy(config, Display(), signals).save(output)
    print(f"Policy: {output}")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Hugging Face id or folder.")],
    config_file: ConfigOption = None,
    settings: SetOption = None,
    url: UrlOption = None,
) -> None:
    """Measure a policy on held-out problems: exact match, greedy and sampled."""
    config = configured(config_file, settings, model, url, None)
    with exits():
        from trainer_client.train.evaluate import measure
        from trainer_client.train.policy import load
        from trainer_client.train.run import device_of, ready_service, set_threads
        from trainer_client.train.tasks import problems_of

        display = Display()
        set_threads(config, display)
        policy = load(model, device_of(config))
        with ready_service(config, display) as client:
            for name, problems in problems_of(config).splits().items():
                result = measure(
                    policy,
                    problems,
                    lambda samples: client.score(samples, config.reward.scorer),
                    config,
                )
                print(f"{name:10} {result}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    output: Annotated[Path, typer.Option(help="Where to draw them.")] = Path("runs/comparison.png"),
) -> None:
    """Set runs side by side: held-out exact match before and after, and one picture."""
    with exits():
        from trainer_client.train.report import before_and_after, draw_comparison
        from trainer_client.train.run_folder import RunFolder, read_rows

        evaluations = {}
        for path in runs:
            folder = RunFolder(path)
            if not folder.evaluations.exists():
                raise ConfigError(f"{path} holds no run")
            evaluations[folder.name] = read_rows(folder.evaluations)
        for name, rows in evaluations.items():
            print(f"{name}\n\n" + "\n".join(before_and_after(rows)) + "\n")
        output.parent.mkdir(parents=True, exist_ok=True)
        draw_comparison(evaluations, output)
    print(f"Curves: {output}")


@app.command()
def config(
    config_file: ConfigOption = None,
    settings: SetOption = None,
    schema: Annotated[bool, typer.Option("--schema", help="As JSON Schema, described.")] = False,
) -> None:
    """Print the effective configuration, as TOML that --config takes."""
    import json

    import tomli_w

    effective = configured(config_file, settings, None, None, None)
    if schema:
        print(json.dumps(Config.model_json_schema(), indent=2))
    else:
        print(tomli_w.dumps(effective.model_dump()), end="")


# --- shared -----------------------------------------------------------------------------


def configured(
    file: Path | None,
    settings: list[str] | None,
    model: str | None,
    url: str | None,
    seed: int | None,
) -> Config:
    """The configuration that file and options come to, or an exit that names the mistake."""
    named = {"policy.name": model, "reward.url": url, "seed": seed}
    overrides = [f"{key}={value}" for key, value in named.items() if value is not None]
    try:
        return load_config(file, [*(settings or ()), *overrides])
    except ConfigError as error:
        raise refused(str(error)) from None


def saved_config(resumed: Path | None) -> Path | None:
    """The configuration of the run to go on with, or an exit where the folder holds none."""
    if resumed is None:
        return None
    if not (resumed / "config.toml").exists():
        raise refused(f"{resumed} holds no run to resume")
    return resumed / "config.toml"


@contextmanager
def exits(folder: Path | None = None, command: str = "") -> Iterator[None]:
    """Ends the program with a sentence and a status of its own for what can end a run."""
    again = f" Go on with: assay-trainer {command} --resume {folder}" if folder else ""
    try:
        yield
    except ConfigError as error:
        raise refused(str(error)) from None
    except Stopped as error:
        say(f"{error}.{again}")
        raise typer.Exit(error.exit_code) from None
    except ServiceUnreachable as error:
        saved = folder is not None and any((folder / "checkpoints").glob("step-*"))
        say(f"{error}{' The last checkpoint is intact.' if saved else ''}{again}")
        raise typer.Exit(SERVICE_LOST) from None
    except RewardClientError as error:
        say(f"the reward service refuses this run: {error}")
        raise typer.Exit(RUN_STOPPED_ITSELF) from None
    except OverOptimised as error:
        say(
            f"{error}. The policy of about where gold was best, and the report, are in {folder}."
            f"{again} --set monitor.stop=false"
        )
        raise typer.Exit(RUN_STOPPED_ITSELF) from None
    except TooManyUnscored as error:
        say(f"{error}.{again}")
        raise typer.Exit(RUN_STOPPED_ITSELF) from None


def refused(message: str) -> typer.Exit:
    say(message)
    return typer.Exit(USAGE_ERROR)


def say(message: str) -> None:
    typer.secho(f"assay-trainer: {message}", err=True)


def new_folder(kind: str) -> Path:
    return Path("runs") / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}"


if __name__ == "__main__":
    main()
