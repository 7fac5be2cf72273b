"""Which protocols there are: a line each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fastapi import APIRouter
from pydantic import ConfigDict, ValidationError, create_model

from app.protocols.gateway import Gateway
from app.protocols.protocol import Protocol
from app.settings import SettingsError

MODULES = (
    "openai_graders",
    "openrlhf",
    "slime",
    "nemo_gym",
    "eval_protocol",
    "model_servers.vllm",
    "model_servers.sglang",
    "model_servers.tei",
    "run_code",
    "open_instruct",
)
"""Each declares its `PROTOCOL`. Of two that are at one address, the earlier is served."""

PROTOCOLS: tuple[Protocol, ...] = tuple(
    import_module(f"{__package__}.{module}").PROTOCOL for module in MODULES
)


def foreign_routers(gateway: Gateway) -> list[APIRouter]:
    """The routes of all protocols that are switched on.

    Raises:
        SettingsError: the settings switch what is not there, or a value has another type.
    """
    switches = {each.name: (bool, each.on) for each in PROTOCOLS}
    routes = (route for each in PROTOCOLS for route in each.routes)
    options = {name: (str, "") for route in routes for name in route.options}
    declared: dict[str, Any] = {**switches, **options}
    form = create_model("Declared", __config__=ConfigDict(extra="forbid"), **declared)
    try:
        chosen = form.model_validate(gateway.settings.protocols.given)
    except ValidationError as error:
        known = f"known are {', '.join(declared)}"
        faults = [
            (("protocols", *each["loc"]), f"{each['msg']} ({known})") for each in error.errors()
        ]
        raise SettingsError.of(faults) from None
    return [each.router(gateway) for each in PROTOCOLS if getattr(chosen, each.name)]
