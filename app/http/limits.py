"""Refuses requests whose headers are too large, before anything else reads them."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.errors import HEADERS_TOO_LARGE, render

MAX_HEADER_BYTES = 65_536
"""Of names and values together; what clients send takes hundreds."""


class HeaderLimit:
    """Middleware: 431 where the headers are over `MAX_HEADER_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            size = sum(len(name) + len(value) for name, value in scope["headers"])
            if size > MAX_HEADER_BYTES:
                app = render(HEADERS_TOO_LARGE, f"headers may have {MAX_HEADER_BYTES:,} bytes")
        await app(scope, receive, send)
