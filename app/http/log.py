"""Request ids, and the middleware that gives every request one and counts it."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from app.http.metrics import Metrics

logger = logging.getLogger("assay.access")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request being answered; it is in every reply, problem and log line."""

GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""A caller's own X-Request-ID is kept where it is harmless in logs."""


class RequestContext:
    """Outermost middleware: the request id, one access line, one count."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        request_id.set(identifier)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = identifier
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.request(scope["method"], route, status, seconds)
            logger.info(
                "%s %s %d %.1f ms %s",
                *(scope["method"], scope["path"], status, seconds * 1000, identifier),
            )


def configure(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # They would write lines for every call of a judge, with what an endpoint repeats in them.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
