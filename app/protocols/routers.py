"""Which protocols there are. Each can be switched off; a new one is its file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fastapi import APIRouter

from app.protocols.gateway import Gateway
from app.protocols.openai_graders import openai_router

ROUTERS: Mapping[str, Callable[[Gateway], APIRouter]] = {
    "openai_graders": openai_router,
}
"""By the setting that switches it."""


def foreign_routers(gateway: Gateway) -> Iterator[APIRouter]:
    for name, router in ROUTERS.items():
        if getattr(gateway.settings.protocols, name):
            yield router(gateway)
