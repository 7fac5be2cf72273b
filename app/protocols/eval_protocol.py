"""eval-protocol's remote reward functions (0.3, `RewardFunction(mode="remote")`).

Its client ignores `is_score_valid` and never tries again, so an unscored sample is an error
status, on which it raises: 503 for what may pass, otherwise 422 or 424.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.protocols.gateway import BadRequest, Gateway, Refusal, reply, reward_of
from verifiers.base import Sample, Score
from verifiers.sample import Json, Message, few


class EvaluateRequest(BaseModel):
    """Other members are the caller's, flat at `/reward` and in `kwargs` at `/evaluate`, and
    nothing reads them."""

    model_config = ConfigDict(strict=True)

    messages: Annotated[list[Message], Field(min_length=1), BeforeValidator(few)]
    ground_truth: Json = Field(None, description="The reference.")


class MetricResult(BaseModel):
    score: float
    is_score_valid: bool = True
    success: bool = Field(True, description="What the remote client reads as validity.")
    reason: str
    data: dict[str, Any] = {}


class EvaluateResult(BaseModel):
    score: float
    is_score_valid: bool = True
    reason: str | None
    metrics: dict[str, MetricResult]
    step_outputs: None = None
    error: None = None


class EvalProtocolError(BaseModel):
    """`detail` is where its own server puts errors."""

    detail: str
    code: str


def refuse(refusal: Refusal) -> EvalProtocolError:
    return EvalProtocolError(detail=refusal.message, code=refusal.code)


def eval_protocol_router(gateway: Gateway) -> APIRouter:
    router = gateway.router("eval-protocol", refuse, EvalProtocolError)

    async def evaluate(request: Request, body: EvaluateRequest) -> Response:
        [score] = await gateway.score(request, gateway.scorer(request), [parse(body)])
        return reply(render(score).model_dump())

    for path in ("/reward", "/evaluate"):
        gateway.serve(
            router, "/compat/eval-protocol", path, evaluate, response_model=EvaluateResult
        )
    return router


def parse(body: EvaluateRequest) -> Sample:
    """The last message is the completion, and those before it are the prompt.

    Raises:
        BadRequest: the last message is not the assistant's.
    """
    *prompt, last = body.messages
    if last.role != "assistant":
        message = "the last message is what is evaluated: it has to be the assistant's"
        raise BadRequest(message, "messages", len(prompt), "role")
    return Sample(prompt=prompt or None, completion=last.text, reference=body.ground_truth)


def render(score: Score) -> EvaluateResult:
    """
    Raises:
        Unscored: there is no reward.
    """
    metrics = {
        name: MetricResult(score=value, reason=name) for name, value in score.components.items()
    }
    return EvaluateResult(score=reward_of(score), reason=score.outcome, metrics=metrics)
