"""How much of an LLM endpoint's own speed is left when a judge asks it.

The endpoint is a process of its own that answers every chat completion after 200 ms. 64 calls
at a time could then bring 320 replies a second. It takes next to no CPU time, which it would
take from the judge on a small machine. The judge keeps caps, records every reply in a file, never
asks the same twice, and runs on uvloop, as in service.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import uvloop
from pydantic import TypeAdapter

from benchmarks.processes import started, wait_until_up
from benchmarks.results import Row, write
from judges.llm.base import Ask, Judge, Turn
from judges.llm.hosting import Judges
from judges.llm.settings import JudgeSettings

LATENCY_S = 0.2
CONCURRENCY = 64
CALLS = 64 * 30
WARM_UP = 64
PROMPT = "Does the answer below meet the criterion? Reply in JSON. " * 20
"""Some two kilobytes, as a rubric's question is."""

TARGET = 0.9


def main() -> None:
    with endpoint() as url, tempfile.TemporaryDirectory() as folder:
        fresh, again = uvloop.run(measure(url, Path(folder) / "judges.db"))
    ideal = CONCURRENCY / LATENCY_S
    rate = CALLS / fresh.seconds
    rows = [
        Row(
            f"replies a second, {CONCURRENCY} at a time",
            f"at least {TARGET:.0%} of {ideal:,.0f}",
            f"{rate:,.0f} ({rate / ideal:.1%})",
            rate >= TARGET * ideal,
        ),
        Row("CPU of the service a call", "", f"{fresh.cpu_s / CALLS * 1e3:.2f} ms"),
        Row("recorded replies a second", "", f"{CALLS / again.seconds:,.0f}"),
        Row("CPU of the service a recorded reply", "", f"{again.cpu_s / CALLS * 1e3:.2f} ms"),
    ]
    notes = f"{CALLS:,} different questions of two kilobytes; an endpoint that takes 200 ms."
    write("judges", "Asking LLM judges", rows, notes)


class Timed:
    """Wall and CPU time of this process."""

    def __enter__(self) -> Timed:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._wall
        self.cpu_s = time.process_time() - self._cpu


async def measure(url: str, store: Path) -> tuple[Timed, Timed]:
    """Asking for the first time, and for the same again."""
    judges = Judges({"grader": settings(url)}, store)
    judge = judges["grader"]
    await ask(judge, "warm-up", WARM_UP)
    with Timed() as fresh:
        await ask(judge, "question", CALLS)
    with Timed() as again:
        await ask(judge, "question", CALLS)
    await judges.close()
    return fresh, again


def settings(url: str) -> Any:
    table = {
        "kind": "chat",
        "base_url": f"{url}/v1",
        "model": "scripted",
        "max_concurrency": CONCURRENCY,
        "price": {"prompt": 0.15, "completion": 0.6},
        "run_cap": {"cost": 1_000.0},
        "key_cap": {"cost": 1_000.0},
    }
    return TypeAdapter(JudgeSettings).validate_python(table)


async def ask(judge: Judge, kind: str, count: int) -> None:
    asks = (Ask((Turn("user", f"{PROMPT} {kind} {number}"),)) for number in range(count))
    for reply in await asyncio.gather(*map(judge.ask, asks)):
        assert reply.text == "yes"


DOCUMENT = json.dumps(
    {
        "choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 1},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(DOCUMENT),
    DOCUMENT,
)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answering(asyncio.Protocol):
    """A connection to the endpoint, which replies to every request once that is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, blank, body = self.received.partition(b"\r\n\r\n")
        told = LENGTH.search(head)
        if blank and len(body) == (int(told[1]) if told else 0):
            self.received = b""
            loop = asyncio.get_running_loop()
            loop.call_later(LATENCY_S, self.transport.write, REPLY)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    await server.serve_forever()


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started("-m", "benchmarks.judges", str(port)):
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url)
        yield url


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
