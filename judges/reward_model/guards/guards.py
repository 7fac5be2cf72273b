"""All guards, what was fitted of them for one model, and what they have against a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from judges.reward_model.guards.distance import Distance
from judges.reward_model.guards.echo import Echo
from judges.reward_model.guards.guard import EmbeddingGuard, Guard, TextGuard
from judges.reward_model.guards.injection import Injection
from judges.reward_model.guards.order import Order
from judges.reward_model.guards.relevance import Relevance
from judges.reward_model.guards.repetition import Repetition
from judges.reward_model.guards.short import Short
from judges.reward_model.guards.skeleton import Skeleton
from judges.reward_model.guards.symbols import Symbols
from judges.reward_model.model.baseline import CAP_PERCENTILE, Baseline, guarded
from judges.reward_model.model.embedding import Embed, Remembered, Vector, embed
from judges.reward_model.model.render import Prompt
from verifiers.base import first_fault

if TYPE_CHECKING:
    from judges.reward_model.model.model import RewardModel

GUARDS: tuple[type[Guard], ...] = (
    Short,
    Repetition,
    Symbols,
    Skeleton,
    Echo,
    Injection,
    Distance,
    Order,
    Relevance,
)
"""In the order in which flags are told."""

if TYPE_CHECKING:
    GuardName = str
else:
    GuardName = Literal[tuple(guard.name for guard in GUARDS)]

Action = Literal["off", "flag", "cap", "reject"]

DEFAULT_ACTION: Action = "cap"
"""A cap ranks what is flagged below nearly all natural texts, and forgives a false alarm more
than a rejection does."""

MOST_LOST = 8.0
"""Deviations: whatever earned reward before has none left."""

Measures = dict[GuardName, float]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What guards have against a text."""

    flags: tuple[GuardName, ...] = ()
    penalty: float = 0.0
    """Deviations of the reference set's rewards."""
    penalised_by: GuardName | None = None


class GuardsRefused(ValueError):
    """A model's guards cannot be used."""


class Penalty(BaseModel):
    """What a text loses to a guard: slope (measure - start), if that is more than 0."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    start: float
    slope: float = Field(
        gt=0, description="Deviations of the reference set for one of the measure."
    )


def measures_by(kind: type, guards: Iterable[Guard], *seen: Any) -> Measures:
    """What guards of this kind measure in what they see; see `TextGuard`, `EmbeddingGuard`."""
    return {guard.name: guard.measure(*seen) for guard in guards if isinstance(guard, kind)}


class Guards(BaseModel):
    """What was fitted for a model: the `guards` of its card, with what each guard learned beside
    the rest, by its `stored_as`."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonValue]

    version: Literal[4] = 4
    false_alarm_rate: float = Field(gt=0, lt=1, description="Permitted, all guards together.")
    texts: int = Field(description="Natural texts that they were fitted to.")
    thresholds: dict[GuardName, float]
    alarms: dict[GuardName, float] = Field(
        description="The share of natural texts that each flagged when the thresholds were chosen."
    )
    penalties: dict[GuardName, Penalty]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        learned = {guard.stored_as for guard in GUARDS}
        if unknown := self.__pydantic_extra__.keys() - learned:
            raise ValueError(f"{min(unknown)} is nothing that a guard learns")
        fitted = {guard.name for guard in self.fitted}
        if lost := self.thresholds.keys() - fitted:
            raise ValueError(f"what {min(lost)} learned is missing")
        return self

    @classmethod
    def from_card(cls, card: Mapping[str, JsonValue] | None) -> Self | None:
        """The guards of a model's card; None where it has none.

        Raises:
            GuardsRefused: they are damaged.
        """
        if card is None:
            return None
        try:
            return cls.model_validate(card)
        except ValidationError as error:
            raise GuardsRefused(
                f"assay.json has unusable guards ({first_fault('guards', error)}); fit them again"
            ) from None

    @cached_property
    def fitted(self) -> tuple[Guard, ...]:
        """All but those whose learning the card does not hold."""
        stored = {guard: self.__pydantic_extra__.get(guard.stored_as or "") for guard in GUARDS}
        return tuple(
            guard.load(learned)
            for guard, learned in stored.items()
            if learned is not None or guard.stored_as is None
        )

    @property
    def embeds(self) -> bool:
        """Some read embeddings."""
        return any(isinstance(guard, EmbeddingGuard) for guard in self.fitted)

    def measure(self, prompt: Prompt, completion: str) -> Measures:
        """Everything that takes no model."""
        return measures_by(TextGuard, self.fitted, prompt, completion)

    def measure_whole(self, text: str) -> tuple[Measures, tuple[GuardName, ...]]:
        """The measures of a text that holds its own prompt, and the guards that are left out."""
        alone = [guard for guard in self.fitted if not guard.needs_prompt]
        needing = (guard.name for guard in self.fitted if guard.needs_prompt)
        left_out = tuple(name for name in needing if name in self.thresholds)
        return measures_by(TextGuard, alone, None, text), left_out

    def measure_embeddings(self, prompt: Vector, turn: Vector, completion: Vector) -> Measures:
        return measures_by(EmbeddingGuard, self.fitted, prompt, turn, completion)

    def flags(self, measures: Measures) -> list[GuardName]:
        """The guards whose measure is beyond its threshold."""
        return [
            name
            for name, value in measures.items()
            if name in self.thresholds and value > self.thresholds[name]
        ]

    def penalty(self, measures: Measures) -> tuple[float, GuardName | None]:
        """What the text loses, in deviations of the reference set, and to which guard: 0 and None
        for most natural ones."""
        lost = {
            name: line.slope * (measures[name] - line.start)
            for name, line in self.penalties.items()
            if name in measures
        }
        name = max(lost, key=lost.__getitem__, default=None)
        if name is None or lost[name] <= 0:
            return 0.0, None
        return min(lost[name], MOST_LOST), name


@dataclass(frozen=True)
class Guarding:
    """A model's guards outside a service, all at their default."""

    guards: Guards
    read: Embed
    """Embeds texts by the model's own encoder."""
    baseline: Baseline

    @classmethod
    def of(cls, model: RewardModel) -> Self | None:
        """None where the model has no guards, or no reference set.

        Raises:
            GuardsRefused: its guards are damaged.
        """
        guards = Guards.from_card(model.card.guards)
        if guards is None or model.card.reference is None:
            return None
        return cls(guards, partial(embed, model=model), model.card.reference)

    def suspicions(self, texts: Sequence[tuple[Prompt, str]]) -> list[Suspicion]:
        measures = [self.guards.measure(*text) for text in texts]
        if self.guards.embeds:
            embedded = Remembered(self.read).of_pairs(texts)
            measures = [
                each | self.guards.measure_embeddings(*vectors)
                for each, *vectors in zip(measures, *embedded, strict=True)
            ]
        return [
            Suspicion(tuple(self.guards.flags(each)), *self.guards.penalty(each))
            for each in measures
        ]

    def left(
        self, texts: Sequence[tuple[Prompt, str]], rewards: Sequence[float | None]
    ) -> list[float | None]:
        """What is left of raw rewards; None where there was none."""
        pairs = zip(rewards, self.suspicions(texts), strict=True)
        return [None if raw is None else self.left_of(raw, each) for raw, each in pairs]

    def left_of(self, raw: float, suspicion: Suspicion) -> float:
        cap = CAP_PERCENTILE if suspicion.flags else None
        return guarded(raw, suspicion.penalty, cap, self.baseline)
