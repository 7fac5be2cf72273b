"""Rewards a completion by a trained reward model's scalar.

The formulas, with `raw` the ensemble's aggregate, and `mean` and `std` those of the raw
rewards of the reference set (natural completions that the model was not trained on):

    normalised = (raw - mean) / std
    percentile = share of the reference set below raw, interpolated linearly
    reward     = 1 / (1 + exp(-normalised))      `reward` = "sigmoid", the default

Before the last step, guards (guards/) take a penalty from a suspicious text's raw reward, and
cap what they flag.

The sigmoid is bounded, as a reward must be, and still tells any two texts apart, which the
percentile does not beyond the best reference text. It flattens where reward models are wrong
most: far above everything that they were compared with (Fu et al., "Reward Shaping to
Mitigate Reward Hacking in RLHF", 2025).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev, pvariance
from typing import Any, ClassVar, Literal, Self

from pydantic import Field
from typing_extensions import TypedDict

from judges.reward_model.guards.guards import (
    DEFAULT_ACTION,
    Action,
    GuardName,
    Guards,
    Measures,
    Suspicion,
)
from judges.reward_model.model.baseline import (
    CAP_PERCENTILE,
    Baseline,
    guarded,
    normalised,
    percentile,
    scale,
)
from judges.reward_model.model.render import Truncation
from judges.reward_model.serve.pool import NamedModel, RewardModels, UnknownModel
from judges.reward_model.serve.served import Prepared, ServedModel
from judges.statistics import sigmoid
from verifiers.base import (
    InvalidReference,
    Parameters,
    Place,
    Sample,
    Score,
    Scorer,
    Services,
    Settle,
    SpecError,
)
from verifiers.boundary import Boundary
from verifiers.errors import ModelUnavailable

RewardAs = Literal["sigmoid", "percentile", "normalised", "raw"]

LIMITS: dict[RewardAs, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "percentile": (0.0, 1.0),
    "normalised": (-8.0, 8.0),  # eight deviations: natural texts stay within four
    "raw": (-1_000.0, 1_000.0),
}
"""The range of each form of reward. What lies outside is clipped, and says so."""

CHUNK = 64
"""Samples that are rendered and tokenized in one go, while others are already rated."""


class RewardModelParameters(Parameters):
    model: str | None = Field(
        None, description="A name from the settings. Default: the first one there."
    )
    reward: RewardAs = Field(
        "sigmoid",
        description="The logistic function of the normalised reward; the percentile in the "
        "reference set; the normalised reward, clipped at 8 deviations; or the raw one, clipped "
        "at 1,000. A model without a reference set has `raw` and its sigmoid only.",
    )
    ensemble: Literal["mean", "worst", "mean_minus_variance"] = Field(
        "mean",
        description="How the heads of an ensemble become one reward (Coste et al. 2023): their "
        "mean, the lowest, or the mean minus `variance_weight` times their variance, in units "
        "of the reference set's deviation.",
    )
    variance_weight: float = Field(0.5, ge=0, le=100, description="For `mean_minus_variance`.")
    too_long: Truncation | None = Field(
        None,
        description="A text over the model's limit is rejected, or its prompt is trimmed from "
        "the left, which `details.trimmed_prompt_tokens` tells. Default: as in training.",
    )
    whole_texts: bool = Field(
        False,
        description="A sample without a prompt is a whole text, prompt and chat template in it, "
        "and is read as it stands. `details.guards_left_out` names the guards that need a prompt. "
        "Otherwise such a sample is an error.",
    )
    guards: dict[GuardName, Action] = Field(
        {},
        description="What each guard does to a degenerate text: `off`, `flag` (only say so), "
        "`cap` (no more than `cap_percentile` of the reference set), `reject` (the lowest "
        "reward). Default: `cap`. Without a reference set, which a cap needs, it only flags.",
    )
    cap_percentile: float = Field(
        CAP_PERCENTILE,
        ge=0,
        le=1,
        description="The share of the reference set that a capped text beats.",
    )
    penalty_weight: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Of what a suspicious text loses, flagged or not, to guards that cap or "
        "reject: in deviations of the reference set, one more than the log-odds that it is "
        "degenerate rather than natural. 0: nothing.",
    )


class RewardModelDetails(TypedDict, total=False):
    """`details` of a score of `reward_model`."""

    model: str
    """Its name in the settings."""
    model_hash: str
    """Which version of it scored."""
    raw: float
    """What the model said, its heads joined, before guards."""
    normalised: float | None
    """`raw` in deviations from the mean of the reference set."""
    percentile: float | None
    """The share of the reference set below `raw`."""
    spread: float
    """The deviation between the heads of an ensemble."""
    flags: list[GuardName]
    """The guards that take the text for degenerate."""
    penalty: float
    """What suspicion took away, in deviations of the reference set."""
    penalised_by: GuardName | None
    """The guard behind the penalty."""
    guarded: bool
    """The model has guards."""
    guards_left_out: list[GuardName]
    """Guards that need a prompt, where there was none."""
    trimmed_prompt_tokens: int
    """Cut from the left of the prompt."""
    clipped: bool
    """The reward lay outside its range."""
    limit: str
    """Why the text was rejected unread."""


class RewardModelScorer(Scorer[RewardModelParameters]):
    """Rewards what a trained reward model prefers."""

    name = "reward_model"
    version = "1"
    kind = "judge"
    lane = "model"
    parameters_type = RewardModelParameters
    details_type = RewardModelDetails
    requires = ("prompt",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "How do I boil an egg?",
        "completion": "Put it into boiling water for eight minutes, then cool it.",
        "scorer": {"type": "reward_model"},
    }

    def __init__(self, parameters: RewardModelParameters, named: NamedModel) -> None:
        super().__init__(parameters)
        self._named = named
        self._bound: ServedModel | None = named.serving

    @classmethod
    def create(cls, parameters: RewardModelParameters, services: Services) -> Self:
        models: RewardModels | None = services.hosted.get(RewardModels)
        if models is None or not models.named:
            raise SpecError([(("type",), "this service has no reward models")])
        try:
            named = models[parameters.model or next(iter(models.named))]
        except UnknownModel as error:
            raise SpecError([(("model",), str(error))]) from None
        return cls(parameters, named)

    @property
    def reward_range(self) -> tuple[float, float]:
        return LIMITS[self.parameters.reward]

    @property
    def deterministic(self) -> bool:
        """Only up to rounding, which depends on the shape of the batch."""
        return False

    def ingredients(self) -> Iterable[Any]:
        yield from super().ingredients()
        digest = self._bound.digest if self._bound else None
        yield [self._named.name, digest, self._named.settings.dtype]

    def check(self, sample: Sample) -> None:
        if sample.prompt is not None or not self.parameters.whole_texts:
            super().check(sample)

    def serving(self) -> ServedModel:
        """The version that this scorer, once it has one, stays with.

        A service builds its scorers anew when a model is swapped. So the scores of one
        request are of one version, and a digest names the version that was used.

        Raises:
            ModelUnavailable: the name stands for no model.
        """
        if self._bound is None:
            self._bound = self._named.current()
        return self._bound

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        served = self.serving()
        self._refuse_without_reference(served)

        async def score(position: int, prepared: Prepared | InvalidReference) -> None:
            boundary = Boundary(self, [samples[position]])
            with boundary:
                self.check(samples[position])
                if isinstance(prepared, InvalidReference):
                    raise prepared
                boundary.scores = [await self._rated(served, prepared)]
            settle(position, boundary.scores[0])

        async with asyncio.TaskGroup() as group:
            for start in range(0, len(samples), CHUNK):
                prepared = await served.prepare(
                    samples[start : start + CHUNK],
                    self.parameters.too_long,
                    relevance=self._action("relevance") != "off",
                )
                for position, each in enumerate(prepared, start=start):
                    group.create_task(score(position, each))

    async def _rated(self, served: ServedModel, prepared: Prepared) -> Score:
        if prepared.text is None:
            return self.lowest("rejected", model_hash=served.digest, limit=prepared.note)
        heads, measures, cached = await served.read(prepared, prepared.text)
        baseline = served.baseline
        raw = self._aggregate(heads, baseline)
        suspicion = self._suspicion(served.guards, measures)
        details: dict[str, Any] = {
            "model": served.name,
            "model_hash": served.digest,
            "raw": raw,
            "normalised": normalised(raw, baseline) if baseline else None,
            "percentile": percentile(raw, baseline) if baseline else None,
            "spread": pstdev(heads),
            "flags": list(suspicion.flags),
            "penalty": suspicion.penalty if baseline else 0.0,
            "penalised_by": suspicion.penalised_by if baseline else None,
            "guarded": served.guards is not None,
            "guards_left_out": list(prepared.guards_left_out),
            "trimmed_prompt_tokens": prepared.trimmed,
        }
        score = self._guarded(raw, suspicion, baseline, details)
        score.cached = cached
        return score

    def _guarded(
        self, raw: float, suspicion: Suspicion, baseline: Baseline | None, details: Any
    ) -> Score:
        """The score of a raw reward after what the guards demand, and clipping."""
        actions = {self._action(flag) for flag in suspicion.flags}
        if "reject" in actions:
            return self.lowest("rejected", **details)
        if baseline:
            cap = self.parameters.cap_percentile if "cap" in actions else None
            raw = guarded(raw, suspicion.penalty, cap, baseline)
        reward = self._reward(raw, baseline)
        lowest, highest = self.reward_range
        details["clipped"] = not lowest <= reward <= highest
        return Score(reward=min(max(reward, lowest), highest), outcome="judged", details=details)

    def _suspicion(self, guards: Guards | None, measures: Measures) -> Suspicion:
        if guards is None:
            return Suspicion()
        flags = [flag for flag in guards.flags(measures) if self._action(flag) != "off"]
        acting: Measures = {
            name: value
            for name, value in measures.items()
            if self._action(name) in ("cap", "reject")
        }
        penalty, name = guards.penalty(acting)
        weight = self.parameters.penalty_weight
        return Suspicion(tuple(flags), weight * penalty, name if weight else None)

    def _action(self, guard: GuardName) -> Action:
        return self.parameters.guards.get(guard, DEFAULT_ACTION)

    def _aggregate(self, heads: Sequence[float], baseline: Baseline | None) -> float:
        if self.parameters.ensemble == "worst":
            return min(heads)
        mean = fmean(heads)
        if self.parameters.ensemble == "mean":
            return mean
        return mean - self.parameters.variance_weight * pvariance(heads) / scale(baseline)

    def _reward(self, raw: float, baseline: Baseline | None) -> float:
        form = self.parameters.reward
        if form == "raw":
            return raw
        if form == "sigmoid":
            return sigmoid(normalised(raw, baseline))
        assert baseline is not None  # see _refuse_without_reference
        return percentile(raw, baseline) if form == "percentile" else normalised(raw, baseline)

    def _refuse_without_reference(self, served: ServedModel) -> None:
        form = self.parameters.reward
        if served.baseline is None and form in ("percentile", "normalised"):
            raise ModelUnavailable(
                f"{served.name} has no reference set, so it has no {form} reward; "
                'ask for "sigmoid" or "raw"',
                retryable=False,
            )
