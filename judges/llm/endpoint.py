"""One POST of JSON to an endpoint, and all that can go wrong with it.

The reply is bounded in bytes and in time as a whole, so that neither a flood nor a drip holds
a call. Nothing that the endpoint says reaches an error but its status and its error's code:
endpoints repeat keys and prompts in their complaints.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx
import orjson

from judges.llm.failures import (
    Busy,
    CallFailed,
    CutOff,
    NoReply,
    NotConnected,
    Rejected,
    ServerError,
    Unusable,
)

MAX_REPLY_BYTES = 4 * 1024 * 1024
"""A verdict is a few kilobytes. The longest reasoning with it is below a megabyte."""

MAX_COMPLAINT_BYTES = 64 * 1024

KEEP_ALIVE_S = 20.0
"""Idle connections are left before most endpoints hang up on them: that would look like a
call without a reply."""

CODE = re.compile(r"[A-Za-z_]{1,40}")
"""What an error's code looks like. Keys hold digits or dashes, and are never quoted."""

TRY_LATER = frozenset({408, 409, 425, 429})
NEVER = frozenset({501, 505})
NO_MONEY = "insufficient_quota"
"""A 429 that no waiting helps."""


parsed = lru_cache(httpx.URL)
"""Takes longer than to read a reply."""


class Endpoint:
    """Where judges answer over HTTP. Its key is in no error, log or repr.

    Args:
        base_url: without a trailing slash, query or user.
        api_key_env: the environment variable whose value is sent as a bearer token.

    Raises:
        ValueError: the environment names a proxy that is none.
    """

    def __init__(self, base_url: str, *, api_key_env: str | None = None) -> None:
        self.base_url = base_url
        self._proxy = proxy_to(httpx.URL(base_url))
        self.fault: str | None = None
        """Why nothing can be sent to it."""
        self._headers = httpx.Headers(
            {
                "Content-Type": "application/json",
                # A compressed bomb would be unpacked before its size is known.
                "Accept-Encoding": "identity",
            }
        )
        if api_key_env is not None:
            key = os.environ.get(api_key_env, "").strip()
            if not (key.isascii() and key.isprintable() and key):
                self.fault = f"the environment variable {api_key_env} holds no key"
            self._headers["Authorization"] = f"Bearer {key}"
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._ssl: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"

    async def post(self, path: str, body: bytes, timeout_s: float) -> Any:
        """The JSON document that the endpoint answers with.

        Raises:
            CallFailed: whatever else it does.
        """
        if self.fault is not None:
            raise Rejected(self.fault)
        request = httpx.Request(
            "POST", parsed(self.base_url + path), headers=self._headers, content=body
        )
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(timeout_s), self._connection() as connection:
                response = await connection.handle_async_request(request)
                try:
                    content = await content_of(response)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise NotConnected("the endpoint cannot be reached") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise unfinished(response, error, timeout_s) from None
        if not response.is_success:
            raise complaint(response, content)
        return document(content)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[httpx.AsyncHTTPTransport]:
        """A transport of one connection, for one call at a time.

        httpx looks through all connections of a transport at every call, which for 64 of them
        takes longer than all else. A list of transports of one each takes none.
        """
        connection = self._idle.pop() if self._idle else self._new_connection()
        try:
            yield connection
        except BaseException:
            await connection.aclose()
            raise
        self._idle.append(connection)

    def _new_connection(self) -> httpx.AsyncHTTPTransport:
        # A client around it would take half as long again, for cookies, redirects and sign-in.
        # Redirects would take the prompt, and the bill, elsewhere.
        self._ssl = self._ssl or httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE_S)
        return httpx.AsyncHTTPTransport(verify=self._ssl, limits=limits, proxy=self._proxy)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()


def proxy_to(url: httpx.URL) -> httpx.Proxy | None:
    """The proxy that the environment names for `url`: HTTPS_PROXY, ALL_PROXY, NO_PROXY …

    Raises:
        ValueError: it names what is none.
    """
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode()):
        return None
    return httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")


async def content_of(response: httpx.Response) -> bytes:
    """The body as it was sent. Of a complaint the beginning is enough.

    Raises:
        CutOff: it is too long, or encoded against our wish.
    """
    plain = response.headers.get("content-encoding", "identity").lower() == "identity"
    if not response.is_success:
        return await start_of(response, MAX_COMPLAINT_BYTES) if plain else b""
    if not plain:
        raise CutOff("the endpoint compressed its reply, which it was asked not to")
    content = await start_of(response, MAX_REPLY_BYTES + 1)
    if len(content) > MAX_REPLY_BYTES:
        raise CutOff(f"the reply is longer than {MAX_REPLY_BYTES:,} bytes")
    return content


async def start_of(response: httpx.Response, most: int) -> bytes:
    """The body, or as much of it."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= most:
            break
    return bytes(content[:most])


def unfinished(response: httpx.Response | None, error: Exception, timeout_s: float) -> CallFailed:
    """What a reply comes to that did not end, or never began."""
    if response is not None and not response.is_success:
        return complaint(response, b"")
    what = (
        f"no whole reply within {timeout_s:g} s"
        if isinstance(error, TimeoutError)
        else f"the connection broke ({type(error).__name__})"
    )
    return NoReply(what) if response is None else CutOff(what)


def complaint(response: httpx.Response, content: bytes) -> CallFailed:
    """What a reply comes to that says what is wrong."""
    status, code = response.status_code, error_code(content)
    message = f"the endpoint answered {status}" + (f" ({code})" if code else "")
    if status in TRY_LATER and code != NO_MONEY:
        failure: type[CallFailed] = Busy
    elif status >= 500 and status not in NEVER:
        failure = ServerError
    else:
        failure = Rejected
    return failure(message, status=status, retry_after_s=retry_after_s(response.headers))


def error_code(content: bytes) -> str:
    """The short name that an OpenAI-compatible endpoint gives its error."""
    try:
        error = orjson.loads(content)["error"]
        named = error.get("code") or error.get("type")
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return ""
    return named if isinstance(named, str) and CODE.fullmatch(named) else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the endpoint wants us to wait (RFC 9110, 10.2.3: seconds or a date).

    A date is compared with the reply's own, so that a wrong clock on either side is harmless.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    until = timestamp(value)
    if until is None:
        return None
    sent = timestamp(headers.get("date", ""))
    return max(0.0, until - (time.time() if sent is None else sent))


def timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def document(content: bytes) -> Any:
    try:
        return orjson.loads(content)  # strict: UTF-8, no NaN, no lone surrogates
    except orjson.JSONDecodeError:
        raise Unusable("the reply is not JSON in UTF-8") from None
