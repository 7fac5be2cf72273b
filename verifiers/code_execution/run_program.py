"""Runs a program once and tells what it did: for callers that judge its output themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from verifiers.base import Outcome, Parameters, Sample, Score
from verifiers.code_execution.scorer import MIB, LanguageUnavailable, encoded
from verifiers.sandbox.languages import LANGUAGES, LanguageName
from verifiers.sandbox.pool import Program, RunLimits, Sandbox
from verifiers.sandboxed import SandboxedScorer

WALL_SLACK_S = 2.0


@dataclass(frozen=True)
class ClockLimits(RunLimits):
    """Limits for a caller who waits: by the clock hardly longer than by the processor."""

    @property
    def wall_s(self) -> float:
        return self.cpu_s + WALL_SLACK_S


class RunParameters(Parameters):
    language: LanguageName = Field("python", description="What the program is written in.")
    time_limit_s: float = Field(10.0, ge=0.1, le=600, description="Processor seconds.")
    memory_mb: int = Field(1_024, ge=64, le=16_384, description="Memory, in MiB.")


class RunProgram(SandboxedScorer[RunParameters]):
    """Rewards a program that runs to its end. It is in no registry: it judges no answer."""

    name = "run_program"
    version = "2"
    parameters_type = RunParameters
    reference_type = str
    example: ClassVar[dict[str, Any]] = {
        "completion": "print(input())",
        "reference": "standard input",
        "scorer": {"type": "run_program"},
    }

    async def score_one(self, sample: Sample, sandbox: Sandbox) -> Score:
        """1 where the program, all of the completion, ends well; the reference is its input.

        `details` holds verdict, stdout, stderr, cpu_ms, wall_ms, peak_kib and isolation.
        """
        options = self.parameters
        language = LANGUAGES[options.language]
        if (missing := language.missing()) is not None:
            raise LanguageUnavailable(f"no {language.name} here: {missing}")
        program = Program(
            encoded(sample.text),
            inputs=[encoded(self.reference_of(sample))],
            language=language,
            limits=ClockLimits(cpu_s=options.time_limit_s, memory_bytes=options.memory_mb * MIB),
        )
        async with sandbox.session(program) as session:
            execution = await session.run([0])
        ended_well = execution.verdict == "ok"
        outcome: Any = "correct" if ended_well else execution.verdict
        checked: Outcome = outcome
        details = {
            "verdict": execution.verdict,
            "stdout": (b"".join(execution.outputs) + execution.rest).decode(errors="replace"),
            "stderr": execution.stderr,
            "cpu_ms": execution.cpu_ms,
            "wall_ms": execution.wall_ms,
            "peak_kib": execution.peak_kib,
            "isolation": list(sandbox.layers),
        }
        return Score(reward=float(ended_well), outcome=checked, details=details)
