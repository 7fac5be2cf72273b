"""An OpenAI-compatible endpoint that misbehaves on cue, over real sockets.

Its honest reply spells out what it was asked, so that a reply in the wrong place is seen at
once, and it keeps what it received and what it would have billed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from judges.llm.base import Ask, Turn

PROMPT_TOKENS, COMPLETION_TOKENS = 40, 10
"""What every honest reply takes."""

Act = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def question(self) -> str:
        """The last turn, or the evidence of a decision."""
        body = self.document
        if "messages" in body:
            return str(body["messages"][-1]["content"])
        return str(body.get("input") or body["state"])


class ScriptedEndpoint:
    """Answers each request with the next act of its script, then honestly.

    Args:
        script: acts in the order of requests, or a function from request to act.
        latency_s: before every act.
    """

    def __init__(
        self, script: Iterable[Act] | Callable[[Request], Act] = (), latency_s: float = 0.0
    ) -> None:
        if callable(script):
            self._choose = script
        else:
            acts = iter(script)
            self._choose = lambda _: next(acts, honest)
        self._latency_s = latency_s
        self.received: list[Request] = []
        self.billed: Counter[str] = Counter()
        """Whole replies sent, by question."""
        self.at_once = self.most_at_once = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._crashes: list[Exception] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def questions(self) -> list[str]:
        return [request.question for request in self.received]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self._crashes, self._crashes

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                await self._answer(await read_request(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:  # the script itself is broken
            self._crashes.append(error)
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.received.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self._latency_s:
                await asyncio.sleep(self._latency_s)
            act = self._choose(request)
            if getattr(act, "bills", False):
                self.billed[request.question] += 1
            await act(request, writer)
        finally:
            self.at_once -= 1


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split(" ")[1], headers, body)


# --- what it can do ---------------------------------------------------------------------


def billing(act: Act) -> Act:
    """Marks an act for which the endpoint wants money."""
    act.bills = True  # type: ignore[attr-defined]
    return act


def spelled(question: str) -> str:
    """The honest reply."""
    return f"reply to {question}"


def completion(question: str, **choice: Any) -> dict[str, Any]:
    """An honest document, with the members of its choice changed."""
    message = {"role": "assistant", "content": spelled(question)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }


@billing
async def honest(request: Request, writer: asyncio.StreamWriter) -> None:
    await send(writer, 200, json.dumps(completion(request.question)).encode())


def says(text: str, **choice: Any) -> Act:
    """Replies with this text."""

    @billing
    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        message = {"role": "assistant", "content": text}
        body = completion(request.question, **{"message": message, **choice})
        await send(writer, 200, json.dumps(body).encode())

    return act


def choice(**members: Any) -> Act:
    """An honest reply with members of its choice changed."""

    @billing
    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        await send(writer, 200, json.dumps(completion(request.question, **members)).encode())

    return act


def document(body: Any) -> Act:
    """Replies with this document, or these bytes."""

    @billing
    async def act(_: Request, writer: asyncio.StreamWriter) -> None:
        await send(writer, 200, body if isinstance(body, bytes) else json.dumps(body).encode())

    return act


def status(code: int, body: bytes = b"", media_type: str = "text/plain", **headers: str) -> Act:
    """Replies with this status and costs nothing."""

    async def act(_: Request, writer: asyncio.StreamWriter) -> None:
        await send(writer, code, body, media_type, headers)

    return act


def error(code: int, kind: str, message: str = "no", **headers: str) -> Act:
    """An error as OpenAI writes them."""
    body = json.dumps({"error": {"message": message, "type": kind, "code": kind}}).encode()
    return status(code, body, "application/json", **headers)


def later(delay_s: float) -> Act:
    """The honest reply, after a while."""

    @billing
    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay_s)
        await honest(request, writer)

    return act


async def send(
    writer: asyncio.StreamWriter,
    code: int,
    body: bytes,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    *,
    declared: int | None = None,
) -> None:
    length = len(body) if declared is None else declared
    given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    lines = {"content-type": media_type, "content-length": str(length), **given}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {code} Scripted\r\n{head}\r\n".encode() + body)
    await writer.drain()


async def reset(_: Request, writer: asyncio.StreamWriter) -> None:
    """A TCP reset before a reply."""
    linger_not = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    writer.transport.abort()


@billing
async def reset_mid_body(request: Request, writer: asyncio.StreamWriter) -> None:
    """Half a body, then a TCP reset."""
    body = json.dumps(completion(request.question)).encode()
    await send(writer, 200, body[: len(body) // 2], declared=len(body))
    await reset(request, writer)


@billing
async def close_mid_body(request: Request, writer: asyncio.StreamWriter) -> None:
    """Half a body, then an orderly end."""
    body = json.dumps(completion(request.question)).encode()
    await send(writer, 200, body[: len(body) // 2], declared=len(body))
    writer.close()


async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
    """Nothing, ever."""
    await asyncio.sleep(3_600)


@billing
async def head_then_hang(_: Request, writer: asyncio.StreamWriter) -> None:
    """The header promises a body that never comes."""
    await send(writer, 200, b"", declared=1_000)
    await asyncio.sleep(3_600)


@billing
async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no read ever times out, and the reply never ends."""
    await send(writer, 200, b"{", declared=100_000)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_head(_: Request, writer: asyncio.StreamWriter) -> None:
    """The same before the reply has begun."""
    writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)


@billing
async def flood(_: Request, writer: asyncio.StreamWriter) -> None:
    """A body without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


async def not_http(_: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    writer.close()


# --- the other side of it ---------------------------------------------------------------


def asking(question: str, **members: Any) -> Ask:
    return Ask((Turn("system", "You grade."), Turn("user", question)), **members)
