"""The contract that every scorer keeps, with all that a scorer's module needs of it.

A `Scorer` turns samples into scores. `Sample` and `Score` are also what the HTTP
service reads and writes, so nothing is copied between layers.

The one rule that everything else leans on: *the completion's fault is a reward, our
fault is an error*. A `Score` holds a reward or an error, never both and never neither,
and the type refuses to exist otherwise. Our faults are raised: see `errors.py`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar, final

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from verifiers.boundary import attributed, is_cancellation, sound
from verifiers.digest import code_digest
from verifiers.errors import (
    InternalError,
    InvalidReference,
    MissingField,
    ScoringError,
    SpecError,
    first_fault,
)
from verifiers.place import Place, Settle
from verifiers.sample import Reads, Sample, ScorerSpec, Text, check_asked, check_readable
from verifiers.score import Outcome, Score, ScorerIdentity

__all__ = [
    "InternalError",
    "InvalidReference",
    "Kind",
    "LaneName",
    "MissingField",
    "Outcome",
    "Parameters",
    "Place",
    "Run",
    "Sample",
    "Score",
    "Scorer",
    "ScoringError",
    "Services",
    "Settle",
    "SpecError",
    "Text",
    "Verifier",
    "first_fault",
    "run_here",
]

LaneName = Literal["inline", "cpu", "sandbox", "model", "llm"]
"""Where a scorer runs: `inline` for microsecond rules, `cpu` for what may hang, `sandbox` for
programs that a policy wrote, `model` for reward models, `llm` for what waits for LLM judges."""

Kind = Literal["verifier", "judge", "composite"]


class Parameters(BaseModel):
    """A scorer's parameters. Unknown ones are refused, so a typo is never a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


P = TypeVar("P", bound=Parameters)


class Run(Protocol):
    """Scores samples for a composite, and may tell each score as soon as it is known."""

    def __call__(
        self, scorer: Scorer[Any], samples: Sequence[Sample], settle: Settle | None = None, /
    ) -> Awaitable[list[Score]]: ...


@dataclass(frozen=True, slots=True)
class Services:
    """What a scorer may need from whoever hosts it."""

    build: Callable[[ScorerSpec], Scorer[Any]]
    """Builds the parts of a composite."""
    run: Run
    """Scores on the lane where the given scorer belongs."""
    types: Mapping[str, type[Scorer[Any]]] = field(default_factory=dict)
    """What can be built, by name."""
    presets: Mapping[str, ScorerSpec] = field(default_factory=dict)
    """What has a name of the settings."""
    hosted: Mapping[type, Any] = field(default_factory=dict)
    """What outlives a scorer and is shared by many, such as loaded models, by its type."""


async def run_here(
    scorer: Scorer[Any], samples: Sequence[Sample], settle: Settle | None = None, /
) -> list[Score]:
    """The simplest `Run`: no lanes, no processes."""
    scores = await scorer.score(samples)
    if settle is not None:
        for position, score in enumerate(scores):
            settle(position, score)
    return scores


class Scorer(ABC, Generic[P]):
    """Turns a batch of samples into scores of the same length and order.

    Subclasses declare the class variables below and implement `score_each`, the one entrance.
    The first line of a scorer's docstring says what it rewards; it is what `GET /v1/scorers`
    shows.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    """Bumped whenever any sample's reward may change."""
    kind: ClassVar[Kind] = "verifier"
    lane: ClassVar[LaneName] = "inline"
    parameters_type: ClassVar[type[Parameters]] = Parameters
    reference_type: ClassVar[Any] = None
    """The type of reference it takes; None where it reads none."""
    reads: ClassVar[frozenset[Reads]] = frozenset({"text"})
    """What it reads of a completion. All else passes it by untouched; a completion that holds
    other things and none of these is `unreadable`, which is an error and no price."""
    details_type: ClassVar[Any] = None  # a TypedDict of what `details` may hold; None: nothing
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
    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        """Settles the score of each sample once, as soon as it is known: none waits for another.

        Args:
            settle: is told a position and its score.
            place: what the lane lends; see `verifiers.place`.

        Raises:
            Exception: whatever is raised fails the samples that are still open; see
                `verifiers.boundary`.
        """

    @final
    async def score(self, samples: Sequence[Sample]) -> list[Score]:
        """The scores in order, made in this process: no lanes, and nothing that hangs is killed."""
        from verifiers.here import Here  # a sandbox comes with it, which few need

        scores: dict[int, Score] = {}
        fault: ScoringError = InternalError(f"{self.name} gave no score")

        def settle(position: int, score: Score) -> None:
            if not 0 <= position < len(samples):
                raise IndexError(f"{self.name} settled position {position}")
            scores.setdefault(position, sound(self, score, self.reward_range))

        try:
            async with Here() as place:
                await self.score_each(samples, settle, place)
        except BaseException as error:
            if is_cancellation(error):
                raise
            fault = attributed(error, self)
        return [scores.get(position) or Score.failed(fault) for position in range(len(samples))]

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

    @cached_property
    def demand(self) -> Counter[LaneName]:
        """How many places one sample takes in each lane, parts included."""
        return Counter({self.lane: 1})

    def ingredients(self) -> Iterable[Any]:
        """All that decides a reward beside name and version, as JSON values."""
        yield self.parameters.model_dump(mode="json")

    @cached_property
    def identity(self) -> ScorerIdentity:
        """Equal digests mean equal rewards: it covers the code that decides, see `digest.py`."""
        rule = [self.name, self.version, code_digest(type(self).__module__)]
        content = json.dumps([*rule, *self.ingredients()], sort_keys=True)
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
        reference = sample.reference
        if type(reference) is self.reference_type:
            return reference
        try:
            return self._parse_reference(reference)
        except ValidationError as error:
            raise InvalidReference(first_fault("reference", error, reference)) from None

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
        """Refuses a sample that leaves out a required field, or holds nothing that is read.

        Raises:
            MissingField: naming it.
            Unreadable: see `reads`; or the prompt asks in another form than text, and is required.
        """
        if not isinstance(sample.completion, str):
            check_readable(sample.completion, self.reads, "completion")
        if sample.reference is None and "reference" in self.requires:
            raise MissingField(f"{self.name} needs a reference")
        if sample.prompt is None and "prompt" in self.requires:
            raise MissingField(f"{self.name} needs a prompt")
        if "prompt" in self.requires:
            check_asked(sample)


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

    @final
    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        await place.follow(self, samples, settle)
