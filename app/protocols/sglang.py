"""SGLang's routes of reward models, where they differ from vLLM's.

Its `/v1/score` rates by the probabilities of given tokens, which no scorer here tells: such
a request is refused. Classify and embeddings are as vLLM has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.protocols.gateway import BadRequest, Gateway, reply
from app.protocols.reward_models import ModelRequest, TextRequest, VectorRequest, paired, rate
from app.protocols.vllm import (
    STATUSES,
    ServingError,
    VllmRerankRequest,
    classified,
    embedded,
    refuse,
)

PREFIX = "/compat/sglang"


class SglangRerankRequest(VllmRerankRequest):
    return_documents: bool = True


class TokenScoreRequest(ModelRequest):
    query: Any = None
    items: Any = None
    label_token_ids: Any = None


def sglang_router(gateway: Gateway) -> APIRouter:
    router = gateway.router("reward models (SGLang)", refuse, ServingError, STATUSES)

    @router.post(f"{PREFIX}/v1/classify")
    async def classify(request: Request, body: TextRequest) -> Response:
        return reply(classified(body, await rate(gateway, request, body, body.samples())))

    @router.post(f"{PREFIX}/v1/embeddings")
    async def embeddings(request: Request, body: VectorRequest) -> Response:
        return reply(embedded(body, await rate(gateway, request, body, body.samples())))

    @router.post(f"{PREFIX}/v1/rerank")
    async def rerank(request: Request, body: SglangRerankRequest) -> Response:
        samples = paired(body.query, body.documents, ("query", "documents"))
        return reply(reranked(body, await rate(gateway, request, body, samples)))

    @router.post(f"{PREFIX}/v1/score")
    async def score(body: TokenScoreRequest) -> Response:
        raise BadRequest("no probabilities of tokens are told here: use /v1/rerank or /score")

    return router


def reranked(body: SglangRerankRequest, rewards: Sequence[float]) -> list[dict[str, Any]]:
    """A bare list, best first."""
    order = sorted(range(len(rewards)), key=lambda index: -rewards[index])
    return [
        {
            "score": rewards[index],
            "index": index,
            **({"document": body.documents[index]} if body.return_documents else {}),
        }
        for index in order[: body.top_n or None]
    ]
