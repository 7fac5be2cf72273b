"""Servers started for a measurement, and always stopped."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx


@contextlib.contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is stopped at the end, by its pid."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def assay_service(*arguments: str) -> Iterator[tuple[str, int]]:
    """The service on a free port: its address and pid."""
    with started("-m", "app.cli", "serve", "--port", "0", *arguments) as process:
        assert process.stdout is not None
        yield process.stdout.readline().rpartition(" ")[2].strip(), process.pid


def wait_until_up(url: str, within_s: float = 30.0) -> None:
    ends = time.monotonic() + within_s
    while True:
        try:
            httpx.get(url)
            return
        except httpx.TransportError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
