"""A reward service that misbehaves on cue: real sockets, a script, and a log of what came.

Its honest answer rewards a completion with the number it spells, so that a reward in the
wrong place is seen at once.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from trainer_client import Retry, RewardClient, Score

QUICK = Retry(base_s=0.002, max_s=0.02)

Act = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """One request, and when it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        return [sample["id"] for sample in self.document["samples"]]


class ScriptedServer:
    """Answers each `POST /v1/score`, and each report to a monitor, with the next act of its
    script, then honestly.

    Args:
        script: acts in the order of requests, or a function from request to act.
    """

    def __init__(self, script: Iterable[Act] | Callable[[Received], Act] = (), port: int = 0):
        if callable(script):
            self.choose = script
        else:
            acts = iter(script)
            self.choose = lambda _: next(acts, honest)
        self.port = port
        self.received: list[Received] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.crashes: list[BaseException] = []
        self.begun = threading.Event()
        self.client_left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> list[str]:
        return [request.key for request in self.received]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert not self.crashes, "the script itself is broken"

    def start(self) -> None:
        listening = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(listening),))
        self._thread.start()
        assert listening.wait(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.stop_soon()
        self._thread.join()

    def stop_soon(self) -> None:
        """Ends the server, without waiting: an act may say so, too."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _run(self, listening: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await self._stopping.wait()
        server.close()
        for task, writer in self._open.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                request = await read_request(reader)
                await self._act(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _act(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        act = honest
        if request.path == "/v1/score" or request.path.startswith("/v1/monitors/"):
            self.received.append(request)
            act = self.choose(request)
            self.begun.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        acting = asyncio.ensure_future(act(request, writer))
        leaving = asyncio.ensure_future(departure(reader))
        try:
            await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not acting.done():
                self.client_left.set()
        finally:
            self.at_once -= 1
            for task in (acting, leaving):
                task.cancel()
            outcome, _ = await asyncio.gather(acting, leaving, return_exceptions=True)
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                self.crashes.append(outcome)
                writer.close()


async def departure(reader: asyncio.StreamReader) -> None:
    """Returns once the client has closed its side. Reads nothing, for that may be a request."""
    while not (reader.at_eof() or reader.exception()):  # noqa: ASYNC110 (nothing tells us)
        await asyncio.sleep(0.01)


async def read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)


# --- acts -------------------------------------------------------------------------------


def scored(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The honest score of a sample."""
    return {
        "id": sample["id"],
        "reward": float(sample["completion"]),
        "error": None,
        "outcome": "correct",
        "answer": sample["completion"],
        "components": {},
        "details": {},
        "scorer": {"name": "number", "version": "1", "digest": "9f2c"},
        "elapsed_ms": 0.1,
        "cached": False,
    }


def failed(score: dict[str, Any], code: str, *, retryable: bool) -> dict[str, Any]:
    """The score as it would be had it failed."""
    error = {"code": code, "message": "not today", "retryable": retryable}
    return score | {"reward": None, "outcome": None, "error": error}


def envelope(scores: list[dict[str, Any]]) -> bytes:
    return json.dumps({"request_id": "r1", "scores": scores, "summary": {}}).encode()


def honest_scores(request: Received) -> list[dict[str, Any]]:
    return [scored(sample) for sample in request.document["samples"]]


async def honest(request: Received, writer: asyncio.StreamWriter) -> None:
    if request.path == "/v1/score":
        body = envelope(honest_scores(request))
    else:
        body = json.dumps({"scorers": [{"name": "number"}], "presets": []}).encode()
    await send(writer, 200, body)


def later(delay_s: float) -> Act:
    """The honest answer, after a while."""

    async def act(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay_s)
        await honest(request, writer)

    return act


def scores(change: Callable[[list[dict[str, Any]]], Any]) -> Act:
    """The honest scores, changed."""

    async def act(request: Received, writer: asyncio.StreamWriter) -> None:
        items = honest_scores(request)
        changed = change(items)
        await send(writer, 200, envelope(items if changed is None else changed))

    return act


def reply(status: int, body: bytes = b"", media_type: str = "text/plain", **headers: str) -> Act:
    async def act(_: Received, writer: asyncio.StreamWriter) -> None:
        await send(writer, status, body, media_type, headers)

    return act


def problem(status: int, code: str, *, retryable: bool, headers: Any = None, **more: Any) -> Act:
    """A problem document as the service writes them."""
    document = {"type": f"urn:assay:problem:{code}", "title": code, "status": status}
    document |= {"detail": "for a test", "code": code, "retryable": retryable, "request_id": "r9"}
    body = json.dumps(document | more).encode()
    return reply(status, body, "application/problem+json", **(headers or {}))


async def send(
    writer: asyncio.StreamWriter,
    status: int,
    body: bytes,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    *,
    declared: int | None = None,
) -> None:
    length = len(body) if declared is None else declared
    lines = {"content-type": media_type, "content-length": str(length), **(headers or {})}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + body)
    await writer.drain()


async def hang_up(_: Received, writer: asyncio.StreamWriter) -> None:
    """Closes without a word."""
    writer.close()


async def reset_mid_body(request: Received, writer: asyncio.StreamWriter) -> None:
    """Half a body, then a TCP reset."""
    body = envelope(honest_scores(request))
    await send(writer, 200, body[: len(body) // 2], declared=len(body))
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()


async def close_mid_body(request: Received, writer: asyncio.StreamWriter) -> None:
    """Half a body, then an orderly end."""
    body = envelope(honest_scores(request))
    await send(writer, 200, body[: len(body) // 2], declared=len(body))
    writer.close()


async def head_then_hang(_: Received, writer: asyncio.StreamWriter) -> None:
    """The header promises a body that never comes."""
    await send(writer, 200, b"", declared=1_000)
    await asyncio.sleep(3_600)


async def hang(_: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3_600)


async def drip(request: Received, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no read ever times out, the reply never ends."""
    await send(writer, 200, b"", declared=1_000)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def not_http(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    writer.close()


# --- the other side of it ---------------------------------------------------------------


def client_of(server: ScriptedServer, **options: Any) -> RewardClient:
    return RewardClient(server.url, **{"retry": QUICK, **options})


def samples(count: int) -> list[dict[str, Any]]:
    return [{"completion": str(number)} for number in range(count)]


def numbers(count: int) -> list[float]:
    """What the honest server rewards `samples(count)` with."""
    return [float(number) for number in range(count)]


def rewards(found: Iterable[Score]) -> list[float | None]:
    return [score.reward for score in found]
