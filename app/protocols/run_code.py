"""SandboxFusion's `POST /run_code` (sandbox-fusion 0.3, and verl's own client of it).

verl tries again on a 504 alone and takes any other failure for a failed test, so whatever may
pass is a 504; a sandbox that fails is a 200 with `SandboxError`, on which SandboxFusion's
client tries again. Runs programs for whoever may call: off unless switched on.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from app.http.errors import BodyTooLarge
from app.http.openapi import WHOLE
from app.protocols.gateway import BadRequest, Gateway, StrictBody, Unscored, reply
from app.protocols.protocol import Protocol, Route
from verifiers.base import Sample, Score, Text
from verifiers.code_execution.run_program import RunParameters, RunProgram
from verifiers.sandbox.languages import LANGUAGES

LANGUAGE_NAMES = {language.alias or name: name for name, language in LANGUAGES.items()}
"""The languages that there are here, by SandboxFusion's names."""

DEFAULT_MEMORY_MB = 1_024
LONGEST_RUN_S = 600.0
SLACK_S = 5.0
"""verl waits ten seconds longer than both timeouts; by then it has a reply."""

TRY_AGAIN = {429: 504, 503: 504}
PASSING = frozenset({"deadline_exceeded", "shutting_down"})
KILLED = 137
EXIT_STATUSES = {"ok": 0, "memory_limit": KILLED, "output_limit": KILLED}
"""By verdict, as far as that tells it, else 1: the sandbox keeps no more."""


class RunCodeRequest(StrictBody):
    code: Text
    language: Annotated[str, Field(json_schema_extra={"enum": [*LANGUAGE_NAMES]})]
    stdin: Text | None = None
    compile_timeout: float = Field(10, gt=0, description="Ignored: compilers have their own limit.")
    run_timeout: float = Field(10, gt=0)
    memory_limit_MB: Annotated[int, WHOLE] | None = None  # noqa: N815
    files: dict[str, str | None] = Field({}, json_schema_extra={"maxProperties": 0})
    fetch_files: list[str] = Field([], json_schema_extra={"maxItems": 0})


class CommandRunResult(BaseModel):
    status: Literal["Finished", "Error", "TimeLimitExceeded"]
    execution_time: float | None = None
    return_code: int | None = None
    stdout: str | None = None
    stderr: str | None = None


class RunCodeResponse(BaseModel):
    status: Literal["Success", "Failed", "SandboxError"]
    message: str = ""
    compile_result: CommandRunResult | None = None
    run_result: CommandRunResult | None = None
    executor_pod_name: None = None
    files: dict[str, str] = {}


def parse(body: RunCodeRequest) -> tuple[RunProgram, Sample]:
    """
    Raises:
        BadRequest: another language, or files, of which programs here have none.
    """
    if body.language not in LANGUAGE_NAMES:
        raise BadRequest(f"only {', '.join(LANGUAGE_NAMES)} are run here", "language")
    for name in ("files", "fetch_files"):
        if getattr(body, name):
            raise BadRequest("programs here have no files", name)
    memory_mb = body.memory_limit_MB
    if memory_mb is None or memory_mb <= 0:
        memory_mb = DEFAULT_MEMORY_MB
    options: dict[str, Any] = {
        "language": LANGUAGE_NAMES[body.language],
        "time_limit_s": min(max(body.run_timeout, 0.1), LONGEST_RUN_S),
        "memory_mb": min(max(memory_mb, 64), 16_384),
    }
    sample = Sample(completion=body.code, reference=body.stdin or "")
    return RunProgram(RunParameters.model_validate(options)), sample


def render(score: Score, language: str) -> RunCodeResponse:
    """
    Raises:
        Unscored: trying again may help.
        BodyTooLarge: the program is longer than a completion may be.
    """
    if score.error is not None:
        if score.error.code in PASSING:
            raise Unscored(score.error)
        return RunCodeResponse(status="SandboxError", message=score.error.message)
    if score.outcome == "rejected":
        raise BodyTooLarge(f"a program may have {score.details['completion_limit_bytes']} bytes")
    verdict, stderr = score.details["verdict"], score.details["stderr"]
    is_compiled = bool(LANGUAGES[language].compile)
    if is_compiled and verdict == "compile_error":
        failed = CommandRunResult(status="Error", return_code=1, stdout="", stderr=stderr)
        return RunCodeResponse(status="Failed", compile_result=failed)
    late = verdict == "time_limit"
    run = CommandRunResult(
        status="TimeLimitExceeded" if late else "Finished",
        execution_time=score.details["wall_ms"] / 1e3,
        return_code=None if late else EXIT_STATUSES.get(verdict, 1),
        stdout=score.details["stdout"],
        stderr=stderr,
    )
    compiled = CommandRunResult(status="Finished", return_code=0, stdout="", stderr="")
    return RunCodeResponse(
        status="Success" if verdict == "ok" else "Failed",
        compile_result=compiled if is_compiled else None,
        run_result=run,
    )


async def run_code(gateway: Gateway, request: Request, body: RunCodeRequest) -> Response:
    program, sample = parse(body)
    deadline_s = body.compile_timeout + program.parameters.time_limit_s + SLACK_S
    [score] = await gateway.score(request, program, [sample], deadline_s=deadline_s)
    return reply(render(score, program.parameters.language).model_dump())


PROTOCOL = Protocol(
    name="run_code",
    system="SandboxFusion",
    on=False,
    routes=[Route("/run_code", run_code, RunCodeResponse, "Run a program once")],
    statuses=TRY_AGAIN,
)
