"""`assay scorers`: what there is to score with."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.terminal import ConfigOption, refuse
from app.settings import SettingsError, load_settings
from verifiers.base import SpecError, run_here
from verifiers.registry import Registry


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


def scorers_table(registry: Registry) -> Table:
    from app.routes.discovery import first_line

    table = Table("name", "kind", "rewards")
    for name, scorer_type in sorted(registry.types.items()):
        table.add_row(name, scorer_type.kind, first_line(scorer_type))
    for name, spec in sorted(registry.presets.items()):
        table.add_row(name, "preset", json.dumps(spec))
    return table
