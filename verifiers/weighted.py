"""Rewards a weighted sum of other scorers' rewards, multiplied by gates.

    reward = (sum of weight_i * reward_i over the components) * (product of the gates' factors)

A gate's factor is its reward, which must lie within [0, 1], or with `at_least` 1 where its
reward reaches that and 0 where it does not. So a gate withholds what the components pay;
it also withholds what they charge, which matters where a sum can be negative: a closed gate
then pays 0, and that is more than a penalty. Weigh what punishes so that the sum stays
positive for whatever is right, or add the demand as a component instead.

A sample is scored only if every component and gate scored it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import TypedDict

from verifiers.base import (
    InternalError,
    LaneName,
    Outcome,
    Parameters,
    Place,
    Run,
    Sample,
    Score,
    Scorer,
    Services,
    Settle,
    SpecError,
)
from verifiers.sample import Name, ScorerSpec
from verifiers.score import ScoreError

logger = logging.getLogger(__name__)

MAX_PARTS = 64
"""Components and gates of a scorer, those inside them included: every sample is scored by
each, and a preset that names another a few levels deep multiplies them."""

MAX_WEIGHT = 1e6
"""Rewards are compared and averaged in double precision; past this, small parts vanish."""


def not_zero(weight: float) -> float:
    if weight == 0.0:
        raise ValueError("a weight of 0 would score a part for nothing; leave the part out")
    return weight


class Component(Parameters):
    scorer: ScorerSpec = Field(description="What earns it.")
    weight: Annotated[float, AfterValidator(not_zero)] = Field(
        1.0, ge=-MAX_WEIGHT, le=MAX_WEIGHT, description="What it counts; negative to punish."
    )


class Gate(Parameters):
    scorer: ScorerSpec = Field(description="What decides.")
    at_least: float | None = Field(
        None,
        description="The gate is open (1) from this reward on, and else closed (0). Left out, "
        "the reward itself is the factor, and must lie within [0, 1].",
    )


class WeightedParameters(Parameters):
    components: dict[Name, Component] = Field(
        min_length=1, description="What is summed, each part under a name of its own."
    )
    gates: dict[Name, Gate] = Field({}, description="What the sum is multiplied by.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if both := sorted(self.components.keys() & self.gates.keys()):
            raise ValueError(f"{both[0]!r} names both a component and a gate")
        return self


# --- the parts, built -------------------------------------------------------------------


Range = tuple[float, float]

AT_FAULT = frozenset[Outcome](
    {
        "no_answer",
        "time_limit",
        "memory_limit",
        "output_limit",
        "runtime_error",
        "compile_error",
        "rejected",
    }
)
"""Outcomes that say why a completion failed, which "incorrect" does not."""


@dataclass(frozen=True, slots=True)
class Part:
    """A component or a gate with its scorer."""

    name: str
    scorer: Scorer[Any]


@dataclass(frozen=True, slots=True)
class BuiltComponent(Part):
    weight: float

    @property
    def range(self) -> Range:
        """What the part can add to the sum."""
        return ordered(self.weight * bound for bound in self.scorer.reward_range)

    def contribution(self, score: Score) -> float:
        """What the part adds to the sum.

        A completion at fault adds the least that it can, also where the weight is negative:
        spoiling what would be punished must not pay.
        """
        assert score.reward is not None
        if self.weight < 0 and score.outcome in AT_FAULT:
            return self.range[0]
        return self.weight * score.reward


@dataclass(frozen=True, slots=True)
class BuiltGate(Part):
    at_least: float | None

    def factor(self, reward: float) -> float:
        return reward if self.at_least is None else float(reward >= self.at_least)

    @property
    def range(self) -> Range:
        lowest, highest = self.scorer.reward_range
        return (self.factor(lowest), self.factor(highest))


class WeightedDetails(TypedDict, total=False):
    """`details` of a score of `weighted`."""

    outcomes: dict[str, Outcome]
    """Of every part, gates included."""


class Weighted(Scorer[WeightedParameters]):
    """Rewards a weighted sum of named components, multiplied by gates.

    `components` holds every part's reward by name, gates included, and `details.outcomes`
    its outcome. `answer` is that of the heaviest component that found one.
    """

    name = "weighted"
    version = "1"
    kind = "composite"
    parameters_type = WeightedParameters
    details_type = WeightedDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Reverse: abc. Think first.",
        "completion": "<think>The last letter is c.</think>cba",
        "reference": "abc",
        "scorer": {
            "type": "weighted",
            "components": {
                "right": {"scorer": "string_reversal", "weight": 0.9},
                "formed": {"scorer": "format", "weight": 0.1},
            },
            "gates": {
                "short": {
                    "scorer": {"type": "length", "max_length": 400, "buffer": 0},
                    "at_least": 0.0,
                }
            },
        },
    }

    def __init__(
        self,
        parameters: WeightedParameters,
        components: Sequence[BuiltComponent],
        gates: Sequence[BuiltGate],
        run: Run,
    ) -> None:
        super().__init__(parameters)
        # The same order however the spec was written, so that the same parts add up to the
        # same bits and report the same answer.
        self._components = sorted(components, key=lambda part: (-abs(part.weight), part.name))
        self._gates = sorted(gates, key=lambda part: part.name)
        self._parts: list[Part] = [*self._components, *self._gates]
        self._run = run
        self._range = self._reachable()

    @classmethod
    def create(cls, parameters: WeightedParameters, services: Services) -> Self:
        """Builds the parts.

        Raises:
            SpecError: a part does not build, there are too many, or a gate without
                `at_least` can leave [0, 1].
        """

        if len(parameters.components) + len(parameters.gates) > MAX_PARTS:
            raise SpecError([(("components",), f"more than {MAX_PARTS} parts in all")])

        def build(spec: ScorerSpec, *path: str) -> Scorer[Any]:
            try:
                return services.build(spec)
            except SpecError as error:
                raise error.below(*path, "scorer") from None

        components = [
            BuiltComponent(name, build(part.scorer, "components", name), part.weight)
            for name, part in parameters.components.items()
        ]
        gates = [
            BuiltGate(name, build(part.scorer, "gates", name), part.at_least)
            for name, part in parameters.gates.items()
        ]
        check_gates(gates)
        scorer = cls(parameters, components, gates, services.run)
        if scorer.demand.total() > MAX_PARTS:
            raise SpecError([(("components",), f"more than {MAX_PARTS} parts in all")])
        return scorer

    @property
    def reward_range(self) -> Range:
        """The extremes that the parts' own ranges allow."""
        return self._range

    def _reachable(self) -> Range:
        sums = [math.fsum(part.range[end] for part in self._components) for end in (0, 1)]
        factors = [product(gate.range[end] for gate in self._gates) for end in (0, 1)]
        return ordered(product([total, factor]) for total in sums for factor in factors)

    @property
    def deterministic(self) -> bool:
        return all(part.scorer.deterministic for part in self._parts)

    @property
    def answers_are_text(self) -> bool:
        """As for its heaviest component, whose answer it gives."""
        return self._components[0].scorer.answers_are_text

    @property
    def component_names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self._parts)

    @cached_property
    def demand(self) -> Counter[LaneName]:
        """The parts' places; waiting for them takes none."""
        return sum((part.scorer.demand for part in self._parts), Counter())

    def ingredients(self) -> Iterable[Any]:
        """The parts by their digests, so that a preset's name changes nothing."""
        yield {part.name: [part.scorer.identity.digest, part.weight] for part in self._components}
        yield {part.name: [part.scorer.identity.digest, part.at_least] for part in self._gates}

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        """Scores every part on its own lane, all at once, and joins what is complete."""
        by_part: list[dict[int, Score]] = [{} for _ in self._parts]

        def arrived(scores: dict[int, Score], position: int, score: Score) -> None:
            scores[position] = score
            if all(position in others for others in by_part):
                parts = zip(self._parts, by_part, strict=True)
                settle(position, self.whole({part.name: s.pop(position) for part, s in parts}))

        await asyncio.gather(
            *(
                self._run(part.scorer, samples, partial(arrived, scores))
                for part, scores in zip(self._parts, by_part, strict=True)
            )
        )

    def whole(self, scores: Mapping[str, Score]) -> Score:
        """What `joined` gives. Whoever tells of a part must not fail over the sum of them."""
        try:
            return self.joined(scores)
        except (ValueError, OverflowError):
            logger.exception("%s: the parts do not add up", self.name)
            return Score.failed(InternalError(f"{self.name}: the sum of its parts is not finite"))

    def joined(self, scores: Mapping[str, Score]) -> Score:
        """One sample's score from those of its parts, by name; their time is its time."""
        elapsed_ms = math.fsum(score.elapsed_ms for score in scores.values())
        errors = {name: score.error for name, score in scores.items() if score.error is not None}
        if errors:
            return Score(error=joint_error(errors), elapsed_ms=elapsed_ms)
        rewards = {name: score.reward for name, score in scores.items() if score.reward is not None}
        factors = [(gate, gate.factor(rewards[gate.name])) for gate in self._gates]
        total = math.fsum(part.contribution(scores[part.name]) for part in self._components)
        answers = (scores[part.name].answer for part in self._components)
        return Score(
            reward=product([total, product(factor for _, factor in factors)]),
            outcome=self.joint_outcome(scores, factors),
            answer=next((answer for answer in answers if answer is not None), None),
            components=rewards,
            details={"outcomes": {name: score.outcome for name, score in scores.items()}},
            elapsed_ms=elapsed_ms,
        )

    def joint_outcome(
        self, scores: Mapping[str, Score], factors: Sequence[tuple[BuiltGate, float]]
    ) -> Outcome:
        """One word for all parts.

        Components that can only take away, such as a length penalty, shade a reward but
        make no answer right or wrong, unless there are no others. An open gate says nothing
        either; a closed one decides alone.
        """
        for gate, factor in factors:
            if factor == 0.0:
                outcome = scores[gate.name].outcome
                return outcome if outcome is not None and outcome in AT_FAULT else "incorrect"
        earning = [part for part in self._components if part.range[1] > 0.0]
        deciding: list[Part] = [
            *(earning or self._components),
            *(gate for gate, factor in factors if factor != 1.0),
        ]
        return summary({scores[part.name].outcome for part in deciding})


def check_gates(gates: Iterable[BuiltGate]) -> None:
    """Refuses gates whose factor could leave [0, 1]."""
    for gate in gates:
        lowest, highest = gate.range
        if not 0.0 <= lowest <= highest <= 1.0:
            message = f"its rewards lie within [{lowest:g}, {highest:g}], so it needs at_least"
            raise SpecError([(("gates", gate.name), message)])


def summary(outcomes: set[Outcome | None]) -> Outcome:
    """What several outcomes come to. A detected cheat is never hidden by what went well."""
    if len(outcomes) == 1 and (only := next(iter(outcomes))) is not None:
        return only
    if "rejected" in outcomes:
        return "rejected"
    if "judged" in outcomes:
        return "judged"
    return "partial" if outcomes & {"correct", "partial"} else "incorrect"


def joint_error(errors: Mapping[str, ScoreError]) -> ScoreError:
    """The error that decides: trying again helps only if it helps every part."""
    name = next((name for name, error in errors.items() if not error.retryable), None)
    name = next(iter(errors)) if name is None else name
    error = errors[name]
    return ScoreError(error.code, f"part {name!r}: {error.message}", error.retryable)


def ordered(values: Iterable[float]) -> Range:
    known = list(values)
    return (min(known), max(known))


def product(factors: Iterable[float]) -> float:
    """Their product, where 0 times infinity is 0: a closed gate closes off an unbounded sum."""
    result = 1.0
    for factor in factors:
        result = 0.0 if factor == 0.0 or result == 0.0 else result * factor
    return result
