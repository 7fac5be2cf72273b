"""vLLM's routes of reward models: classify, pooling, score, rerank; and embeddings, models.

There is no place for a score that failed, so one fails the request: 503 where trying again
may help, also where a lane is full, for verl tries no 4xx again; else a 4xx. The root's
`/v1/score` is the service's own; vLLM's is at `/score`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from app.http.log import request_id
from app.protocols.gateway import BadRequest, Gateway, Refusal, reply
from app.protocols.reward_models import (
    REWARD_MODEL,
    USAGE,
    ModelRequest,
    TextRequest,
    VectorRequest,
    paired,
    rate,
    vector,
)
from verifiers.base import Sample

PREFIX = "/compat/vllm"

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


class ServingError(BaseModel):
    error: ErrorInfo


class VllmScoreRequest(ModelRequest):
    """Two sides, under any of their names."""

    text_1: Any = None
    text_2: Any = None
    data_1: Any = None
    data_2: Any = None
    queries: Any = None
    documents: Any = None
    items: Any = None

    def samples(self) -> list[Sample]:
        """
        Raises:
            BadRequest: a side is missing, or they do not fit each other.
        """
        for names in PAIRS:
            one, other = (getattr(self, name) for name in names)
            if one is not None and other is not None:
                return paired(one, other, names)
        raise BadRequest("text_1 and text_2 are needed", "text_1")


class VllmRerankRequest(ModelRequest):
    query: str
    documents: list[str] = Field(min_length=1)
    top_n: int = Field(0, ge=0, description="How many to return; 0 for all.")


def refuse(refusal: Refusal) -> ServingError:
    kind = TYPES.get(refusal.status, "InternalServerError")
    return ServingError(
        error=ErrorInfo(
            message=refusal.message, type=kind, param=refusal.field, code=refusal.status
        )
    )


def vllm_router(gateway: Gateway) -> APIRouter:
    router = gateway.router("reward models (vLLM)", refuse, ServingError, STATUSES)

    async def classify(request: Request, body: TextRequest) -> Response:
        return reply(classified(body, await rate(gateway, request, body, body.samples())))

    async def pooling(request: Request, body: VectorRequest) -> Response:
        return reply(pooled(body, await rate(gateway, request, body, body.samples())))

    async def embeddings(request: Request, body: VectorRequest) -> Response:
        return reply(embedded(body, await rate(gateway, request, body, body.samples())))

    async def score(request: Request, body: VllmScoreRequest) -> Response:
        return reply(scored(body, await rate(gateway, request, body, body.samples())))

    async def rerank(request: Request, body: VllmRerankRequest) -> Response:
        samples = paired(body.query, body.documents, ("query", "documents"))
        return reply(reranked(body, await rate(gateway, request, body, samples)))

    async def models() -> dict[str, Any]:
        return listed(gateway)

    served: Mapping[Any, Sequence[str]] = {
        classify: ("/classify", "/v1/classify"),
        pooling: ("/pooling",),
        score: ("/score",),
        rerank: ("/rerank", "/v1/rerank", "/v2/rerank"),
        embeddings: ("/v1/embeddings",),
    }
    for endpoint, paths in served.items():
        for path in (*paths, *(f"{PREFIX}{path}" for path in paths)):
            router.post(path)(endpoint)
    router.post(f"{PREFIX}/v1/score")(score)  # at the root, this is the service's own route
    for path in ("/v1/models", f"{PREFIX}/v1/models"):
        router.get(path)(models)
    return router


def head(body: ModelRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"{kind}-{request_id.get()}",
        "object": "list",
        "created": int(time.time()),
        "model": body.model or REWARD_MODEL,
        "usage": USAGE,
    }


def classified(body: TextRequest, rewards: Sequence[float]) -> dict[str, Any]:
    data = [
        {"index": index, "label": "LABEL_0", "probs": [reward], "num_classes": 1}
        for index, reward in enumerate(rewards)
    ]
    return {**head(body, "classify"), "data": data}


def pooled(body: VectorRequest, rewards: Sequence[float]) -> dict[str, Any]:
    data = [
        {"index": index, "object": "pooling", "data": vector(reward, body.encoding_format)}
        for index, reward in enumerate(rewards)
    ]
    return {**head(body, "pool"), "data": data}


def embedded(body: VectorRequest, rewards: Sequence[float]) -> dict[str, Any]:
    data = [
        {"index": index, "object": "embedding", "embedding": vector(reward, body.encoding_format)}
        for index, reward in enumerate(rewards)
    ]
    return {**head(body, "embd"), "data": data}


def scored(body: VllmScoreRequest, rewards: Sequence[float]) -> dict[str, Any]:
    data = [
        {"index": index, "object": "score", "score": reward} for index, reward in enumerate(rewards)
    ]
    return {**head(body, "score"), "data": data}


def reranked(body: VllmRerankRequest, rewards: Sequence[float]) -> dict[str, Any]:
    """Best first; equals stay in the order in which they came."""
    results = [
        {"index": index, "document": {"text": document}, "relevance_score": reward}
        for index, (document, reward) in enumerate(zip(body.documents, rewards, strict=True))
    ]
    results.sort(key=lambda result: -float(str(result["relevance_score"])))
    members = head(body, "rerank")
    del members["object"]
    return {**members, "results": results[: body.top_n or None]}


def listed(gateway: Gateway) -> dict[str, Any]:
    """The presets and the reward models: what `model` may name."""
    names = sorted({*gateway.registry.presets, *gateway.settings.reward_models})
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "assay"} for name in names]
    return {"object": "list", "data": data}
