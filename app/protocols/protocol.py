"""The one shape in which every protocol is declared, and what becomes of it in the service.

A declaration is data. The functions that it names are plain, and hold one protocol's knowledge:

    parse(body) -> samples          what its request asks
    render(scores) -> reply         what scores look like in its reply
    handler(gateway, request, …)    one conversation: parse, `gateway.score`, render

What is the same for all of them is here: keys in any form, strict JSON, refusals in the
system's own words and the advice on retries.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.http.errors import PROBLEMS, detail_of, faults_of, row_of
from app.http.keys import key_in_any_form
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from app.lanes.lane import RETRY_AFTER_S
from app.protocols.gateway import Gateway
from app.routes.exchange import CLIENT_CLOSED_REQUEST, ClientLeft

logger = logging.getLogger(__name__)

SHOULD_RETRY = "X-Should-Retry"
"""Read by OpenAI's client, and by people."""

STATUSES = {int(status): told["description"] for status, told in PROBLEMS.items()} | {
    413: "Body too large, or too many samples",
    422: "A malformed request",
    424: "The scorer gave no verdict, and would not if asked again",
    500: "Something of ours broke",
    503: "Not scored for now; retry after `Retry-After` seconds",
}

IN_BRACES = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no score, for a protocol to say in its own words."""

    status: int
    code: str
    message: str
    field: str | None = None
    """The first offending field, where the request is malformed."""


class ErrorReply(BaseModel, ABC):
    """A refusal in the form that a system's clients read."""

    @classmethod
    @abstractmethod
    def of(cls, refusal: Refusal) -> Self: ...


class DetailReply(ErrorReply):
    """As servers that are written with FastAPI say it."""

    detail: str
    code: str

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        return cls(detail=refusal.message, code=refusal.code)


class MessageReply(ErrorReply):
    """As small servers say it that were written for one trainer."""

    error: str
    code: str

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        return cls(error=refusal.message, code=refusal.code)


@dataclass(frozen=True, slots=True)
class Route:
    """One conversation, and where it is held."""

    path: str
    handler: Callable[..., Coroutine[Any, Any, Any]]
    """`async def handler(gateway, request, body, …)`: FastAPI reads its signature, all but the
    gateway, and its docstring."""
    reply: Any = None
    """The type of the reply, for the OpenAPI document, where the handler returns a `Response`."""
    summary: str | None = None
    method: str = "POST"
    at_root: bool = True
    """Whether the path is served without the protocol's prefix, too."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings, by name, that change the default of a query parameter, which is a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Another system's wire format."""

    name: str
    """Its switch in `[protocols]`. The systems of a family share one."""
    system: str
    """Whose format it is, as the OpenAPI document and the table of README.md call it."""
    on: bool = True
    """Whether it is served unless switched off. What runs programs for whoever may call is not."""
    under: str = ""
    """A prefix of its addresses. `{preset}` in it stands for the scorer, which `gateway.scorer`
    finds: then addresses without the prefix need a default preset in the settings."""
    routes: Sequence[Route]
    error: type[ErrorReply] = DetailReply
    """How it is told why there is no score."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """What becomes of those of our statuses that its clients would misread."""

    def router(self, gateway: Gateway) -> APIRouter:
        documented: dict[int | str, dict[str, Any]] = {
            self.statuses.get(status, status): {"model": self.error, "description": meaning}
            for status, meaning in STATUSES.items()
        }
        form = route_class(self)
        router = QuickRouter(route_class=form, tags=[self.system], responses=documented)
        given = gateway.settings.protocols.given
        default = gateway.settings.protocols.default_preset
        for route in self.routes:
            chosen = {to: given[name] for name, to in route.options.items() if name in given}
            handler = partial(route.handler, gateway, **chosen)
            handler.__doc__ = route.handler.__doc__
            more: dict[str, Any] = {"name": route.handler.__name__, "summary": route.summary}
            if route.reply is not None:
                more["response_model"] = route.reply
            bare = route.at_root and (default is not None or "{preset}" not in self.under)
            for prefix in sorted({self.under, "" if bare else self.under}):
                path = prefix + route.path
                router.add_api_route(
                    path, handler, methods=[route.method], openapi_extra=in_path(path), **more
                )
        return router

    def refusal(self, error: Exception) -> Response:
        """What its client hears of any exception."""
        row = row_of(error)
        if row.status == 500:
            logger.exception("a foreign route failed", exc_info=error)
        faults = faults_of(error)
        refusal = Refusal(
            status=self.statuses.get(row.status, row.status),
            code=row.code,
            message=detail_of(error, row, faults),
            field=faults[0][0] if faults else None,
        )
        headers = dict(getattr(error, "headers", None) or {})
        headers[SHOULD_RETRY] = "true" if row.retryable else "false"
        if row.retryable:
            headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        content = self.error.of(refusal).model_dump_json()
        return Response(content, refusal.status, headers, "application/json")


def route_class(protocol: Protocol) -> type[StrictRoute]:
    """A class of routes that say everything, errors included, in the protocol's form."""

    class ForeignRoute(StrictRoute):
        def check_key(self, request: Request) -> None:
            request.app.state.check_key(request, key_in_any_form)

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_in_its_form(request: Request) -> Response:
                try:
                    return await handle(request)
                except ClientLeft:
                    return Response(None, CLIENT_CLOSED_REQUEST)
                except Exception as error:
                    return protocol.refusal(error)

            return handle_in_its_form

    return ForeignRoute


def in_path(path: str) -> dict[str, Any]:
    """What stands in braces in an address, for the OpenAPI document.

    Handlers have no argument for it, for they serve addresses with a preset and without. Nor
    would that come free: measured on slime's route in process, an argument takes 3 % of a
    request's time, a dependency 9 %.
    """
    required = {"in": "path", "required": True, "schema": {"type": "string"}}
    parameters = [{"name": name, **required} for name in IN_BRACES.findall(path)]
    return {"parameters": parameters} if parameters else {}
