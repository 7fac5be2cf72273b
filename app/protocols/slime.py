"""slime's `--rm-type remote_rm` (`rm_hub`): the reply's body is the reward.

A bare number; with `?object=1` an object, for `--reward-key`. A null would stop the run at an
assertion, and every failure is tried ten times with growing pauses, so an unscored sample is
an error status. `?on_error=zero` gives 0.0 instead, for runs that would rather go on.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from app.protocols.gateway import Gateway, StrictBody, Unscored, reply
from app.protocols.protocol import MessageReply, Protocol, Route
from verifiers.base import Sample, Score, Scorer, Text
from verifiers.sample import Json, Message, few

OnError = Annotated[
    Literal["refuse", "zero"], Query(description="What an unscored sample becomes.")
]
AsObject = Annotated[bool, Query(alias="object", description="Reply with an object.")]


class SlimeRequest(StrictBody):
    prompt: Text | Annotated[list[Message], BeforeValidator(few)]
    response: Text = Field(description="What the policy wrote.")
    label: Json = Field(None, description="The reference.")


class SlimeReward(BaseModel):
    score: float
    valid: float = Field(description="0 where the score is none, but was asked for as zero.")


def parse(body: SlimeRequest) -> Sample:
    return Sample(prompt=body.prompt, completion=body.response, reference=body.label)


def render(score: Score, scorer: Scorer[Any], on_error: str, as_object: bool) -> Any:
    """
    Raises:
        Unscored: there is no reward.
    """
    if score.error is not None and on_error != "zero":
        raise Unscored(score.error)
    reward = score.reward or 0.0
    if not as_object:
        return reward
    components = {name: score.components.get(name, 0.0) for name in scorer.component_names}
    return {**components, "score": reward, "valid": float(score.error is None)}


async def remote_rm(
    gateway: Gateway,
    request: Request,
    body: SlimeRequest,
    on_error: OnError = "refuse",
    as_object: AsObject = False,
) -> Response:
    scorer = gateway.scorer(request)
    [score] = await gateway.score(request, scorer, [parse(body)])
    return reply(render(score, scorer, on_error, as_object))


PROTOCOL = Protocol(
    name="slime",
    system="slime",
    under="/compat/slime/{preset}",
    routes=[Route("", remote_rm, float | SlimeReward, at_root=False)],
    error=MessageReply,
)
