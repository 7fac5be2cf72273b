"""The table of other systems' routes names routes that exist, and every switch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from app.main import create_app
from app.protocols.routers import ROUTERS
from app.settings import Protocols, Settings

README = (Path(__file__).parents[3] / "app" / "protocols" / "README.md").read_text()


def all_on() -> Protocols:
    everything: dict[str, Any] = dict.fromkeys(ROUTERS, True)
    return Protocols(**everything, default_preset="format")


def test_the_routes_of_the_table_exist() -> None:
    paths = set(create_app(Settings(protocols=all_on())).openapi()["paths"])
    rows = [line.split("|")[2] for line in README.splitlines() if line.startswith("| ")][2:]
    named = [path for row in rows for path in re.findall(r"`(/[^`?]+)`", row)]
    assert len(named) > 20
    for path in named:
        known = path.replace("PRESET", "{preset}")
        assert any(known in each for each in paths), path


def test_every_switch_belongs_to_a_protocol() -> None:
    switches = {name for name, info in Protocols.model_fields.items() if info.annotation is bool}
    assert switches == set(ROUTERS)
