"""OpenAI's graders: `fine_tuning/alpha/graders/run` and `/validate`.

A grader that could not grade is a 200 with reward 0.0, its member of `errors` true and the
header `X-Reward-Valid: 0`: that is the documented form. What may pass (a full lane, a
deadline) is a 429 or 503, which OpenAI's client tries again by itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.protocols.gateway import Gateway, reply
from app.protocols.openai_graders.graders import AnyGrader, MultiGrader, SingleGrader
from app.protocols.openai_graders.grading import (
    Assignment,
    Failure,
    Grade,
    assign,
    grade_of,
    parts_of,
    variables_of,
)
from app.protocols.openai_graders.replies import OpenAIError, run_reply
from app.protocols.protocol import Protocol, Route
from verifiers.base import Text
from verifiers.sample import JsonObject

PATH = "/v1/fine_tuning/alpha/graders"

REWARD_VALID = "X-Reward-Valid"


class ValidateRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    grader: AnyGrader


class RunRequest(ValidateRequest):
    model_sample: Text = Field(description="What the model wrote.")
    item: JsonObject | None = Field(None, description="The row of the data set.")


async def grade(request: Request, body: RunRequest, gateway: Gateway) -> dict[str, Grade]:
    """The grade of every grader that grades by itself, by name, in one job."""
    variables = variables_of(body.model_sample, body.item)
    assigned = assignments(body.grader, variables, gateway)
    tasks = [task for task in assigned.values() if isinstance(task, Assignment)]
    scores = await gateway.score(
        request, [task.scorer for task in tasks], [task.sample for task in tasks]
    )
    graders, scored = parts_of(body.grader), iter(scores)
    return {
        name: grade_of(graders[name], next(scored))
        if isinstance(task, Assignment)
        else Grade(0.0, task)
        for name, task in assigned.items()
    }


def assignments(
    grader: SingleGrader | MultiGrader, variables: Mapping[str, Any], gateway: Gateway
) -> dict[str, Assignment | Failure]:
    is_part = isinstance(grader, MultiGrader)
    return {
        name: assign(name, part, is_part, variables, gateway)
        for name, part in parts_of(grader).items()
    }


async def run(gateway: Gateway, request: Request, body: RunRequest) -> Response:
    started = time.perf_counter()
    grades = await grade(request, body, gateway)
    content, is_valid = run_reply(body.grader, grades, time.perf_counter() - started)
    return reply(content, {REWARD_VALID: str(int(is_valid))})


async def validate(gateway: Gateway, request: Request, body: ValidateRequest) -> Response:
    assignments(body.grader, variables_of("", None), gateway)
    return reply({"grader": (await request.json())["grader"]})


PROTOCOL = Protocol(
    name="openai_graders",
    system="OpenAI graders",
    under="/openai",  # Azure's
    routes=[
        Route(f"{PATH}/run", run, summary="Grade one sample"),
        Route(f"{PATH}/validate", validate, summary="Check a grader"),
    ],
    error=OpenAIError,
    statuses={422: 400},
)
