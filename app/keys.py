"""`Authorization: Bearer KEY`, where keys are configured."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.errors import MissingKey, WrongKey
from app.settings import Settings

BEARER = HTTPBearer(auto_error=False, description="One of the service's API keys")


def key_check(settings: Settings) -> Callable[..., Awaitable[None]]:
    """A dependency that lets only known keys pass."""
    accepted = [key.get_secret_value().encode() for key in settings.api_keys]

    async def check(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    ) -> None:
        if given is None:
            raise MissingKey(
                "send the header Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        key = given.credentials.encode()
        if not any(hmac.compare_digest(key, known) for known in accepted):
            raise WrongKey("this key is not one of the service's")

    return check
