"""What scoring over HTTP costs beside an endpoint that does nothing but HTTP.

1,024 string reversals a request, against bare FastAPI endpoints that parse the same body
with pydantic and return an answer of the same length: one builds it, a pydantic object a
sample, as an endpoint written in an afternoon would; the other returns ready-made bytes,
the least that any server could do. All in turn over one connection each, in one run.
"""

from __future__ import annotations

import contextlib
import random
import socket
import statistics
import string
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

from app.routes.schemas import ScoreRequest
from benchmarks.processes import assay_service, started, wait_until_up
from benchmarks.results import Row, write
from tests.processes import memory_bytes

SAMPLES = 1_024
ROUNDS = 60
WARM_UP = 10


def main() -> None:
    body = request_body()
    with assay_service("--log-level", "warning") as (ours, pid), bare_server() as bare:
        idle_mb = memory_bytes(pid) / 1e6
        with httpx.Client(base_url=ours) as client:
            length = len(client.post("/v1/score", json=body).content)
        urls = {
            "assay": f"{ours}/v1/score",
            "built": f"{bare}/built",
            "bytes": f"{bare}/bytes/{length}",
        }
        times = measure(urls, body)
    median = {name: statistics.median(seconds) * 1e3 for name, seconds in times.items()}
    built, canned = median["assay"] / median["built"], median["assay"] / median["bytes"]
    rows = [
        Row(
            "against an endpoint that builds its answer",
            "at most 2×",
            f"{built:.2f}× ({median['assay']:.1f} ms against {median['built']:.1f} ms)",
            built <= 2,
        ),
        Row(
            "against an endpoint that returns ready-made bytes",
            "at most 2×",
            f"{canned:.2f}× ({median['assay']:.1f} ms against {median['bytes']:.1f} ms)",
            canned <= 2,
        ),
        Row("samples a second, one client", "", f"{SAMPLES / median['assay'] * 1e3:,.0f}"),
        Row(
            "memory of the service and its worker (PSS)",
            "at most 120 MB",
            f"{idle_mb:.0f} MB",
            idle_mb <= 120,
        ),
    ]
    write("service", "Scoring over HTTP", rows, f"{SAMPLES:,} string reversals a request.")


def request_body() -> dict[str, Any]:
    rng = random.Random(0)
    texts = ["".join(rng.choices(string.ascii_letters + " ", k=20)) for _ in range(SAMPLES)]
    samples = [
        {"prompt": f"Reverse: {text}", "completion": text[::-1], "reference": text}
        for text in texts
    ]
    return {"scorer": "string_reversal", "samples": samples}


def measure(urls: dict[str, str], body: dict[str, Any]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in urls}
    with httpx.Client() as client:
        content = client.build_request("POST", urls["assay"], json=body).content
        headers = {"Content-Type": "application/json"}
        for round_number in range(WARM_UP + ROUNDS):
            for name, url in urls.items():
                started = time.perf_counter()
                client.post(url, content=content, headers=headers).raise_for_status()
                if round_number >= WARM_UP:
                    times[name].append(time.perf_counter() - started)
    return times


class BareScore(BaseModel):
    """A score as an endpoint written in an afternoon would have it."""

    id: str
    reward: float | None = None
    error: str | None = None
    outcome: str | None = None
    answer: str | None = None
    components: dict[str, float] = {}
    details: dict[str, Any] = {}
    scorer: dict[str, str] | None = None
    elapsed_ms: float = 0.0
    cached: bool = False


class BareResponse(BaseModel):
    request_id: str
    scores: list[BareScore]
    summary: dict[str, float]


def bare_app() -> FastAPI:
    app = FastAPI()
    scorer = {"name": "string_reversal", "version": "1", "digest": "0123456789abcdef"}

    @app.post("/built")
    async def built(body: ScoreRequest) -> BareResponse:
        scores = [
            BareScore(
                id=str(index),
                reward=1.0,
                outcome="correct",
                answer=sample.text,
                scorer=scorer,
                elapsed_ms=0.001,
            )
            for index, sample in enumerate(body.samples)
        ]
        summary = {"count": len(scores), "scored": len(scores), "failed": 0, "mean": 1.0, "std": 0}
        return BareResponse(request_id="0" * 32, scores=scores, summary=summary)

    @app.post("/bytes/{length}")
    async def ready_made(length: int, body: ScoreRequest) -> Response:
        return Response(b"x" * length, media_type="application/json")

    return app


@contextlib.contextmanager
def bare_server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started("-m", "benchmarks.service", str(port)):
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url)
        yield url


if __name__ == "__main__":
    uvicorn.run(bare_app(), port=int(sys.argv[1]), log_level="error")
