"""open-instruct's `POST /test_program` and `/test_program_stdio` (`code_utils/api.py`).

Each test is a sample of the scorer `code`. The reply has a 0 or 1 for every test and no place
for one that could not be run, so that is an error status; of which, alas, its client makes a
reward of 0.0 without trying again. Runs programs for whoever may call: off unless switched on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.http import exact_json
from app.protocols.gateway import BadRequest, Gateway, Refusal, reply, rewards
from verifiers.base import Sample, Score, Text
from verifiers.sample import Json

MAX_TESTS = 200
NOT_PASSED_S = -1.0
"""The runtime of a test that did not pass, as open-instruct has it."""

BACKTICKS = re.compile(r"`{3,}")


class ProgramRequest(BaseModel):
    model_config = ConfigDict(strict=True)

    program: Text
    tests: Json = Field(description="A list, or a text that is one in JSON.")
    max_execution_time: float = Field(1.0, gt=0, le=60, description="Seconds, for each test.")


class ProgramResponse(BaseModel):
    results: list[int]
    runtimes: list[float]


class ProgramError(BaseModel):
    detail: str
    code: str


def refuse(refusal: Refusal) -> ProgramError:
    return ProgramError(detail=refusal.message, code=refusal.code)


def open_instruct_router(gateway: Gateway) -> APIRouter:
    router = gateway.router("open-instruct", refuse, ProgramError)

    async def tested(
        request: Request, body: ProgramRequest, references: Sequence[dict[str, Any]]
    ) -> Response:
        time_limit_s = max(body.max_execution_time, 0.1)
        scorer = gateway.registry.build({"type": "code", "time_limit_s": time_limit_s})
        program = fenced(body.program)
        samples = [Sample(completion=program, reference=each) for each in references]
        return reply(render(await gateway.score(request, scorer, samples)))

    @router.post("/test_program", response_model=ProgramResponse, summary="Run assertions")
    async def run_assertions(request: Request, body: ProgramRequest) -> Response:
        return await tested(request, body, assertions(tests_in(body)))

    @router.post("/test_program_stdio", response_model=ProgramResponse, summary="Compare output")
    async def compare_output(request: Request, body: ProgramRequest) -> Response:
        return await tested(request, body, inputs_and_outputs(tests_in(body)))

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    return router


def tests_in(body: ProgramRequest) -> list[Any]:
    """
    Raises:
        BadRequest: they are no list, or too many. Pickled tests are not read.
    """
    tests: Any = body.tests
    if isinstance(tests, str):
        try:
            tests = exact_json.loads(tests)
        except exact_json.NotStrictJson:
            raise BadRequest("neither a list nor JSON", "tests") from None
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        raise BadRequest(f"a list of at most {MAX_TESTS} is needed", "tests")
    return tests


def assertions(tests: Sequence[Any]) -> list[dict[str, Any]]:
    for index, test in enumerate(tests):
        if not isinstance(test, str):
            raise BadRequest("an assertion is a text", "tests", index)
    return [{"test_code": test} for test in tests]


def inputs_and_outputs(tests: Sequence[Any]) -> list[dict[str, Any]]:
    for index, test in enumerate(tests):
        members = test if isinstance(test, dict) else {}
        if not all(isinstance(members.get(name), str) for name in ("input", "output")):
            raise BadRequest("a test has an input and an output, both texts", "tests", index)
    return [{"tests": [{"stdin": test["input"], "stdout": test["output"]}]} for test in tests]


def fenced(program: str) -> str:
    """The program as the one block of a completion, whatever fences are in it."""
    longest = max(map(len, BACKTICKS.findall(program)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}python\n{program}\n{fence}"


def render(scores: Sequence[Score]) -> dict[str, Any]:
    """
    Raises:
        Unscored: a test could not be run.
    """
    results = [int(reward == 1) for reward in rewards(scores)]
    runtimes = [
        score.details["wall_ms"] / 1e3 if passed else NOT_PASSED_S
        for score, passed in zip(scores, results, strict=True)
    ]
    return {"results": results, "runtimes": runtimes}
