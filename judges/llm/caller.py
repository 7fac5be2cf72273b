"""Who asks: what caps are kept for, and until when an answer is of use.

It travels in a context variable, which tasks inherit, so that no scorer has to pass it on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a judge is asked."""

    run: str = ""
    key: str = ""
    """Stands for the API key, which it does not reveal."""
    deadline: float | None = None
    """In the time of `time.monotonic`."""


NOBODY = Caller()

CALLER: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


@contextmanager
def calling(
    *, run: str | None = None, api_key: str = "", deadline_s: float | None = None
) -> Iterator[Caller]:
    """Everything asked inside, and in tasks started inside, is asked by this caller."""
    deadline = None if deadline_s is None else time.monotonic() + deadline_s
    caller = Caller(run or "", fingerprint(api_key), deadline)
    token = CALLER.set(caller)
    try:
        yield caller
    finally:
        CALLER.reset(token)


def fingerprint(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()[:16] if api_key else ""
