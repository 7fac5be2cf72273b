"""Rewards what a grading function of the caller's returns. It runs in `verifiers.sandbox`."""

from __future__ import annotations

import ast
import json
import math
from typing import Any, ClassVar

from pydantic import Field, JsonValue, field_validator
from typing_extensions import TypedDict

from verifiers.base import InvalidReference, Outcome, Parameters, Sample, Score
from verifiers.code_execution.scorer import MIB, encoded
from verifiers.errors import JudgeFailed
from verifiers.sample import JsonObject
from verifiers.sandbox import codec
from verifiers.sandbox.pool import Execution, Program, RunLimits, Sandbox
from verifiers.sandboxed import SandboxedScorer

MAX_SOURCE_BYTES = 256 * 1024

BEGIN_JSON = frozenset('{["-0123456789tfn')
"""Most completions are prose, which is told from JSON by its first character."""

MAX_MESSAGE_CHARACTERS = 500
"""Of what a grader wrote to standard error: its end, where a traceback names the error."""


class GraderFailed(JudgeFailed):
    """The function gave no verdict: it raised, ran too long, or returned no number.

    Whether it is broken or a completion broke it cannot be told, so this is an error.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class PythonGraderParameters(Parameters):
    source: str = Field(
        min_length=1,
        max_length=MAX_SOURCE_BYTES,
        description="Python that defines grade(sample, item) -> float. `sample` has "
        "output_text and, where that is JSON, output_json; `item` is the reference. The "
        "standard library and numpy can be imported.",
    )
    lowest: float = Field(0.0, description="A grade below is no verdict, but an error.")
    highest: float = Field(1.0, description="A grade above is no verdict, but an error.")
    time_limit_s: float = Field(10.0, ge=0.1, le=120, description="Processor seconds.")
    memory_mb: int = Field(512, ge=64, le=16_384, description="Memory, in MiB.")

    @field_validator("source")
    @classmethod
    def _defines_grade(cls, source: str) -> str:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"this is not Python: {error}") from None
        if "grade" not in defined(tree):
            raise ValueError("it defines no function grade(sample, item)")
        return source


def defined(tree: ast.Module) -> set[str]:
    """The names that a module's top level binds, as far as a glance tells."""
    nodes = [node for statement in tree.body for node in ast.walk(statement)]
    named = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored = {node.id for node in nodes if isinstance(node, ast.Name)}
    imported = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return named | stored | imported


class PythonGraderDetails(TypedDict, total=False):
    """`details` of a score of `python_grader`."""

    cpu_ms: float
    """Processor time of the run."""
    wall_ms: float
    """Time of the run."""
    peak_kib: int
    """The peak of memory."""
    isolation: list[str]
    """The layers of the sandbox that were in force."""


class PythonGrader(SandboxedScorer[PythonGraderParameters]):
    """Rewards what your own grading function returns, run in the sandbox."""

    name = "python_grader"
    version = "1"
    parameters_type = PythonGraderParameters
    reference_type = JsonObject
    details_type = PythonGraderDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Name a prime number above 10.",
        "completion": "13",
        "reference": {"above": 10},
        "scorer": {
            "type": "python_grader",
            "source": "def grade(sample, item):\n"
            "    text = sample['output_text'].strip()\n"
            "    n = int(text) if text.isdecimal() and len(text) < 5 else 0\n"
            "    return float(n > item.get('above', 1) and all(n % d for d in range(2, n)))\n",
        },
    }

    def __init__(self, parameters: PythonGraderParameters) -> None:
        super().__init__(parameters)
        self._limits = RunLimits(
            cpu_s=parameters.time_limit_s, memory_bytes=parameters.memory_mb * MIB
        )

    @property
    def reward_range(self) -> tuple[float, float]:
        return (self.parameters.lowest, self.parameters.highest)

    async def score_one(self, sample: Sample, sandbox: Sandbox) -> Score:
        """The grade. A function that gives none fails the sample: see `GraderFailed`.

        `details` holds cpu_ms, wall_ms and peak_kib of the run, and the `isolation` layers.
        """
        item = {} if sample.reference is None else self.reference_of(sample)
        program = Program(
            encoded(self.parameters.source),
            inputs=[arguments(sample.text, item)],
            entry_point="grade",
            limits=self._limits,
        )
        async with sandbox.session(program) as session:
            execution = await session.run([0])
        grade = self.grade(execution)
        details = {
            "cpu_ms": execution.cpu_ms,
            "wall_ms": execution.wall_ms,
            "peak_kib": execution.peak_kib,
            "isolation": list(sandbox.layers),
        }
        return Score(reward=grade, outcome=self.outcome(grade), details=details)

    def outcome(self, grade: float) -> Outcome:
        lowest, highest = self.reward_range
        return "correct" if grade == highest else "incorrect" if grade == lowest else "partial"

    def grade(self, execution: Execution) -> float:
        """
        Raises:
            GraderFailed: there is none.
        """
        if execution.verdict != "ok" or not execution.outputs:
            said = execution.stderr.strip()[-MAX_MESSAGE_CHARACTERS:]
            raise GraderFailed(f"grade() ended with {execution.verdict}: {last_line(said)}")
        try:
            value = codec.decode(execution.outputs[0])
        except codec.CodecError as error:
            raise GraderFailed(f"grade() returned no number: {error}") from None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise GraderFailed(f"grade() returned no finite number but {repr(value)[:50]}")
        lowest, highest = self.reward_range
        if not lowest <= value <= highest:
            raise GraderFailed(f"grade() returned {value:g}, outside {lowest:g} to {highest:g}")
        return float(value)


def arguments(text: str, item: dict[str, JsonValue]) -> bytes:
    """What `grade` is called with, encoded.

    Raises:
        InvalidReference: the item is too deep or too large to be carried.
    """
    try:
        return codec.encode(((sample_for_grader(text), item), {}))
    except codec.CodecError as error:
        raise InvalidReference(f"reference: {error}") from None


def sample_for_grader(text: str) -> dict[str, JsonValue]:
    """What `grade` gets as its first argument."""
    message: dict[str, JsonValue] = {"role": "assistant", "content": text}
    return {
        "output_text": text,
        "output_json": parsed(text),
        "output_tools": [],
        "output_audio": None,
        "choices": [{"message": message}],
    }


def parsed(text: str) -> JsonValue:
    """`text` read as JSON; None where it is none."""
    if text.lstrip()[:1] not in BEGIN_JSON:
        return None
    try:
        value: JsonValue = json.loads(text)
        codec.encode(value)
    except (ValueError, RecursionError):
        return None
    return value


def last_line(text: str) -> str:
    """Where a traceback names its error."""
    return text.rpartition("\n")[2] or "nothing on standard error"
