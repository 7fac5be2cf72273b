"""open-instruct's `POST /test_program` and `/test_program_stdio` (`code_utils/api.py`).

Each test is a sample of the scorer `code`. The reply has a 0 or 1 for every test and no place
for one that could not be run, so that is an error status; of which, alas, its client makes a
reward of 0.0 without trying again. Runs programs for whoever may call: off unless switched on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from app.http import exact_json
from app.http.openapi import Schema, given
from app.protocols.gateway import BadRequest, Gateway, StrictBody, reply, rewards
from app.protocols.protocol import Protocol, Route
from verifiers.base import Sample, Score, Text
from verifiers.sample import Json

MAX_TESTS = 200
NOT_PASSED_S = -1.0
"""The runtime of a test that did not pass, as open-instruct has it."""

BACKTICKS = re.compile(r"`{3,}")


TESTS: Any = Field(description="A list, or a text that is one in JSON.")


def tests_of(each: Schema) -> WithJsonSchema:
    listed = {"type": "array", "items": each, "maxItems": MAX_TESTS}
    return WithJsonSchema({"anyOf": [listed, {"type": "string"}]})


INPUT_AND_OUTPUT = {"allOf": [given(name, {"type": "string"}) for name in ("input", "output")]}


class ProgramRequest(StrictBody):
    program: Text
    tests: Json = TESTS
    max_execution_time: float = Field(1.0, gt=0, le=60, description="Seconds, for each test.")


class AssertionsRequest(ProgramRequest):
    """A test is an assertion."""

    tests: Annotated[Json, tests_of({"type": "string"})] = TESTS


class OutputsRequest(ProgramRequest):
    """A test is what is fed to the program, and what it is to print."""

    tests: Annotated[Json, tests_of({"type": "object", **INPUT_AND_OUTPUT})] = TESTS


class ProgramResponse(BaseModel):
    results: list[int]
    runtimes: list[float]


Reference = dict[str, Any]


def parse(
    body: ProgramRequest, read: Callable[[Any], Reference | None], expected: str
) -> list[Sample]:
    """A sample for each test, of which `read` makes a reference.

    Raises:
        BadRequest: the tests are no list, or too many, or one is not as expected. Pickled tests
            are not read.
    """
    tests: Any = body.tests
    if isinstance(tests, str):
        try:
            tests = exact_json.loads(tests)
        except exact_json.NotStrictJson:
            raise BadRequest("neither a list nor JSON", "tests") from None
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        raise BadRequest(f"a list of at most {MAX_TESTS} is needed", "tests")
    references = [read(test) for test in tests]
    if None in references:
        raise BadRequest(expected, "tests", references.index(None))
    program = fenced(body.program)
    return [Sample(completion=program, reference=reference) for reference in references]


def assertion(test: Any) -> Reference | None:
    return {"test_code": test} if isinstance(test, str) else None


def input_and_output(test: Any) -> Reference | None:
    match test:
        case {"input": str(stdin), "output": str(stdout)}:
            return {"tests": [{"stdin": stdin, "stdout": stdout}]}
    return None


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


async def run_assertions(gateway: Gateway, request: Request, body: AssertionsRequest) -> Response:
    samples = parse(body, assertion, "an assertion is a text")
    return await tested(gateway, request, body, samples)


async def compare_output(gateway: Gateway, request: Request, body: OutputsRequest) -> Response:
    samples = parse(body, input_and_output, "a test has an input and an output, both texts")
    return await tested(gateway, request, body, samples)


async def tested(
    gateway: Gateway, request: Request, body: ProgramRequest, samples: list[Sample]
) -> Response:
    time_limit_s = max(body.max_execution_time, 0.1)
    scorer = gateway.registry.build({"type": "code", "time_limit_s": time_limit_s})
    return reply(render(await gateway.score(request, scorer, samples)))


async def health(_: Gateway) -> dict[str, str]:
    return {"status": "healthy"}


PROTOCOL = Protocol(
    name="test_program",
    system="open-instruct",
    on=False,
    routes=[
        Route("/test_program", run_assertions, ProgramResponse, "Run assertions"),
        Route("/test_program_stdio", compare_output, ProgramResponse, "Compare output"),
        Route("/health", health, method="GET"),
    ],
)
