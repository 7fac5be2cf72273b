"""`POST /v1/groups` on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from app.grouping.advantages import Advantage, Estimator, Preset
from app.grouping.selection import Selection
from app.http.openapi import WHOLE, scorer_given
from app.routes.faults import Sparing
from app.routes.schemas import Summary, fault
from verifiers.base import Sample, Score, Text
from verifiers.sample import (
    MAX_NAME_CHARACTERS,
    AssistantMessage,
    Json,
    Messages,
    Name,
    ScorerSpec,
)
from verifiers.score import ScoreError

MAX_KS = 64
"""Different k of pass@k in one request."""

MAX_K = 65_536

ROOM_FOR_INDEX = 16
"""A sample's id is its group's, a slash and its index, and no longer than other ids."""

GroupName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS - ROOM_FOR_INDEX)]
K = Annotated[int, Field(ge=1, le=MAX_K, strict=True), WHOLE]


class Group(BaseModel):
    """One prompt and its completions."""

    model_config = ConfigDict(extra="forbid")

    id: GroupName | None = Field(None, description="Echoed. Default: the group's index.")
    prompt: Text | Messages | None = Field(None, description="What the policy was asked.")
    reference: Json = Field(None, description="What is right, in the scorer's own form.")
    completions: list[str | AssistantMessage] = Field(
        min_length=1, description="What the policy wrote, each time."
    )
    scorer: ScorerSpec | None = Field(None, description="Overrides the request's scorer.")

    def samples(self, index: int) -> list[Sample]:
        """A sample a completion. The parts are valid already and are not copied."""
        name = self.id or str(index)
        return [
            Sample.model_construct(
                id=f"{name}/{position}",
                prompt=self.prompt,
                completion=completion,
                reference=self.reference,
                group=name,
            )
            for position, completion in enumerate(self.completions)
        ]

    def lengths(self) -> list[int]:
        """Of the completions, in characters."""
        return [
            len(completion if isinstance(completion, str) else completion.text)
            for completion in self.completions
        ]


class GroupsRequest(Sparing):
    """`POST /v1/groups`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=scorer_given("groups"))

    scorer: ScorerSpec | None = Field(
        None, description="Scores every group that names no scorer of its own."
    )
    groups: list[Group] = Field(min_length=1)
    advantage: Preset | Advantage = Field(
        "trl", description="A trainer's estimator by its name, or one of your own."
    )
    select: Selection = Field(
        "best",
        description="`best`: the highest reward, then the shorter, then the earlier; "
        "`shortest_correct`: the shortest of the correct ones; `majority`: the earliest that "
        "gave the majority answer.",
    )
    ks: list[K] = Field([1], max_length=MAX_KS, description="The k of every pass@k.")
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

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        """Every group has a scorer, and an id of its own (its index, where it has none)."""
        faults, seen = [], set[str]()
        for index, group in enumerate(self.groups):
            name = group.id or str(index)
            # One at fault and without an id may have lost it: it must not fail its neighbours.
            if group.id is not None or ("groups", index) not in self._faults:
                if name in seen:
                    faults.append(fault("another group has this id", "groups", index, "id"))
                seen.add(name)
            if self.scorer is None and group.scorer is None:
                message = "neither group nor request names one"
                faults.append(fault(message, "groups", index, "scorer"))
        if faults:
            raise ValidationError.from_exception_data("GroupsRequest", faults)
        return self


def limited_groups_request(max_samples: int) -> type[GroupsRequest]:
    """`GroupsRequest` with the service's own limit on completions, in a group and in all."""

    class Limited(GroupsRequest):
        @model_validator(mode="before")
        @classmethod
        def _limit_completions(cls, data: Any) -> Any:
            """Before they are read: there may be millions, each with faults to name."""
            groups = data.get("groups") if isinstance(data, dict) else None
            counts = {
                index: len(group["completions"])
                for index, group in enumerate(groups if isinstance(groups, list) else ())
                if isinstance(group, dict) and isinstance(group.get("completions"), list)
            }
            if sum(counts.values()) > max_samples:
                message = f"more than {max_samples:,} completions in all"
                alone = [index for index, count in counts.items() if count > max_samples]
                faults = [fault(message, "groups", index, "completions") for index in alone]
                raise ValidationError.from_exception_data(
                    "GroupsRequest", faults or [fault(message, "groups")]
                )
            return data

    completions = Annotated[
        list[str | AssistantMessage], Field(min_length=1, max_length=max_samples)
    ]
    group: Any = create_model("Group", __base__=Group, completions=(completions, ...))
    groups = Annotated[list[group], Field(min_length=1, max_length=max_samples)]
    return create_model("GroupsRequest", __base__=Limited, groups=(groups, ...))


class MajorityAnswer(msgspec.Struct, frozen=True):
    """What most completions of a group answered."""

    answer: str
    votes: int
    index: Annotated[int, Meta(description="The earliest completion that gave it.")]
    share: Annotated[
        float, Meta(description="Of the group's completions, those without answer included.")
    ]


class GroupStatistics(msgspec.Struct, frozen=True):
    """Of the scored completions of one group; null where there is nothing to tell from."""

    mean: float | None
    std: Annotated[float | None, Meta(description="Population standard deviation of the rewards.")]
    min: float | None
    max: float | None
    pass_at_k: Annotated[
        dict[int, float | None],
        Meta(
            description="Unbiased estimate; null where k exceeds the scored completions, or where "
            "scores are judged and nothing says which are correct."
        ),
    ]
    distinct_answers: int | None
    answer_entropy: Annotated[float | None, Meta(description="In nats, over the answers given.")]
    length_mean: Annotated[
        float | None,
        Meta(description="Lengths are in characters, of all completions that could be read."),
    ]
    length_std: float | None
    length_correct: Annotated[float | None, Meta(description="Mean length of the correct ones.")]
    length_wrong: Annotated[
        float | None, Meta(description="Mean length of the others that were scored.")
    ]


class GroupResult(msgspec.Struct, frozen=True):
    """One group's scores and what they come to."""

    id: str
    scores: list[Score]
    advantages: list[float | None]
    selected: int | None
    majority: MajorityAnswer | None
    comparison_error: Annotated[
        ScoreError | None,
        Meta(
            description="Why the answers could not be compared: then there is no majority, and "
            "nothing to say of the answers. The scores stand."
        ),
    ]
    statistics: GroupStatistics


class AdvantageUsed(msgspec.Struct, frozen=True):
    """The estimator of the advantages, and its constants where it has them."""

    estimator: Estimator
    ddof: int | None
    eps: float | None

    @classmethod
    def of(cls, advantage: Advantage) -> AdvantageUsed:
        return cls(advantage.estimator, advantage.ddof, advantage.eps)


class GroupsResponse(msgspec.Struct, frozen=True):
    """The groups in the order of the request."""

    request_id: str
    groups: list[GroupResult]
    advantage: AdvantageUsed
    summary: Summary
