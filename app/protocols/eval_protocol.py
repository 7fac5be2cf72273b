"""eval-protocol's remote reward functions (0.3, `RewardFunction(mode="remote")`).

Its client ignores `is_score_valid` and never tries again, so an unscored sample is an error
status, on which it raises: 503 for what may pass, otherwise 422 or 424.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from app.protocols.gateway import Gateway, StrictBody, conversation, reply, reward_of
from app.protocols.protocol import Protocol, Route
from verifiers.base import Sample, Score
from verifiers.sample import Json, Message, few


class EvaluateRequest(StrictBody):
    """Other members are the caller's, flat at `/reward` and in `kwargs` at `/evaluate`, and
    nothing reads them."""

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


def parse(body: EvaluateRequest) -> Sample:
    """
    Raises:
        BadRequest: the last message is not the assistant's.
    """
    prompt, completion = conversation(body.messages)
    return Sample(prompt=prompt or None, completion=completion, reference=body.ground_truth)


def render(score: Score) -> EvaluateResult:
    """
    Raises:
        Unscored: there is no reward.
    """
    metrics = {
        name: MetricResult(score=value, reason=name) for name, value in score.components.items()
    }
    return EvaluateResult(score=reward_of(score), reason=score.outcome, metrics=metrics)


async def evaluate(gateway: Gateway, request: Request, body: EvaluateRequest) -> Response:
    [score] = await gateway.score(request, gateway.scorer(request), [parse(body)])
    return reply(render(score).model_dump())


PROTOCOL = Protocol(
    name="eval_protocol",
    system="eval-protocol",
    under="/compat/eval-protocol/{preset}",
    routes=[Route(path, evaluate, EvaluateResult) for path in ("/reward", "/evaluate")],
)
