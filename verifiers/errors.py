"""What can go wrong with a sample or a scorer's spec, and how it is told.

*The completion's fault is a reward, our fault is an error.* Our faults are raised as one of
these, and become the error of a score:

    ScoringError                 code                    retryable
    ├── MissingField             missing_field           no
    ├── InvalidReference         invalid_reference       no
    ├── Unreadable               unreadable              no
    ├── UnknownOwnScorer         unknown_scorer          no
    ├── UnusableOwnScorer        invalid_scorer          no
    ├── DeadlineExceeded         deadline_exceeded       yes
    ├── ShuttingDown             shutting_down           yes
    ├── SandboxUnavailable       sandbox_unavailable     yes
    ├── ModelUnavailable         model_unavailable       yes, unless told
    ├── JudgeFailed              judge_failed            yes, unless told
    └── InternalError            internal                no, unless told
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import ValidationError


class ScoringError(Exception):
    """This sample could not be scored. Becomes `Score.error`, never a reward."""

    code: ClassVar[str] = "internal"
    retryable: bool = False


class MissingField(ScoringError):
    """The scorer needs a field that the sample leaves out."""

    code = "missing_field"


class InvalidReference(ScoringError):
    """The reference cannot be used by this scorer."""

    code = "invalid_reference"


class Unreadable(ScoringError):
    """The sample holds nothing that this scorer reads, or a value that nobody can read."""

    code = "unreadable"


class UnknownOwnScorer(ScoringError):
    """The scorer that the sample names for itself does not exist."""

    code = "unknown_scorer"


class UnusableOwnScorer(ScoringError):
    """The scorer that the sample names for itself does not take these parameters."""

    code = "invalid_scorer"


class DeadlineExceeded(ScoringError):
    """The request's deadline passed before this sample was scored."""

    code = "deadline_exceeded"
    retryable = True


class ShuttingDown(ScoringError):
    """The service stopped before this sample was scored."""

    code = "shutting_down"
    retryable = True


class SandboxUnavailable(ScoringError):
    """Programs cannot be run here, or not now."""

    code = "sandbox_unavailable"
    retryable = True


class ModelUnavailable(ScoringError):
    """The reward model is not loaded, or failed."""

    code = "model_unavailable"

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class JudgeFailed(ScoringError):
    """An LLM judge stayed unreachable, or gave no valid verdict."""

    code = "judge_failed"

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class InternalError(ScoringError):
    """Something of ours broke. The message says what, without its insides."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class SpecError(ValueError):
    """A scorer spec that cannot be used.

    `faults` holds (path, message) pairs; a path is a tuple as in pydantic's `loc`.
    """

    def __init__(self, faults: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "; ".join(
            f"{'.'.join(map(str, path))}: {message}" if path else message
            for path, message in self.faults
        )

    def below(self, *path: str | int) -> Self:
        """The same complaint about a spec that lies at `path` inside another."""
        self.faults = [((*path, *inner), message) for inner, message in self.faults]
        return self


OF_WHAT_IS_ABSENT = ("missing", "invalid_request")
"""Kinds of fault whose place may end in a field that was not given: pydantic's and our own."""


def place(location: Sequence[str | int], value: Any, kind: str) -> tuple[str | int, ...]:
    """Where in `value` a fault of this kind lies: pydantic's location without the names of types.

    Where a type is a union, pydantic names the branch that it tried, which is no field.
    """
    path: list[str | int] = []
    for depth, step in enumerate(location, start=1):
        absent = kind in OF_WHAT_IS_ABSENT and depth == len(location)
        if isinstance(value, dict) and (step in value or absent):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def faults_in(error: ValidationError, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with `value`, as (path, message) pairs; see `place`.

    Of a union, the branches for another type of value are silent where one of them looked
    into this one.
    """
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    placed = [(place(fault["loc"], value, fault["type"]), fault) for fault in faults]
    looked_into = {
        at[:depth]
        for at, fault in placed
        for depth in range(len(at) + (not fault["type"].endswith("_type")))
    }
    return [
        (at, fault["msg"].removeprefix("Value error, "))
        for at, fault in placed
        if not (fault["type"].endswith("_type") and at in looked_into)
    ]


def first_fault(where: str, error: ValidationError, value: Any = None) -> str:
    """The first complaint of a validation error as one sentence, without the input.

    Given the `value` that was validated, the sentence leaves out the names of types (see
    `place`).
    """
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    location = fault["loc"] if value is None else place(fault["loc"], value, fault["type"])
    return f"{'.'.join([where, *map(str, location)])}: {fault['msg']}"
