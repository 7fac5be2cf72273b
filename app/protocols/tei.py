"""Hugging Face's text-embeddings-inference: `/predict` and `/rerank`.

One text or pair gets a list of its classes, of which there is one; a batch a list of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.http.errors import Refused, Row
from app.protocols.gateway import BadRequest, Gateway, Refusal, reply, rewards, sample_of
from app.protocols.reward_models import named_model, paired
from verifiers.base import Sample

PREFIX = "/compat/tei"
LABEL = "LABEL_0"

TYPES = {424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy"}
"""TEI's words for what is not the request's fault."""


class EmptyBatch(Refused):
    row = Row(400, "empty_batch", "There is nothing to predict")


class PredictRequest(BaseModel):
    model_config = ConfigDict(strict=True)

    inputs: str | list[Any] = Field(
        description="A text, [text] or a pair [prompt, completion], or a list of the latter two."
    )
    raw_scores: bool = False
    truncate: bool | None = None


class TeiRerankRequest(BaseModel):
    model_config = ConfigDict(strict=True)

    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None


class TeiError(BaseModel):
    error: str
    error_type: str


def refuse(refusal: Refusal) -> TeiError:
    kind = TYPES.get(refusal.status, "Validation")
    if refusal.code == EmptyBatch.row.code:
        kind = "Empty"
    return TeiError(error=refusal.message, error_type=kind)


def tei_router(gateway: Gateway) -> APIRouter:
    router = gateway.router("reward models (TEI)", refuse, TeiError)

    async def rated(request: Request, samples: Sequence[Sample], raw: bool) -> list[float]:
        scorer = named_model(gateway, None, False if raw else None)
        return rewards(await gateway.score(request, scorer, samples))

    async def predict(request: Request, body: PredictRequest) -> Response:
        samples, is_batch = parse(body.inputs)
        rates = await rated(request, samples, body.raw_scores)
        predictions = [[{"score": rate, "label": LABEL}] for rate in rates]
        return reply(predictions if is_batch else predictions[0])

    async def rerank(request: Request, body: TeiRerankRequest) -> Response:
        if not body.texts:
            raise EmptyBatch("texts: there is nothing to rank")
        samples = paired(body.query, body.texts, ("query", "texts"))
        rates = await rated(request, samples, body.raw_scores)
        order = sorted(range(len(rates)), key=lambda index: -rates[index])
        return reply(
            [
                {
                    "index": index,
                    "score": rates[index],
                    **({"text": body.texts[index]} if body.return_text else {}),
                }
                for index in order
            ]
        )

    router.post("/predict")(predict)  # `/rerank` at the root is vLLM's
    router.post(f"{PREFIX}/predict")(predict)
    router.post(f"{PREFIX}/rerank")(rerank)
    return router


def parse(inputs: str | list[Any]) -> tuple[list[Sample], bool]:
    """The samples, and whether the reply is a list of lists.

    Raises:
        BadRequest: neither texts nor pairs.
        EmptyBatch: none of either.
    """
    if isinstance(inputs, str):
        return [sample_of(completion=inputs)], False
    if inputs and all(isinstance(each, str) for each in inputs):
        return [pair_of(inputs, "inputs")], False
    if not inputs:
        raise EmptyBatch("inputs: there is nothing to predict")
    return [pair_of(each, "inputs", index) for index, each in enumerate(inputs)], True


def pair_of(texts: Any, *field: str | int) -> Sample:
    is_list = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    if not is_list or len(texts) not in (1, 2):
        raise BadRequest("a list of one text, or of a prompt and a completion", *field)
    prompt = texts[0] if len(texts) == 2 else None
    return sample_of(prompt=prompt, completion=texts[-1])
