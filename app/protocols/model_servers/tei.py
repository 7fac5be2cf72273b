"""Hugging Face's text-embeddings-inference: `/predict` and `/rerank`.

One text or pair gets a list of its classes, of which there is one; a batch a list of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.http.errors import Refused, Row
from app.http.openapi import Schema
from app.protocols.gateway import BadRequest, Gateway, StrictBody, reply, rewards, sample_of
from app.protocols.model_servers.rating import (
    LABEL,
    REWARD_MODEL,
    TEXT,
    best_first,
    named_model,
    paired,
)
from app.protocols.protocol import ErrorReply, Protocol, Refusal, Route
from verifiers.base import Sample

TYPES = {424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy"}
"""TEI's words for what is not the request's fault."""


class EmptyBatch(Refused):
    row = Row(400, "empty_batch", "There is nothing to predict")


class TeiRequest(StrictBody):
    raw_scores: bool = False
    truncate: bool | None = None


SINGLE_OR_PAIR: Schema = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 2}
BATCH: Schema = {"type": "array", "items": SINGLE_OR_PAIR, "minItems": 1}
Inputs = Annotated[str | list[Any], WithJsonSchema({"anyOf": [TEXT, SINGLE_OR_PAIR, BATCH]})]


class PredictRequest(TeiRequest):
    inputs: Inputs = Field(
        description="A text, [text] or a pair [prompt, completion], or a list of the latter two."
    )


class TeiRerankRequest(TeiRequest):
    query: str
    texts: Annotated[list[str], Field(json_schema_extra={"minItems": 1})]
    return_text: bool = False


class TeiError(ErrorReply):
    error: str
    error_type: str

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        kind = TYPES.get(refusal.status, "Validation")
        if refusal.code == EmptyBatch.row.code:
            kind = "Empty"
        return cls(error=refusal.message, error_type=kind)


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


async def rated(
    gateway: Gateway, request: Request, body: TeiRequest, samples: Sequence[Sample]
) -> list[float]:
    scorer = named_model(gateway, None, False if body.raw_scores else None)
    return rewards(await gateway.score(request, scorer, samples))


async def predict(gateway: Gateway, request: Request, body: PredictRequest) -> Response:
    samples, is_batch = parse(body.inputs)
    rates = await rated(gateway, request, body, samples)
    predictions = [[{"score": rate, "label": LABEL}] for rate in rates]
    return reply(predictions if is_batch else predictions[0])


async def rerank(gateway: Gateway, request: Request, body: TeiRerankRequest) -> Response:
    if not body.texts:
        raise EmptyBatch("texts: there is nothing to rank")
    samples = paired(body.query, body.texts, ("query", "texts"))
    rates = await rated(gateway, request, body, samples)
    ranking: list[dict[str, Any]] = [
        {"index": index, "score": rates[index]} for index in best_first(rates)
    ]
    if body.return_text:
        for each in ranking:
            each["text"] = body.texts[each["index"]]
    return reply(ranking)


PROTOCOL = Protocol(
    name=REWARD_MODEL,
    system="TEI",
    under="/compat/tei",
    routes=[
        Route("/predict", predict),
        Route("/rerank", rerank, at_root=False),  # there, it is vLLM's
    ],
    error=TeiError,
)
