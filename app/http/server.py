"""Runs the application under uvicorn, and ends it without losing work.

On SIGTERM or Ctrl+C the service first drains: it still answers, `/readyz` says 503 so that
balancers look elsewhere, and work in flight finishes. Only then does it stop listening. A
second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.http.limits import MAX_HEADER_BYTES
from app.lanes.lane import Scheduler
from app.settings import Settings

COLLECT_AFTER = 20_000
"""New objects between two collections: those of a few large requests."""

MAX_HEAD_BYTES = 4 * MAX_HEADER_BYTES
"""Read of a request line and headers that do not end."""


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol without its patience for a request that does not get to its body.

    What fits is measured anew by `HeaderLimit`, whose answer says more.
    """

    _head_bytes = 0
    _in_head = False

    def on_message_begin(self) -> None:
        self._head_bytes, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")


class DrainingServer(uvicorn.Server):
    """uvicorn's server with a drain before its shutdown."""

    def __init__(self, config: uvicorn.Config, scheduler: Scheduler, grace_s: float) -> None:
        super().__init__(config)
        self._scheduler = scheduler
        self._grace_s = grace_s
        self._drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._loop = asyncio.get_running_loop()
        await super().startup(None)
        spare_the_collector()
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"Assay is ready at http://{shown}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._scheduler.draining or not self.started:
            super().handle_exit(sig, frame)
        else:
            self._scheduler.draining = True
            self._loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        self._drain = asyncio.create_task(self._drain_then_exit())

    async def _drain_then_exit(self) -> None:
        await self._scheduler.drain(grace_s=self._grace_s)
        self.should_exit = True


def spare_the_collector() -> None:
    """Keeps the garbage collector off what lives as long as the process.

    A request of a thousand samples makes some ten thousand objects, none of them in cycles:
    at Python's own thresholds they are looked through a dozen times while they are in use.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 5, 5)


def end_with_standard_input() -> None:
    """Ends this process, as SIGTERM does, when its standard input is closed.

    So a service that a program started for itself outlives it by nothing, however the
    program ends: the kernel closes the pipe between them even on SIGKILL.
    """

    def wait() -> None:
        while os.read(0, 1 << 16):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="until-stdin-closes", daemon=True).start()


def serve(app: FastAPI, settings: Settings, *, until_stdin_closes: bool = False) -> None:
    """Serves until a signal ends it, or the end of its standard input."""
    if until_stdin_closes:
        end_with_standard_input()
    config = uvicorn.Config(
        app,
        http=BoundedHead,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    DrainingServer(config, app.state.scheduler, settings.drain_grace_s).run()
