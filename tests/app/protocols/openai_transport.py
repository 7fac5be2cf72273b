"""The way of OpenAI's client into the application, without a socket."""

from __future__ import annotations

import httpx2
from fastapi.testclient import TestClient


class IntoTheApplication(httpx2.BaseTransport):
    """Hands requests to the test client, and counts them."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.count = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.count += 1
        reply = self.client.request(
            request.method,
            request.url.path,
            content=request.read(),
            headers=dict(request.headers),
        )
        return httpx2.Response(
            reply.status_code, headers=dict(reply.headers), content=reply.content
        )
