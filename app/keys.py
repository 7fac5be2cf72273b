"""`Authorization: Bearer KEY`, where keys are configured."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fastapi import Request
from fastapi.security import HTTPBearer

from app.errors import MissingKey, WrongKey
from app.settings import Settings

BEARER = HTTPBearer(auto_error=False, description="One of the service's API keys")
"""Tells the OpenAPI document of the keys. They are checked before a body is even read."""


def key_check(settings: Settings) -> Callable[[Request], None]:
    """A function that refuses requests without one of the settings' keys, if there are any."""
    accepted = [key.get_secret_value().encode() for key in settings.api_keys]

    def check(request: Request) -> None:
        if not accepted:
            return
        key = key_of(request)
        if not key:
            raise MissingKey(
                "send the header Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        given = key.encode()
        if not any(hmac.compare_digest(given, known) for known in accepted):
            raise WrongKey("this key is not one of the service's")

    return check


def key_of(request: Request) -> str:
    """The bearer key that a request came with; empty without one."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
