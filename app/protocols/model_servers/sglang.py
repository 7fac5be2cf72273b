"""SGLang's routes of reward models, where they differ from vLLM's.

Its `/v1/score` rates by the probabilities of given tokens, which no scorer here tells: such
a request is refused. Classify and embeddings are as vLLM has them.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from app.protocols.gateway import BadRequest, Gateway, reply
from app.protocols.model_servers.rating import REWARD_MODEL, ModelRequest, best_first, rate
from app.protocols.model_servers.vllm import (
    STATUSES,
    ServingError,
    VllmRerankRequest,
    classify,
    embeddings,
)
from app.protocols.protocol import Protocol, Route
from verifiers.base import Sample


class SglangRerankRequest(VllmRerankRequest):
    return_documents: bool = True


class TokenScoreRequest(ModelRequest):
    query: Any = None
    items: Any = None
    label_token_ids: Any = None

    def samples(self) -> list[Sample]:
        raise BadRequest("no probabilities of tokens are told here: use /v1/rerank or /score")


async def rerank(gateway: Gateway, request: Request, body: SglangRerankRequest) -> Response:
    """A bare list, best first."""
    rewards = await rate(gateway, request, body)
    ranking: list[dict[str, Any]] = [
        {"score": rewards[index], "index": index} for index in best_first(rewards)
    ]
    if body.return_documents:
        for each in ranking:
            each["document"] = body.documents[each["index"]]
    return reply(ranking[: body.top_n or None])


async def score(gateway: Gateway, request: Request, body: TokenScoreRequest) -> Response:
    return reply(await rate(gateway, request, body))


PROTOCOL = Protocol(
    name=REWARD_MODEL,
    system="SGLang",
    under="/compat/sglang/v1",
    routes=[
        Route("/classify", classify, at_root=False),
        Route("/embeddings", embeddings, at_root=False),
        Route("/rerank", rerank, at_root=False),
        Route("/score", score, at_root=False),
    ],
    error=ServingError,
    statuses=STATUSES,
)
