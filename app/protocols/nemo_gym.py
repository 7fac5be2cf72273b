"""A resources server of NeMo Gym (0.7, `base_resources_server.py`): `/verify` and companions.

Its reward must be a number, and its word for an unscored sample is `mask_sample`: reward 0.0
that stays out of scores. So it is of one that holds no text, but a call, and of one that cannot
be read. Such a reply is a 200, as Gym's own servers give it, and so is that of
a lane that is full or a service that shuts down: Gym's client tries no status again, and one
error status ends a whole collection of rollouts.

Gym knows a server by host and port. So the routes are at the root where
`protocols.default_preset` is set; a host of `key:…@host` carries a key.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from app.http.errors import row_of
from app.lanes.lane import Draining, QueueFull
from app.protocols.gateway import Gateway, reply, sample_or_error
from app.protocols.protocol import Protocol, Route
from verifiers.base import Sample, Score, ScoringError
from verifiers.sample import MAX_NESTING, JsonObject, few, nesting
from verifiers.score import ScoreError

FAILURE_KINDS = {
    "judge_failed": "judge_failed",
    "deadline_exceeded": "transport_timeout",
    "shutting_down": "shutdown",
    "draining": "shutdown",
    "queue_full": "provider_unavailable",
    "model_unavailable": "provider_unavailable",
    "sandbox_unavailable": "provider_unavailable",
}
"""Gym's words for our codes; the others are `verifier_error`."""

TASK_INDEX = "_ng_task_index"

TOLD = ("_output", "_response")
"""How the types of items end by which a policy is told something: `function_call_output`."""

CALL = "_call"
"""How the types of items end that are calls of tools: `function_call`."""

Reference = Annotated[
    str, Query(description="The member of the row that is the reference.", max_length=256)
]


def echoable(value: Any) -> Any:
    """The value itself. It may hold many numbers, such as token ids, for nothing reads them.

    Raises:
        ValueError: it is nested too deep to be written back.
    """
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:  # which a large integer is reason enough for
        if nesting(value) > MAX_NESTING:
            raise ValueError("nested too deep to be written back") from None
    return value


Items = Annotated[list[dict[str, Any]], BeforeValidator(few)]


class OpenBody(BaseModel):
    """Members of the caller's own are kept."""

    model_config = ConfigDict(extra="allow")


class CreateParams(OpenBody):
    """What the policy was asked, in the form of OpenAI's Responses."""

    input: str | Items


class PolicyResponse(OpenBody):
    """What the policy answered, in the form of OpenAI's Responses."""

    output: Items


class VerifyRequest(OpenBody):
    """A row of the data set with its `response`. The row's own members are kept."""

    responses_create_params: CreateParams
    response: PolicyResponse

    _is_echoable = model_validator(mode="before")(echoable)


class VerifyResponse(VerifyRequest):
    reward: float
    mask_sample: bool
    failure_kind: str | None
    failure_reason: str | None
    reward_components: dict[str, float]


class CloseRequest(OpenBody):
    resources_session_id: str


class AggregateRequest(BaseModel):
    verify_responses: Annotated[list[dict[str, Any]], BeforeValidator(echoable)]


class AggregateMetrics(BaseModel):
    group_level_metrics: list[dict[str, Any]]
    agent_metrics: dict[str, Any]
    key_metrics: dict[str, Any]


def parse(body: VerifyRequest, reference: Any) -> Sample | ScoringError:
    asked = body.responses_create_params.input
    prompt = asked
    if not isinstance(asked, str):
        prompt = [
            {"role": item["role"], "content": item["content"]}
            for item in asked
            if is_message(item) and isinstance(item.get("content"), str | list)
        ]
    completion = completion_of(last_turn(body.response.output))
    return sample_or_error(prompt=prompt or None, completion=completion, reference=reference)


def is_message(item: Mapping[str, Any]) -> bool:
    return item.get("type", "message") == "message" and isinstance(item.get("role"), str)


def is_told(item: Mapping[str, Any]) -> bool:
    """Whether the policy did not write this item, but read it."""
    if is_message(item):
        return bool(item["role"] != "assistant")
    kind = item.get("type")
    return isinstance(kind, str) and kind.endswith(TOLD)


def last_turn(output: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The items that the policy wrote without being told anything in between, the last such."""
    written: list[Mapping[str, Any]] = []
    for item in reversed(output):
        if not is_told(item):
            written.append(item)
        elif written:
            break
    return written[::-1]


def completion_of(turn: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A turn as one message of a chat: its last message, and beside that whatever else it holds.

    What of that is text, and what is silence, is said at `verifiers.sample.Message`. Of other
    items only texts are kept, for they may hold token ids by the hundred thousand.
    """
    messages = [item for item in turn if is_message(item)]
    content = messages[-1].get("content") if messages else None
    parts = content if isinstance(content, list) else [{"type": "output_text", "text": content}]
    others = [
        {name: value for name, value in item.items() if isinstance(value, str)}
        for item in turn
        if not is_message(item)
    ]
    calls = [other for other in others if other.get("type", "").endswith(CALL)]
    more = [other for other in others if not other.get("type", "").endswith(CALL)]
    return {"role": "assistant", "content": [*parts, *more], "tool_calls": calls}


def render(score: Score, row: Mapping[str, Any]) -> dict[str, Any]:
    """What is added to the echoed row."""
    added = {
        "reward": score.reward or 0.0,
        "mask_sample": score.error is not None,
        "failure_kind": None,
        "failure_reason": None,
        "reward_components": score.components,
    }
    if score.error is None:
        return added
    kind = FAILURE_KINDS.get(score.error.code, "verifier_error")
    config = row.get("instance_config")
    return {
        **added,
        "failure_kind": kind,
        "failure_reason": score.error.message,
        # read by NeMo-RL before the members above existed
        "instance_config": {**(config if isinstance(config, dict) else {}), "mask_sample": True},
        "_ng_failure_class": kind,
    }


def aggregate(responses: Sequence[Mapping[str, Any]]) -> AggregateMetrics:
    """Metrics of the rewards that count, over all and by task. Masked ones are told apart."""
    by_task: defaultdict[Any, list[float]] = defaultdict(list)
    measured: list[float] = []
    for response in responses:
        reward = response.get("reward")
        if isinstance(reward, int | float) and response.get("mask_sample") is not True:
            measured.append(reward)
            by_task[response.get(TASK_INDEX, 0)].append(reward)
    coverage: dict[str, Any] = {}
    if len(measured) < len(responses):
        coverage = {
            "coverage/measured_rollouts": len(measured),
            "coverage/masked_rollouts": len(responses) - len(measured),
        }
    overall = {**statistics_of(measured), **coverage}
    return AggregateMetrics(
        group_level_metrics=[
            {**statistics_of(rewards), TASK_INDEX: task} for task, rewards in by_task.items()
        ],
        agent_metrics=overall,
        key_metrics={name: overall[name] for name in ("mean/reward", *coverage) if name in overall},
    )


def statistics_of(rewards: Sequence[float]) -> dict[str, float]:
    """Nothing of no rewards: a mean of none would be an invented zero."""
    if not rewards:
        return {}
    return {
        "mean/reward": statistics.fmean(rewards),
        "max/reward": max(rewards),
        "min/reward": min(rewards),
        "median/reward": statistics.median(rewards),
        "std/reward": statistics.stdev(rewards) if len(rewards) > 1 else 0.0,
    }


async def verify(
    gateway: Gateway,
    request: Request,
    body: VerifyRequest,
    reference: Reference = "expected_answer",
) -> Response:
    scorer = gateway.scorer(request)
    row = await request.json()
    sample = parse(body, row.get(reference))
    try:
        [score] = await gateway.score(request, scorer, [sample])
    except (QueueFull, Draining) as error:
        score = Score(error=ScoreError(row_of(error).code, str(error), retryable=True))
    return reply({**row, **render(score, row)})


async def seed_session(_: Gateway, body: JsonObject) -> dict[str, Any]:
    """Nothing is kept for a session: every verification stands alone."""
    name = "resources_session_id"
    return {name: body[name]} if name in body else {}


async def close_session(_: Gateway, body: CloseRequest) -> dict[str, str]:
    return {"resources_session_id": body.resources_session_id}


async def aggregate_metrics(_: Gateway, body: AggregateRequest) -> AggregateMetrics:
    return aggregate(body.verify_responses)


async def reverify_mode(_: Gateway) -> str:
    return "stateless"


async def status(_: Gateway) -> dict[str, str]:
    return {"status": "ok"}


OPTIONS = {"nemo_gym_reference": "reference"}

PROTOCOL = Protocol(
    name="nemo_gym",
    system="NeMo Gym",
    under="/compat/nemo-gym/{preset}",
    routes=[
        Route("/verify", verify, VerifyResponse, options=OPTIONS),
        # where Gym's client posts while its observability is on
        Route("/ng-rollout/{rollout_id}/verify", verify, VerifyResponse, options=OPTIONS),
        Route("/seed_session", seed_session),
        Route("/close_session", close_session),
        Route("/aggregate_metrics", aggregate_metrics),
        Route("/reverify_mode", reverify_mode, method="GET"),
        Route("/", status, method="GET", at_root=False),
    ],
)
