"""Guards against texts that reward models fall for and no reader would.

A small reward model likes an empty markdown skeleton, or "thanks" a hundred times, better
than most real answers. Each guard measures one thing in a text, and raises its flag where
the measure is beyond what the natural texts of the user's own data reach:

    short        letters and digits           empty and one-character answers
    repetition   repeated word trigrams, or   "the the the", loops, one answer pasted thrice
                 runs of twelve characters;
                 more, where as in a loop
    symbols      share of other characters    rows of emoji, rules and braces
    skeleton     lines without content        markdown headings over nothing, "Solution"
    echo         words copied from the prompt the prompt given back
    injection    speech to the grader         "ignore the rubric", forged turns
    distance     rarity of its character      random letters, other languages: what is far
                 trigrams in natural texts    from the training data
    order        neighbouring words, against  an answer with its words shuffled
                 those of shuffles
    relevance    a classifier over the two    answers to another prompt, confident filler
                 embeddings

`fit_guards` (fitting.py) chooses thresholds so that all guards together flag at
most the stated share of natural texts. A guard that the data makes useless (a rewriting task
echoes its prompt) gets a threshold that nothing passes, and does no harm.

Some degenerate texts no threshold can tell from natural ones: an answer to another prompt
may look as relevant as the least relevant of the right ones. So a text loses reward by how
much likelier it is to be degenerate (penalties.py), flagged or not:

    penalty = max over guards of slope (measure - start), from 0 to 8

in deviations of the reference set's rewards. Most natural texts lose nothing.

Covered: the kinds above, each in tests/judges/reward_model/test_guards.py.
Not covered: answers to another prompt that would do for any, as where replies are short or
polite refusals; fluent, relevant and wrong answers; flattery; texts that were optimised against
these very guards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from judges.reward_model.guards.text_measures import (
    Rarity,
    echo,
    hollowness,
    injections,
    repetition,
    shortness,
    symbols,
)
from judges.reward_model.guards.word_order import WordOrder
from judges.reward_model.model.render import Prompt
from verifiers.base import first_fault

GuardName = Literal[
    "short",
    "repetition",
    "symbols",
    "skeleton",
    "echo",
    "injection",
    "distance",
    "order",
    "relevance",
]
Action = Literal["off", "flag", "cap", "reject"]

DEFAULT_ACTION: Action = "cap"
"""A cap ranks what is flagged below nearly all natural texts, and forgives a false alarm more
than a rejection does."""

MOST_LOST = 8.0
"""Deviations: whatever earned reward before has none left."""

Measures = dict[GuardName, float]
Vector = Sequence[float]
Embed = Callable[[Sequence[str]], Sequence[Vector]]
"""Embeddings of texts, each of length 1."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What guards have against a text."""

    flags: tuple[GuardName, ...] = ()
    penalty: float = 0.0
    """Deviations of the reference set's rewards."""
    penalised_by: GuardName | None = None


class GuardsRefused(ValueError):
    """A model's guards cannot be used."""


class Relevance(BaseModel):
    """Log-odds that a completion belongs to its prompt, from embeddings of the prompt, its last
    turn and the completion: bias + prompt . (p * c) + turn . (t * c) + completion . c, of which
    the last is what the completion has under any prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prompt: tuple[float, ...]
    turn: tuple[float, ...]
    completion: tuple[float, ...]
    bias: float

    def __call__(self, prompt: Vector, turn: Vector, completion: Vector) -> float:
        weights = zip(self.prompt, self.turn, self.completion, strict=True)
        values = zip(prompt, turn, completion, strict=True)
        return self.bias + sum(
            c * (p * u + t * v + w) for (p, t, c), (u, v, w) in zip(values, weights, strict=True)
        )


class Penalty(BaseModel):
    """What a text loses to a guard: slope (measure - start), if that is more than 0."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    start: float
    slope: float = Field(
        gt=0, description="Deviations of the reference set for one of the measure."
    )


@dataclass(frozen=True, slots=True)
class Tables:
    """What natural texts are like."""

    rarity: Rarity
    order: WordOrder


class Guards(BaseModel):
    """Fitted thresholds: the `guards` of a model's card."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    version: Literal[4] = 4
    false_alarm_rate: float = Field(gt=0, lt=1, description="Permitted, all guards together.")
    texts: int = Field(description="Natural texts that they were fitted to.")
    thresholds: dict[GuardName, float]
    alarms: dict[GuardName, float] = Field(
        description="The share of natural texts that each flagged when the thresholds were chosen."
    )
    penalties: dict[GuardName, Penalty]
    rarity: str = Field(description="Of character trigrams; see `Rarity`.")
    order: str = Field(description="Of words; see `WordOrder`.")
    relevance: Relevance | None = None

    @model_validator(mode="after")
    def _has_tables(self) -> Self:
        assert self.tables
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
    def tables(self) -> Tables:
        return Tables(Rarity.loaded(self.rarity), WordOrder.loaded(self.order))

    def measure(self, prompt: Prompt, completion: str) -> Measures:
        """Everything but relevance, which takes the model."""
        return text_measures(prompt, completion, self.tables)

    def with_relevance(
        self, measures: Measures, prompt: Vector, turn: Vector, completion: Vector
    ) -> Measures:
        """`measures` and that of the relevance guard, from embeddings."""
        assert self.relevance is not None
        return {**measures, "relevance": -self.relevance(prompt, turn, completion)}

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


def text_measures(prompt: Prompt, completion: str, tables: Tables) -> Measures:
    return {
        "short": shortness(completion),
        "repetition": repetition(completion),
        "symbols": symbols(completion),
        "skeleton": hollowness(completion),
        "echo": echo(asked(prompt), completion),
        "injection": injections(plain(prompt), completion),
        "distance": tables.rarity(completion),
        "order": tables.order(completion),
    }


def plain(prompt: Prompt) -> str:
    """What the policy was asked, as one text."""
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    return "\n\n".join(message.text for message in prompt)


def asked(prompt: Prompt) -> str:
    """The last of what the policy was asked."""
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    return prompt[-1].text if prompt else ""
