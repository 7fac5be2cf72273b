"""vLLM's routes of reward models: classify, pooling, score, rerank; and embeddings, models.

There is no place for a score that failed, so one fails the request: 503 where trying again
may help, also where a lane is full, for verl tries no 4xx again; else a 4xx. The root's
`/v1/score` is the service's own; vLLM's is at `/score`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated, Any, Self

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.http.log import request_id
from app.http.openapi import WHOLE, given
from app.protocols.gateway import BadRequest, Gateway, reply
from app.protocols.model_servers.rating import (
    LABEL,
    NO_NORMALIZE,
    REWARD_MODEL,
    USAGE,
    ModelRequest,
    SomeTexts,
    TextRequest,
    VectorRequest,
    best_first,
    paired,
    rate,
    vector,
)
from app.protocols.protocol import ErrorReply, Protocol, Refusal, Route
from verifiers.base import Sample

PAIRS = (
    ("text_1", "text_2"),
    ("data_1", "data_2"),
    ("queries", "documents"),
    ("queries", "items"),
)
"""The names under which the two sides of `/score` have gone."""

STATUSES = {422: 400, 429: 503}
"""What becomes of ours: vLLM's word for a malformed request, and a full lane as above."""

TYPES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    413: "BadRequestError",
    415: "BadRequestError",
    503: "ServiceUnavailableError",
}


class ErrorInfo(BaseModel):
    message: str
    type: str
    param: str | None
    code: int


class ServingError(ErrorReply):
    error: ErrorInfo

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        kind = TYPES.get(refusal.status, "InternalServerError")
        status, message, field = refusal.status, refusal.message, refusal.field
        return cls(error=ErrorInfo(message=message, type=kind, param=field, code=status))


class VllmScoreRequest(ModelRequest):
    """Two sides, under any of their names."""

    model_config = ConfigDict(
        json_schema_extra={
            **NO_NORMALIZE,
            "anyOf": [{"allOf": [given(one), given(other)]} for one, other in PAIRS],
        }
    )

    text_1: SomeTexts = None
    text_2: SomeTexts = None
    data_1: SomeTexts = None
    data_2: SomeTexts = None
    queries: SomeTexts = None
    documents: SomeTexts = None
    items: SomeTexts = None

    def samples(self) -> list[Sample]:
        for names in PAIRS:
            one, other = (getattr(self, name) for name in names)
            if one is not None and other is not None:
                return paired(one, other, names)
        raise BadRequest("text_1 and text_2 are needed", "text_1")


class VllmRerankRequest(ModelRequest):
    query: str
    documents: list[str] = Field(min_length=1)
    top_n: Annotated[int, Field(ge=0), WHOLE] = Field(
        0, description="How many to return; 0 for all."
    )

    def samples(self) -> list[Sample]:
        return paired(self.query, self.documents, ("query", "documents"))


def head(body: ModelRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"{kind}-{request_id.get()}",
        "created": int(time.time()),
        "model": body.model or REWARD_MODEL,
        "usage": USAGE,
    }


def listed(body: ModelRequest, kind: str, entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    data = [{"index": index, **entry} for index, entry in enumerate(entries)]
    return {**head(body, kind), "object": "list", "data": data}


async def classify(gateway: Gateway, request: Request, body: TextRequest) -> Response:
    rewards = await rate(gateway, request, body)
    entries = ({"label": LABEL, "probs": [reward], "num_classes": 1} for reward in rewards)
    return reply(listed(body, "classify", entries))


async def pooling(gateway: Gateway, request: Request, body: VectorRequest) -> Response:
    rewards = await rate(gateway, request, body)
    vectors = (vector(reward, body.encoding_format) for reward in rewards)
    return reply(listed(body, "pool", ({"object": "pooling", "data": each} for each in vectors)))


async def embeddings(gateway: Gateway, request: Request, body: VectorRequest) -> Response:
    rewards = await rate(gateway, request, body)
    vectors = (vector(reward, body.encoding_format) for reward in rewards)
    entries = ({"object": "embedding", "embedding": each} for each in vectors)
    return reply(listed(body, "embd", entries))


async def score(gateway: Gateway, request: Request, body: VllmScoreRequest) -> Response:
    rewards = await rate(gateway, request, body)
    entries = ({"object": "score", "score": reward} for reward in rewards)
    return reply(listed(body, "score", entries))


async def rerank(gateway: Gateway, request: Request, body: VllmRerankRequest) -> Response:
    rewards = await rate(gateway, request, body)
    texts = body.documents
    results = [
        {"index": i, "document": {"text": texts[i]}, "relevance_score": rewards[i]}
        for i in best_first(rewards)[: body.top_n or None]
    ]
    return reply({**head(body, "rerank"), "results": results})


async def models(gateway: Gateway) -> dict[str, Any]:
    """The presets and the reward models: what `model` may name."""
    names = sorted({*gateway.registry.presets, *gateway.settings.reward_models})
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "assay"} for name in names]
    return {"object": "list", "data": data}


PROTOCOL = Protocol(
    name=REWARD_MODEL,
    system="vLLM",
    under="/compat/vllm",
    routes=[
        Route("/classify", classify),
        Route("/v1/classify", classify),
        Route("/pooling", pooling),
        Route("/score", score),
        Route("/v1/score", score, at_root=False),  # there, it is the service's own
        Route("/rerank", rerank),
        Route("/v1/rerank", rerank),
        Route("/v2/rerank", rerank),
        Route("/v1/embeddings", embeddings),
        Route("/v1/models", models, method="GET"),
    ],
    error=ServingError,
    statuses=STATUSES,
)
