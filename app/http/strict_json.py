"""JSON as RFC 8259 has it, for every route that takes a body.

Python's own parser accepts NaN, infinities and lone surrogates, none of which may reach a
scorer or come back out. msgspec refuses them; since it says no more than a position, what
it refuses is read again leniently to name the field at fault.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any, ClassVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from app.http import exact_json
from app.http.errors import MAX_FAULTS, BodyTooLarge, Fault, NotJson, NotJsonType, NotJsonValue

NOT_UNICODE = "lone surrogates are not Unicode text"


class StrictRequest(Request):
    """A request whose body is bounded and whose `json()` is strict."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = await self._read(self.app.state.settings.max_body_bytes)
        return self._body

    async def _read(self, limit_bytes: int) -> bytes:
        too_large = BodyTooLarge(f"a request may have {limit_bytes} bytes")
        if declared_bytes(self) > limit_bytes:
            raise too_large
        chunks, size = [], 0
        async for chunk in self.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit_bytes:
                raise too_large
        return b"".join(chunks)

    async def json(self) -> Any:
        body = await self.body()
        try:
            return exact_json.loads(body)
        except exact_json.NotStrictJson as error:
            return self.reread(body, error)

    def reread(self, body: bytes, error: exact_json.NotStrictJson) -> Any:
        """What to make of a body that is not strict JSON: nothing.

        Raises:
            NotJson: nor is it lenient JSON.
            NotJsonValue: naming the values that only lenient JSON has.
        """
        faults = list(islice(unspeakable(leniently(body, error)), MAX_FAULTS))
        raise NotJsonValue("not strict JSON", faults=faults) if faults else NotJson(str(error))


class StrictRoute(APIRoute):
    """A route whose body must be declared as JSON and be JSON, and is read for known keys.

    The declaration is demanded because browsers send other types across origins unasked.
    """

    request_type: ClassVar[type[StrictRequest]] = StrictRequest

    def check_key(self, request: Request) -> None:
        request.app.state.check_key(request)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            self.check_key(request)
            if self.body_field is not None and not declares_json(request):
                raise NotJsonType("send the header Content-Type: application/json")
            strict = self.request_type(request.scope, request.receive)
            if self.body_field is not None and not await strict.body():
                raise NotJson("the body is empty")
            return await handle(strict)

        return handle_strictly


def declared_bytes(request: Request) -> int:
    """The Content-Length, so that what is too large need not be sent; 0 where there is none."""
    declared = request.headers.get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


def declares_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def leniently(body: bytes, error: exact_json.NotStrictJson) -> Any:
    """The value as Python reads it.

    Raises:
        NotJson: it is none to Python, too.
    """
    try:
        return json.loads(body.decode(errors="surrogatepass"))
    except json.JSONDecodeError as plain:
        raise NotJson(f"{plain.msg} at line {plain.lineno}, column {plain.colno}") from None
    except (ValueError, RecursionError):
        raise NotJson(str(error)) from None


def unspeakable(root: Any) -> Iterator[Fault]:
    """The places of values that Python reads and JSON does not have."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), root)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            for key in value:
                if not is_unicode(key):
                    yield (*path, key), NOT_UNICODE
            stack.extend(((*path, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            stack.extend(((*path, index), inner) for index, inner in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            yield path, "a finite number is needed"
        elif isinstance(value, str) and not is_unicode(value):
            yield path, NOT_UNICODE


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
