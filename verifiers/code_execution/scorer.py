"""Rewards programs that pass tests. The programs run in `verifiers.sandbox`."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any, ClassVar, Literal
from weakref import WeakValueDictionary

from pydantic import Field
from typing_extensions import TypedDict

from verifiers.base import InvalidReference, Outcome, Parameters, Sample, Score
from verifiers.code_execution import assertions
from verifiers.code_execution.compare import Comparison, text_matcher, value_matcher
from verifiers.code_execution.judging import (
    Policy,
    Report,
    Verdict,
    judge_by_checker,
    judge_by_test_code,
    judge_in_process,
    judge_outputs,
)
from verifiers.code_execution.reference import (
    AnyReference,
    CasesReference,
    Reference,
    StdioReference,
    TestCodeReference,
)
from verifiers.errors import SandboxUnavailable
from verifiers.extract import answer_in
from verifiers.sandbox import codec
from verifiers.sandbox.languages import LANGUAGES, LanguageName
from verifiers.sandbox.pool import Program, RunLimits, Sandbox
from verifiers.sandboxed import SandboxedScorer

MIB = 1024 * 1024

MAX_MESSAGE_CHARACTERS = 2_000
"""Of standard error, in `details`."""

MAX_SOLUTIONS = 4_096
"""References whose solutions are remembered to pass, or not to."""

OUTCOMES: dict[str | None, Outcome] = {
    None: "correct",
    "wrong_answer": "incorrect",
    "time_limit": "time_limit",
    "memory_limit": "memory_limit",
    "output_limit": "output_limit",
    "runtime_error": "runtime_error",
    "compile_error": "compile_error",
}
"""By the first failure."""


class CodeParameters(Parameters):
    language: LanguageName = Field(
        "python",
        description="What programs are written in. Others than Python are tested by standard "
        "input and output.",
    )
    reward: Literal["all", "fraction"] = Field(
        "all",
        description="1 where every test passes, and nothing else; or the share of tests that "
        "pass. A share is easy to earn by special cases, so it is off by default.",
    )
    compare: Comparison = Field(
        "lines",
        description="How outputs are compared: line by line (white space at line ends and empty "
        "lines at the end aside), word by word, or as words in any order.",
    )
    float_tolerance: float | None = Field(
        None,
        gt=0,
        le=1,
        description="How far numbers that are no integers may be off, absolutely or relative "
        "to the expected one.",
    )
    time_limit_s: float = Field(
        4.0,
        ge=0.1,
        le=60,
        description="Processor seconds of one test, of all its processes together. The clock "
        "only counts against sleepers: three times this, and two seconds more at least.",
    )
    total_time_limit_s: float = Field(
        30.0,
        ge=0.1,
        le=600,
        description="Seconds after which no further test is started, those aside in which tests "
        "waited for a processor.",
    )
    memory_mb: int = Field(
        512,
        ge=64,
        le=16_384,
        description="Memory of one test, in MiB, of all its processes together. A program that "
        "peaks above it fails; it is stopped at about twice as much.",
    )
    output_kb: int = Field(4_096, ge=1, le=65_536, description="Output of one test, in KiB.")
    process_per_test: bool = Field(
        False,
        description="Give every test a process of its own from the start. Verdicts are the "
        "same; what all tests in one process accept is final, and takes a fraction of the time.",
    )
    in_process: bool = Field(
        False,
        description="Run test code in the program's own process, for tests that need its "
        "classes. A program can then pass by tampering: `details.trust` says low.",
    )


class LanguageUnavailable(SandboxUnavailable):
    """This machine lacks the language's tools; trying again changes nothing."""

    retryable = False


class CodeDetails(TypedDict, total=False):
    """`details` of a score of `code`."""

    passed: int
    """Tests that passed. With reward `all`, none is run after the first failure."""
    total: int
    """Tests that there are."""
    verdicts: list[Verdict]
    """One for each test that was run."""
    cpu_ms: float
    """Processor time of all runs together."""
    wall_ms: float
    """Time of all runs together."""
    peak_kib: int
    """The highest peak of memory."""
    processes: int
    """How many processes the tests took."""
    stderr: str
    """The end of standard error at the first failure, or what the test code said."""
    isolation: list[str]
    """The layers of the sandbox that were in force."""
    trust: Literal["low"]
    """Set where the program could tamper with its tests (`in_process`)."""


class CodeExecution(SandboxedScorer[CodeParameters]):
    """Rewards a program that passes every test."""

    name = "code"
    version = "2"
    parameters_type = CodeParameters
    reference_type = Reference
    details_type = CodeDetails
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Read a number and print its double.",
        "completion": "```python\nprint(2 * int(input()))\n```",
        "reference": {"tests": [{"stdin": "21\n", "stdout": "42\n"}]},
        "scorer": {"type": "code"},
    }

    def __init__(self, parameters: CodeParameters) -> None:
        super().__init__(parameters)
        self._limits = RunLimits(
            cpu_s=parameters.time_limit_s,
            memory_bytes=parameters.memory_mb * MIB,
            output_bytes=parameters.output_kb * 1024,
        )
        self._policy = Policy(
            stop_early=parameters.reward == "all",
            total_s=parameters.total_time_limit_s,
            share_process=not parameters.process_per_test and parameters.language == "python",
        )
        self._language = LANGUAGES[parameters.language]
        self._solutions: OrderedDict[bytes, str | None] = OrderedDict()
        self._checking: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    @property
    def answers_are_text(self) -> bool:
        return True

    @classmethod
    def unavailable(cls) -> dict[str, str]:
        missing = {name: language.missing() for name, language in LANGUAGES.items()}
        return {f"language={name}": why for name, why in missing.items() if why is not None}

    async def score_one(self, sample: Sample, sandbox: Sandbox) -> Score:
        """1 where every test passes, else 0 or the share that passes.

        The outcome is that of the first failure. The program is the completion's last fenced
        block, or all of it. `details` holds:

            passed, total   tests; with reward "all", none is run after the first failure
            verdicts        one for each test that was run
            cpu_ms, wall_ms, peak_kib   of all runs together; the highest peak
            processes       how many the program ran in
            stderr          the end of it at the first failure, or what the test code said
            isolation       the layers in force; degraded   what the sandbox lacks, if allowed
            trust           "low" where the program could tamper with its tests
        """
        reference: AnyReference = self.reference_of(sample)
        if (missing := self._language.missing()) is not None:
            raise LanguageUnavailable(f"no {self._language.name} here: {missing}")
        await self.check_solution(reference, sandbox)
        program = answer_in(sample, "fenced")
        if program is None or not program.strip():
            return self.lowest("no_answer")
        return self.rewarded(await self.judge(program, reference, sandbox), program, sandbox)

    async def judge(self, program: str, reference: AnyReference, sandbox: Sandbox) -> Report:
        if isinstance(reference, StdioReference):
            return await self.judge_stdio(program, reference, sandbox)
        if self._language.run:
            raise InvalidReference("only Python is tested by calls: this needs `tests`")
        if isinstance(reference, CasesReference):
            return await self.judge_cases(program, reference, sandbox)
        return await self.judge_test_code(program, reference, sandbox)

    async def judge_stdio(
        self, program: str, reference: StdioReference, sandbox: Sandbox
    ) -> Report:
        options = self.parameters
        inputs = [encoded(test.stdin) for test in reference.tests]
        submission = Program(
            encoded(program), inputs=inputs, limits=self._limits, language=self._language
        )
        if reference.checker is not None:
            expected = [test.stdout for test in reference.tests]
            checker = assertions.checker(reference.checker)
            return await judge_by_checker(sandbox, submission, expected, checker, self._policy)
        matchers = [
            text_matcher(test.stdout, options.compare, options.float_tolerance)
            for test in reference.tests
        ]
        return await judge_outputs(sandbox, submission, matchers, self._policy)

    async def judge_cases(
        self, program: str, reference: CasesReference, sandbox: Sandbox
    ) -> Report:
        tolerance = self.parameters.float_tolerance
        try:
            matchers = [value_matcher(case.expected, tolerance) for case in reference.cases]
            inputs = [codec.encode((tuple(case.args), case.kwargs)) for case in reference.cases]
        except codec.CodecError as error:
            raise InvalidReference(f"a case cannot be passed on: {error}") from None
        submission = Program(
            *sources(reference.preamble, program),
            inputs=inputs,
            entry_point=reference.entry_point,
            limits=self._limits,
        )
        return await judge_outputs(sandbox, submission, matchers, self._policy)

    async def judge_test_code(
        self, program: str, reference: TestCodeReference, sandbox: Sandbox
    ) -> Report:
        source, preamble = sources(reference.preamble, program)
        if self.parameters.in_process:
            joined = Program(preamble + b"\n" + source, limits=self._limits)
            return await judge_in_process(sandbox, joined, reference.test_code)
        plan = assertions.plan(reference.test_code, reference.entry_point)
        driven = Program(source, preamble, driven=True, limits=self._limits)
        return await judge_by_test_code(sandbox, driven, plan, self._policy)

    def rewarded(self, report: Report, program: str, sandbox: Sandbox) -> Score:
        outcome = OUTCOMES[report.failure]
        reward = float(report.failure is None)
        if self.parameters.reward == "fraction":
            reward = report.passed / report.total
            outcome = "partial" if 0 < reward < 1 else outcome
        details: dict[str, Any] = {
            "passed": report.passed,
            "total": report.total,
            "verdicts": report.verdicts,
            "cpu_ms": round(report.cpu_ms, 3),
            "wall_ms": round(report.wall_ms, 3),
            "peak_kib": report.peak_kib,
            "processes": report.processes,
            "isolation": list(sandbox.layers),
        }
        if report.failure and report.message:
            details["stderr"] = report.message[-MAX_MESSAGE_CHARACTERS:]
        if self.parameters.in_process:
            details["trust"] = "low"
        return Score(reward=reward, outcome=outcome, answer=program, details=details)

    async def check_solution(self, reference: AnyReference, sandbox: Sandbox) -> None:
        """Tries the reference's own solution, once a reference.

        Raises:
            InvalidReference: it does not pass.
        """
        if reference.solution is None:
            return
        key = hashlib.sha256(reference.model_dump_json().encode()).digest()
        lock = self._checking.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in self._solutions:
                report = await self.judge(reference.solution, reference, sandbox)
                self._solutions[key] = report.failure
                if len(self._solutions) > MAX_SOLUTIONS:
                    self._solutions.popitem(last=False)
        if self._solutions.get(key):
            raise InvalidReference(f"the reference's own solution ends with {self._solutions[key]}")


def sources(preamble: str, program: str) -> tuple[bytes, bytes]:
    """The program and what is run before it."""
    if preamble and program.lstrip("\r\n")[:1] in (" ", "\t"):
        return encoded(preamble + program), b""
    return encoded(program), encoded(preamble)


def encoded(text: str) -> bytes:
    """Lone surrogates stay: the program's own decoding of its source refuses them."""
    return text.encode(errors="surrogatepass")
