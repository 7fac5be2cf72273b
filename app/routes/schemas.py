"""The envelopes of the wire, around `verifiers/sample.py` and `verifiers/score.py`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.http.openapi import scorer_given
from app.routes.faults import Sparing
from verifiers.base import Kind, LaneName, Sample, Score
from verifiers.sample import Name, ScorerSpec

MODEL_SERVERS_FIELDS = frozenset({"text_1", "data_1", "queries", "query", "items"})
"""By which a request shows that it was meant for another server's `/v1/score`."""


class ScoreRequest(Sparing):
    """`POST /v1/score`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=scorer_given("samples"))

    scorer: ScorerSpec | None = Field(
        None, description="Scores every sample that names no scorer of its own."
    )
    samples: list[Sample] = Field(min_length=1)
    run: Name | None = Field(
        None, description="The training run these scores are for. Judges' caps count by it."
    )
    deadline_s: float | None = Field(
        None,
        gt=0,
        le=3_600,
        strict=True,
        allow_inf_nan=False,
        description="Seconds for the whole request; what is unfinished then is an error.",
    )

    @model_validator(mode="before")
    @classmethod
    def _tell_whose_route_this_is(cls, data: Any) -> Any:
        if isinstance(data, dict) and "samples" not in data and MODEL_SERVERS_FIELDS & data.keys():
            raise PydanticCustomError(
                "invalid_request",
                "/v1/score takes samples: vLLM's and SGLang's is at /score or /compat/vllm/score",
            )
        return data

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        """Every sample has a scorer, and an id of its own (its index, where it has none)."""
        faults = [*self._twice_given_ids()]
        if self.scorer is None:
            faults += [
                fault("neither sample nor request names one", "samples", index, "scorer")
                for index, sample in enumerate(self.samples)
                if sample.scorer is None
            ]
        if faults:
            raise ValidationError.from_exception_data("ScoreRequest", faults)
        return self

    def _twice_given_ids(self) -> Iterator[InitErrorDetails]:
        """Without those of samples that are at fault and have none: they may have lost it, and
        must not fail a neighbour that is called like their index."""
        if all(sample.id is None for sample in self.samples):
            return
        seen: set[str] = set()
        for index, sample in enumerate(self.samples):
            if sample.id is None and ("samples", index) in self._faults:
                continue
            identifier = sample.id or str(index)
            if identifier in seen:
                yield fault("another sample has this id", "samples", index, "id")
            seen.add(identifier)


def fault(message: str, *location: str | int) -> InitErrorDetails:
    """A fault at a place of one's choice, which a plain ValueError cannot name."""
    kind = PydanticCustomError("invalid_request", "{message}", {"message": message})
    return InitErrorDetails(type=kind, loc=location, input=None)


def limited_score_request(max_samples: int) -> type[ScoreRequest]:
    """`ScoreRequest` with the service's own limit, so that the OpenAPI document tells it."""
    samples = Annotated[list[Sample], Field(min_length=1, max_length=max_samples)]
    return create_model("ScoreRequest", __base__=ScoreRequest, samples=(samples, ...))


class Summary(msgspec.Struct, frozen=True):
    """What the scores of a request come to. Mean and deviation are of the scored ones."""

    count: int
    scored: int
    failed: int
    mean: Annotated[float | None, Meta(description="None where nothing was scored.")]
    std: Annotated[float | None, Meta(description="Population standard deviation.")]

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Summary:
        rewards = [score.reward for score in scores if score.reward is not None]
        count, scored = len(scores), len(rewards)
        if not scored:
            return cls(count=count, scored=0, failed=count, mean=None, std=None)
        tally = Counter(rewards)  # most rewards are one of two
        mean = math.fsum(reward * times for reward, times in tally.items()) / scored
        deviations = ((reward - mean) ** 2 * times for reward, times in tally.items())
        variance = math.fsum(deviations) / scored
        failed = count - scored
        return cls(count=count, scored=scored, failed=failed, mean=mean, std=math.sqrt(variance))


class ScoreResponse(msgspec.Struct, frozen=True):
    """The scores, in the order and number of the samples."""

    request_id: str
    scores: list[Score]
    summary: Summary


class SummaryLine(msgspec.Struct, frozen=True):
    """The last line of a stream."""

    summary: Summary


class ScorerDescription(BaseModel):
    """What one scorer rewards and what it needs."""

    name: str
    kind: Kind
    description: str
    version: str
    lane: LaneName
    reward_range: tuple[float, float]
    deterministic: bool
    requires: list[str]
    parameters_schema: dict[str, Any]
    reference_schema: dict[str, Any] | None
    details_schema: dict[str, Any] = Field(
        description="What `details` of a score may hold; any key may be missing."
    )
    unavailable: dict[str, str] = Field(
        description="Choices that this machine lacks the means for, as `parameter=value`, and why."
    )
    example: dict[str, JsonValue] = Field(
        description="A sample that earns the highest reward, ready to be posted."
    )


class PresetDescription(BaseModel):
    """A scorer that the settings gave a name."""

    name: str
    scorer: ScorerSpec
    reward_range: tuple[float, float]


class ScorerList(BaseModel):
    scorers: list[ScorerDescription]
    presets: list[PresetDescription]


class Health(BaseModel):
    status: str


class LaneHealth(BaseModel):
    ready: bool
    reason: str | None = Field(description="Why it is not ready, or is off.")
    pending: int = Field(description="Samples admitted and not yet scored.")


class Readiness(BaseModel):
    status: str
    lanes: dict[str, LaneHealth]


class Fault(BaseModel):
    """One offending field."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details, with what a client needs to decide on a retry."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    errors: list[Fault] = Field(default_factory=list)
