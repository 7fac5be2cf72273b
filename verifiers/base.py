"""The contract that every scorer keeps, and the types that cross the wire.

A `Scorer` turns samples into scores. `Sample` and `Score` are also what the HTTP
service reads and writes, so nothing is copied between layers.

The one rule that everything else leans on: *the completion's fault is a reward, our
fault is an error*. A `Score` holds a reward or an error, never both and never neither,
and the type refuses to exist otherwise. Our faults are raised as one of these:

    ScoringError                 code                    retryable
    ├── MissingField             missing_field           no
    ├── InvalidReference         invalid_reference       no
    ├── DeadlineExceeded         deadline_exceeded       yes
    ├── ShuttingDown             shutting_down           yes
    ├── SandboxUnavailable       sandbox_unavailable     yes
    ├── ModelUnavailable         model_unavailable       yes, unless told
    ├── JudgeFailed              judge_failed            yes, unless told
    └── InternalError            internal                no, unless told
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

logger = logging.getLogger(__name__)

LaneName = Literal["inline", "cpu", "sandbox", "model", "llm"]
"""Where a scorer runs: `inline` for microsecond rules, `cpu` for what may hang, `sandbox` for
programs that a policy wrote, `model` for reward models, `llm` for what waits for LLM judges."""

Kind = Literal["verifier", "judge", "composite"]

Outcome = Literal[
    "correct",
    "partial",
    "incorrect",
    "no_answer",
    "time_limit",
    "memory_limit",
    "output_limit",
    "runtime_error",
    "compile_error",
    "rejected",
    "judged",
]

MAX_TEXT_CHARACTERS = 4 * 1024 * 1024
"""No policy writes four million characters: a request that holds such a string is broken.

Completions have a much lower limit, which is a verdict (`rejected`) and not an error:
see `Scheduler` in the service.
"""

MAX_NAME_CHARACTERS = 256
"""Ids, groups and run names are keys of logs and tables, not texts."""

MAX_NESTING = 128
"""Levels of arrays and objects in any one JSON value of a request. Serializers give up at
some 250, and what cannot be passed on must not be let in."""

MAX_NODES = 200_000
"""Values inside one JSON value of a request. Checking a million takes a second, during which
the service does nothing else."""

MAX_MESSAGES = 10_000
"""Messages of one prompt, and parts of one message."""


def nesting(value: Any) -> int:
    """How many arrays and objects lie around the deepest value."""
    return shape(value)[0]


def shape(value: Any) -> tuple[int, int]:
    """How deep a JSON value is nested, and how many values are inside it."""
    depth = nodes = 0
    level = [value]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        nodes += len(level)
    return depth, nodes


def shallow(value: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: it is nested deeper than `MAX_NESTING`, or holds over `MAX_NODES` values.
    """
    if isinstance(value, dict | list):
        depth, nodes = shape(value)
        if depth > MAX_NESTING:
            raise ValueError(f"nested more than {MAX_NESTING} levels deep")
        if nodes > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES:,} values in one")
    return value


def few(value: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: it is a list of more than `MAX_MESSAGES`.
    """
    if isinstance(value, list) and len(value) > MAX_MESSAGES:
        raise ValueError(f"more than {MAX_MESSAGES:,} of them")
    return value


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Json = Annotated[JsonValue, BeforeValidator(shallow)]
JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(shallow)]
ScorerSpec = Name | JsonObject
"""A scorer's or preset's name, or `{"type": NAME, **parameters}`."""


# --- what is scored ---------------------------------------------------------------------


class TextPart(BaseModel):
    """One text part of a multi-part message, as chat APIs write them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """One chat message. Members that no scorer reads (`tool_calls`, `name` …) are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: Name
    content: Text | Annotated[list[TextPart], BeforeValidator(few)] | None = None

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        if self.model_extra:
            shallow(self.model_extra)
        return self

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or ())


class AssistantMessage(Message):
    """A completion in chat form."""

    role: Literal["assistant"]


class Sample(BaseModel):
    """One completion to score, with what is needed to judge it."""

    model_config = ConfigDict(extra="forbid")

    id: Name | None = Field(None, description="Echoed. Default: the sample's index.")
    prompt: Text | Annotated[list[Message], BeforeValidator(few)] | None = Field(
        None, description="What the policy was asked."
    )
    completion: Text | AssistantMessage = Field(description="What the policy wrote.")
    reference: str | Json = Field(None, description="What is right, in the scorer's own form.")
    group: Name | None = Field(None, description="The prompt group this sample belongs to.")
    scorer: ScorerSpec | None = Field(None, description="Overrides the request's scorer.")
    metadata: JsonObject | None = Field(None, description="Kept in the log. No scorer reads it.")

    @property
    def text(self) -> str:
        """The completion as plain text."""
        return self.completion if isinstance(self.completion, str) else self.completion.text


# --- what comes back --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScoreError:
    """Why a sample could not be scored: our fault, or the reference's, never the policy's."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class ScorerIdentity:
    """Scores with equal digests of equal samples are comparable."""

    name: str
    version: str
    digest: str


@dataclass(slots=True, kw_only=True)
class Score:
    """A reward xor an error, and how it came about.

    Scorers set the upper half. `id`, `scorer` and `elapsed_ms` are stamped by whoever
    runs the scorer.

    Raises:
        ValueError: reward and error are both set or both missing, or the reward is NaN
            or infinite.
    """

    id: str = ""
    reward: float | None = None
    error: ScoreError | None = None
    outcome: Outcome | None = None
    answer: str | None = None
    components: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    scorer: ScorerIdentity | None = None
    elapsed_ms: float = 0.0
    cached: bool = False

    def __post_init__(self) -> None:
        if (self.reward is None) == (self.error is None):
            raise ValueError("a score has either a reward or an error")
        if self.reward is not None and not math.isfinite(self.reward):
            raise ValueError(f"a reward is a finite number, not {self.reward!r}")

    @classmethod
    def failed(cls, error: ScoringError) -> Score:
        return cls(error=ScoreError(error.code, str(error), error.retryable))


# --- what goes wrong --------------------------------------------------------------------


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


# --- who scores -------------------------------------------------------------------------


class Parameters(BaseModel):
    """A scorer's parameters. Unknown ones are refused, so a typo is never a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


P = TypeVar("P", bound=Parameters)

Run = Callable[["Scorer[Any]", Sequence[Sample]], Awaitable[list[Score]]]


@dataclass(frozen=True, slots=True)
class Services:
    """What a scorer may need from whoever hosts it."""

    build: Callable[[ScorerSpec], Scorer[Any]]
    """Builds the parts of a composite."""
    run: Run
    """Scores on the lane where the given scorer belongs."""
    hosted: Mapping[type, Any] = field(default_factory=dict)
    """What outlives a scorer and is shared by many, such as loaded models, by its type."""


async def run_here(scorer: Scorer[Any], samples: Sequence[Sample]) -> list[Score]:
    """The simplest `Run`: no lanes, no processes."""
    return await scorer.score(samples)


class Scorer(ABC, Generic[P]):
    """Turns a batch of samples into scores of the same length and order.

    Subclasses declare the class variables below and implement `score`. The first line of
    a scorer's docstring says what it rewards; it is what `GET /v1/scorers` shows.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    """Bumped whenever any sample's reward may change."""
    kind: ClassVar[Kind] = "verifier"
    lane: ClassVar[LaneName] = "inline"
    parameters_type: ClassVar[type[Parameters]] = Parameters
    reference_type: ClassVar[Any] = None
    """The type of reference it takes; None where it reads none."""
    requires: ClassVar[tuple[Literal["prompt", "reference"], ...]] = ()
    """Fields of `Sample` that must be present."""
    example: ClassVar[Mapping[str, Any]]
    """A sample (its `scorer` included) that earns the highest reward."""

    def __init__(self, parameters: P) -> None:
        self.parameters = parameters

    @classmethod
    def create(cls, parameters: P, services: Services) -> Self:
        """Builds the scorer. Composites override this to build their parts."""
        return cls(parameters)

    @abstractmethod
    async def score(self, samples: Sequence[Sample]) -> list[Score]:
        """Scores `samples`: same length, same order. Raises only on bugs of our own."""

    @property
    def reward_range(self) -> tuple[float, float]:
        """Lowest and highest reward under these parameters."""
        return (0.0, 1.0)

    @property
    def deterministic(self) -> bool:
        """The same sample always earns the same reward."""
        return True

    @property
    def answers_are_text(self) -> bool:
        """An answer is its characters, so `1/2` and `0.5` are two. Else it is mathematics."""
        return False

    @property
    def component_names(self) -> tuple[str, ...]:
        """What `components` of a scored sample holds under these parameters, at the least."""
        return ()

    def demand(self) -> Counter[LaneName]:
        """How many places one sample takes in each lane, parts included."""
        return Counter({self.lane: 1})

    def ingredients(self) -> Iterable[Any]:
        """All that decides a reward beside name and version, as JSON values."""
        yield self.parameters.model_dump(mode="json")

    @cached_property
    def identity(self) -> ScorerIdentity:
        content = json.dumps([self.name, self.version, *self.ingredients()], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        return ScorerIdentity(self.name, self.version, digest)

    def lowest(self, outcome: Outcome, **details: Any) -> Score:
        """The bottom of the range: what a completion at fault earns."""
        return Score(reward=self.reward_range[0], outcome=outcome, details=details)

    def reference_of(self, sample: Sample) -> Any:
        """The sample's reference as `reference_type`.

        Raises:
            InvalidReference: it is of another type.
        """
        if type(sample.reference) is self.reference_type:
            return sample.reference
        try:
            return self._parse_reference(sample.reference)
        except ValidationError as error:
            raise InvalidReference(first_fault("reference", error, sample.reference)) from None

    @cached_property
    def _parse_reference(self) -> Callable[[JsonValue], Any]:
        return partial(TypeAdapter(self.reference_type).validate_python, strict=True)

    @classmethod
    def unavailable(cls) -> dict[str, str]:
        """Choices that this machine lacks the means for, as `parameter=value`, and why."""
        return {}

    @classmethod
    def reference_schema(cls) -> dict[str, Any] | None:
        if cls.reference_type is None:
            return None
        return TypeAdapter(cls.reference_type).json_schema()

    def check(self, sample: Sample) -> None:
        """Refuses a sample that leaves out a required field.

        Raises:
            MissingField: naming it.
        """
        if sample.reference is None and "reference" in self.requires:
            raise MissingField(f"{self.name} needs a reference")
        if sample.prompt is None and "prompt" in self.requires:
            raise MissingField(f"{self.name} needs a prompt")


class Verifier(Scorer[P]):
    """A pure rule: implement `score_one`, a function of one sample, and nothing else."""

    @abstractmethod
    def score_one(self, sample: Sample) -> Score:
        """Scores one sample.

        Raises:
            ScoringError: the sample cannot be scored through no fault of the completion.
        """

    def prepare(self, sample: Sample) -> None:
        """Reads what does not depend on the completion, and keeps it for `score_one`.

        What is too slow here is an unusable reference, and never a completion's fault. Only
        rules whose references can be slow to read need it.

        Raises:
            ScoringError: as `score_one` would.
        """

    def is_quick(self, sample: Sample) -> bool:
        """Whether scoring it is sure to take microseconds, whoever wrote it.

        Then it need not go where it can be killed. False, where knowing takes any longer.
        """
        return False

    def refusal(self, sample: Sample) -> Score | None:
        """Why this sample cannot be scored whatever its completion is; None where it can."""
        try:
            self.check(sample)
            self.prepare(sample)
        except ScoringError as error:
            return Score.failed(error)
        except MemoryError:
            return Score.failed(InvalidReference("reference: takes too much memory to read"))
        except Exception:
            logger.exception("%s failed on the reference of sample %r", self.name, sample.id)
            return Score.failed(InternalError(f"{self.name} failed on this reference"))
        return None

    def attempt(self, sample: Sample, *, memory_is_capped: bool = False) -> Score:
        """`score_one`, timed, with whatever it raises turned into an error.

        Running out of memory is the completion's fault only where each task has its own
        cap; elsewhere it is the machine's.
        """
        started_ns = time.perf_counter_ns()
        try:
            self.check(sample)
            score = self.score_one(sample)
        except ScoringError as error:
            score = Score.failed(error)
        except MemoryError:
            score = (
                self.lowest("memory_limit")
                if memory_is_capped
                else Score.failed(InternalError("out of memory", retryable=True))
            )
        except Exception:
            logger.exception("%s failed on sample %r", self.name, sample.id)
            score = Score.failed(InternalError(f"{self.name} failed on this sample"))
        score.elapsed_ms = (time.perf_counter_ns() - started_ns) // 1000 / 1000
        return score

    async def score(self, samples: Sequence[Sample]) -> list[Score]:
        return [self.attempt(sample) for sample in samples]


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


def first_fault(where: str, error: ValidationError, value: Any = None) -> str:
    """The first complaint of a validation error as one sentence, without the input.

    Given the `value` that was validated, the sentence leaves out the names of types (see
    `place`).
    """
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    location = fault["loc"] if value is None else place(fault["loc"], value, fault["type"])
    return f"{'.'.join([where, *map(str, location)])}: {fault['msg']}"
