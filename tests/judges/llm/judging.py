"""Judges for tests, built as a service builds them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from judges.llm.hosted import HostedJudge
from judges.llm.hosting import Judges
from judges.llm.settings import JudgeSettings

SETTINGS: TypeAdapter[Any] = TypeAdapter(JudgeSettings)

TOLD = {"json_schema": False, "json_object": False, "logprobs": False, "seed": False}
"""Nothing to find out, so that calls can be counted."""


def settings(**members: Any) -> Any:
    return SETTINGS.validate_python(members)


@asynccontextmanager
async def judges(store: Path | None = None, **tables: dict[str, Any]) -> AsyncIterator[Judges]:
    hosted = Judges({name: settings(**table) for name, table in tables.items()}, store)
    await hosted.start()
    try:
        yield hosted
    finally:
        await hosted.close()


@asynccontextmanager
async def chat_judge(
    url: str, store: Path | None = None, **members: Any
) -> AsyncIterator[HostedJudge]:
    """A chat judge that retries at once, so to speak."""
    table = {"kind": "chat", "base_url": url, "model": "m", "retry_base_s": 0.001, **TOLD}
    async with judges(store, grader={**table, **members}) as hosted:
        (judge,) = hosted.values()
        yield judge
