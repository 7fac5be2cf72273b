"""Runs a program over its tests and gives each test a verdict.

The fast path runs all tests in one process. What it accepts is final: outputs are compared
out here, and all tests together kept the limits of one. What it does not accept is run
again, a process a test, and that verdict counts.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from verifiers.base import InvalidReference
from verifiers.code_execution.assertions import Plan
from verifiers.sandbox import codec
from verifiers.sandbox.pool import Execution, Program, Sandbox, Session

Verdict = Literal[
    "accepted",
    "wrong_answer",
    "time_limit",
    "memory_limit",
    "output_limit",
    "runtime_error",
    "compile_error",
]

MAX_CHECKED_BYTES = 256 * 1024 * 1024
"""Of all outputs together, as much is kept for a checker."""

CHECKER_MEMORY_BYTES = 512 * 1024 * 1024
"""At least: a checker holds input, output and expected output, and is not on trial."""

Matcher = Callable[[bytes], bool]


@dataclass(frozen=True)
class Policy:
    """How far to go: stop at the first failure, and after so many seconds in all."""

    stop_early: bool
    total_s: float
    share_process: bool = True


@dataclass
class Report:
    """What came of the tests that were run. `verdicts` may be fewer than `total`."""

    total: int
    verdicts: list[Verdict] = field(default_factory=list)
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    waited_ms: float = 0.0
    """Of `wall_ms`, those that a busy machine took."""
    peak_kib: int = 0
    message: str = ""
    """The end of standard error, or what the test code said, at the first failure."""
    processes: int = 0

    @property
    def passed(self) -> int:
        return self.verdicts.count("accepted")

    @property
    def failure(self) -> Verdict | None:
        """The first verdict that is not acceptance."""
        return next((verdict for verdict in self.verdicts if verdict != "accepted"), None)

    def account(self, execution: Execution) -> None:
        self.processes += 1
        self.cpu_ms += execution.cpu_ms
        self.wall_ms += execution.wall_ms
        self.waited_ms += execution.waited_ms
        self.peak_kib = max(self.peak_kib, execution.peak_kib)


async def judge_outputs(
    sandbox: Sandbox, program: Program, matchers: Sequence[Matcher], policy: Policy
) -> Report:
    """Verdicts by what the program writes or returns for each input."""
    report = Report(len(matchers))
    async with sandbox.session(program) as session:
        accepted = [False] * len(matchers)
        final: Verdict | None = None
        if policy.share_process and len(matchers) > 1:
            accepted, final = await _together(session, matchers, report)
        if final is not None:
            report.verdicts.append(final)
        for index in range(len(report.verdicts), len(matchers)):
            if policy.stop_early and report.failure:
                break
            if accepted[index]:
                report.verdicts.append("accepted")
            elif report.wall_ms - report.waited_ms > policy.total_s * 1e3:
                report.verdicts.append("time_limit")
            else:
                report.verdicts.append(await _alone(session, index, matchers[index], report))
    return report


async def _together(
    session: Session, matchers: Sequence[Matcher], report: Report
) -> tuple[list[bool], Verdict | None]:
    """All tests in one process.

    Returns:
        Which were accepted, and the verdict of the first test if it failed before it ended:
        it was alone in its process until then, so there is nothing to repeat.
    """
    execution = await session.run(range(len(matchers)))
    report.account(execution)
    outputs = execution.outputs if kept_limits(execution, len(matchers)) else []
    accepted = [matches(output) for matches, output in zip(matchers, outputs, strict=False)]
    final: Verdict | None = None
    if not execution.outputs and execution.verdict != "ok":
        final = verdict_of(execution)
        report.message = execution.stderr
    return accepted + [False] * (len(matchers) - len(accepted)), final


def kept_limits(execution: Execution, total: int) -> bool:
    """Whether the tests that finished in one process kept the limits, each by itself.

    Of memory only the peak of all is known. And where none was cut off by the limit that was
    passed, the last one may have passed it.
    """
    if execution.verdict == "memory_limit":
        return False
    return execution.verdict == "ok" or len(execution.outputs) < total


async def _alone(session: Session, index: int, matches: Matcher, report: Report) -> Verdict:
    execution = await session.run([index])
    report.account(execution)
    verdict = verdict_of(execution)
    if verdict == "accepted" and not (execution.outputs and matches(execution.outputs[0])):
        verdict = "wrong_answer"
    if verdict != "accepted" and not report.failure:
        report.message = execution.stderr
    return verdict


def verdict_of(execution: Execution) -> Verdict:
    """The verdict of a run before its output is compared.

    A shell that may fork no further pauses, or fails. Which of a fork bomb's processes that meets
    is luck, and whether the first one therefore ends well, late or badly; so it is wrong however
    it ends, and a busy machine changes nothing.
    """
    if execution.was_crowded and execution.verdict in ("time_limit", "runtime_error"):
        return "wrong_answer"
    verdict: Any = execution.verdict
    found: Verdict = "accepted" if verdict == "ok" else verdict
    return found


async def judge_by_checker(
    sandbox: Sandbox,
    program: Program,
    expected: Sequence[str],
    checker: bytes,
    policy: Policy,
) -> Report:
    """Verdicts by a program that looks at what the candidate wrote. It runs in a sandbox too.

    What it raises counts against the candidate, whose output made it raise.

    Raises:
        InvalidReference: the checker does not compile, or fails before it is called.
    """
    outputs: dict[int, bytes] = {}

    def keep(index: int) -> Matcher:
        def fits(output: bytes) -> bool:
            outputs[index] = output
            return sum(map(len, outputs.values())) <= MAX_CHECKED_BYTES

        return fits

    matchers = [keep(index) for index in range(len(expected))]
    report = await judge_outputs(sandbox, program, matchers, replace(policy, share_process=False))
    limits = replace(
        program.limits, memory_bytes=max(program.limits.memory_bytes, CHECKER_MEMORY_BYTES)
    )
    for index, output in outputs.items():
        if report.verdicts[index] != "accepted":
            continue
        texts = (readable(program.inputs[index]), readable(output), expected[index])
        # escaped, texts grow up to six times: these are ours to send, so they have no limit
        given = codec.encode((texts, {}), max_bytes=None)
        checking = Program(checker, inputs=[given], entry_point="check", limits=limits)
        accepted, message = await check(sandbox, checking)
        if not accepted:
            report.verdicts[index] = "wrong_answer"
            report.message = report.message or message
    return report


async def check(sandbox: Sandbox, checking: Program) -> tuple[bool, str]:
    """Whether the checker accepts, and the end of what it wrote to standard error.

    Raises:
        InvalidReference: the checker does not compile, or fails before it is called.
    """
    async with sandbox.session(checking) as session:
        execution = await session.run([0])
        if execution.verdict == "compile_error":
            raise InvalidReference("the checker is not Python")
        if execution.verdict == "runtime_error" and (await session.run([])).verdict != "ok":
            raise InvalidReference(f"the checker fails: {execution.stderr[-MAX_QUOTED:]}")
    return execution.verdict == "ok" and execution.outputs == [YES], execution.stderr


YES = codec.encode(True)
MAX_QUOTED = 200


def readable(data: bytes) -> str:
    """Text for the checker; what is no UTF-8 becomes replacement characters."""
    return data.decode(errors="replace")


async def judge_by_test_code(
    sandbox: Sandbox, program: Program, plan: Plan, policy: Policy
) -> Report:
    """Verdicts by test code, which runs in a process of its own.

    Raises:
        InvalidReference: the test code passes what cannot leave its process.
    """
    async with sandbox.session(program) as session:
        usage, content = await session.drive(
            plan.code, plan.stubs, plan.values, stop_early=policy.stop_early
        )
    tests = read_report(content)
    if tests["verdict"] == "unsplittable":
        raise InvalidReference(f"the test code cannot be split: {tests['message']}")
    report = Report(tests["total"], processes=2)
    report.verdicts += ["accepted"] * tests["passed"]
    report.cpu_ms, report.wall_ms = usage["cpu_ms"], usage["wall_ms"]
    report.peak_kib = usage["peak_kib"]
    if tests["verdict"] != "ok":
        report.verdicts.append(cause(tests["verdict"], usage))
        report.message = tests["message"] or usage["stderr"]
    return report


def read_report(content: bytes) -> dict[str, Any]:
    """What the driver says; where it was killed before it could, that the candidate is gone.

    The message may quote the candidate, whose texts need not be Unicode.
    """
    try:
        report = dict(json.loads(content))
        report["message"] = report["message"].encode(errors="backslashreplace").decode()
        return report
    except ValueError:
        return {"passed": 0, "total": 1, "verdict": "gone", "message": ""}


def cause(verdict: Any, usage: dict[str, Any]) -> Verdict:
    """A failure as the driver saw it; where that is a candidate gone, how it ended."""
    ends = [end for end in (usage["candidate"], usage["tests"]) if end != "ok"]
    found: Verdict = verdict if verdict != "gone" else ends[0] if ends else "runtime_error"
    return found


async def judge_in_process(sandbox: Sandbox, program: Program, test_code: str) -> Report:
    """One verdict, by test code in the program's own process: the program can cheat."""
    token = secrets.token_hex(16)
    ending = f"\nimport os as _os\n_os.write(1, b'\\n{token}')\n"
    source = program.source + f"\n\n{test_code}{ending}".encode(errors="surrogatepass")
    joined = Program(source, inputs=[b""], limits=program.limits)
    report = Report(1)
    async with sandbox.session(joined) as session:
        reached = f"\n{token}".encode()
        report.verdicts.append(await _alone(session, 0, lambda out: reached in out, report))
    return report
