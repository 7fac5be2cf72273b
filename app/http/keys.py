"""`Authorization: Bearer KEY`, where keys are configured."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

from fastapi import Request
from fastapi.security import HTTPBearer

from app.http.errors import MissingKey, WrongKey
from app.settings import Settings

BEARER = HTTPBearer(auto_error=False, description="One of the service's API keys")
"""Tells the OpenAPI document of the keys. They are checked before a body is even read."""


FindKey = Callable[[Request], str]
"""The key that a request carries; empty where it carries none."""

Check = Callable[..., None]


def key_of(request: Request) -> str:
    """The bearer key that a request came with; empty without one."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def key_in_any_form(request: Request) -> str:
    """The key as other systems' clients send it.

    Some have an `X-Api-Key`; some can be told nothing but a URL, whose user information
    (`http://any:KEY@host`) their HTTP library sends as Basic credentials.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(credentials, validate=True).decode()
        except ValueError:
            return ""
        return text.partition(":")[2]
    return key_of(request) or request.headers.get("x-api-key", "").strip()


def key_check(settings: Settings) -> Check:
    """A function that refuses requests without one of the settings' keys, if there are any."""
    accepted = [key.get_secret_value().encode() for key in settings.api_keys]

    def check(request: Request, find: FindKey = key_of) -> None:
        if not accepted:
            return
        given = find(request).encode()
        if not given:
            raise MissingKey(
                "send the header Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not any(hmac.compare_digest(given, known) for known in accepted):
            raise WrongKey("this key is not one of the service's")

    return check
