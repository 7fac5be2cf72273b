"""Rewards a completion that LLM judges and programs find to meet weighted criteria.

Pointwise, each completion is judged by itself; pairwise and listwise, the completions of a group
are compared with each other (see `compare`). Programs go first, and where they settle the reward
no judge is asked.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import ValidationError
from typing_extensions import TypedDict

from judges.rubric import aggregate
from judges.rubric.compare import Candidate, Comparison, largest_group, listwise, pairwise
from judges.rubric.hosted import chosen_judges, named_rubric
from judges.rubric.hygiene import content_free
from judges.rubric.judging import Opinion, Panel, Tally, all_of, derived_seed
from judges.rubric.parameters import RubricParameters
from judges.rubric.programs import Build, Built, built, program_value
from judges.rubric.prompts import PROMPTS_DIGEST
from judges.rubric.questions import Blocks, context, each, listed, overall, shown_prompt
from judges.rubric.rubric import Criterion, Rubric, SampleRubric
from verifiers.base import (
    InvalidReference,
    LaneName,
    MissingField,
    Outcome,
    Place,
    Run,
    Sample,
    Score,
    Scorer,
    Services,
    Settle,
    SpecError,
    first_fault,
)
from verifiers.boundary import Boundary, attributed
from verifiers.digest import code_digest
from verifiers.errors import JudgeFailed, Unreadable
from verifiers.extract import answer_in
from verifiers.sample import ScorerSpec, check_asked
from verifiers.weighted import joint_error


class OpinionDetails(TypedDict, total=False):
    """What the judges found of one criterion."""

    value: float
    """Their verdicts joined, from 0 to 1."""
    verdicts: dict[str, list[bool | float | str]]
    """By judge, one for each time it was asked."""
    reason: str
    """The first that was given, cut short."""


class PositionDetails(TypedDict, total=False):
    """How much the order of completions decided: pairwise the first three, listwise the others."""

    pairs: int
    """Pairs that judges compared, each in both orders."""
    first_share: float
    """How often the first of two won: 1/2 without bias."""
    consistent_share: float
    """How often both orders agreed: 1 without bias."""
    earlier_advantage: float
    """How much higher the earlier half is graded than the same completions are later."""
    mean_change: float
    """How much a grade changes when the order is reversed."""


class RubricDetails(TypedDict, total=False):
    """`details` of a score of `rubric`."""

    verdicts: dict[str, OpinionDetails]
    """What the judges found, by criterion; `overall` where they judge implicitly."""
    decided_by: Literal["programs"]
    """No judge was needed."""
    seed: int
    """Of the order of criteria and of the judges' sampling."""
    replies: int
    """Replies of judges."""
    cached_share: float
    """Share of the replies that were on record, and cost nothing."""
    repaired: int
    """Replies that had to be asked for again."""
    calls: int
    """Calls that were paid for."""
    prompt_tokens: int
    """Of those calls."""
    completion_tokens: int
    """Of those calls."""
    cost: float
    """Of those calls, at the prices of the settings."""
    group_size: int
    """Of a comparison: completions compared. What it took stands in each of their scores."""
    position: PositionDetails
    """Of a comparison: how much the order of completions decided."""
    limit: str
    """Why the completion was rejected unseen."""
    screened: str
    """Why the completion was not shown to judges."""


class RubricScorer(Scorer[RubricParameters]):
    """Rewards what judges and programs find to meet weighted criteria, from 0 to 1.

    `components` has each criterion's value by its id. `details` has the verdicts behind it with
    their reasons, cut short; tokens, cost and the share that was cached; and the seed.
    """

    name = "rubric"
    version = "2"
    kind = "judge"
    lane = "llm"
    parameters_type = RubricParameters
    details_type = RubricDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Name the capital of France as JSON.",
        "completion": '{"city": "Paris"}',
        "reference": '{"city": "Paris"}',
        "scorer": {
            "type": "rubric",
            "rubric": {
                "criteria": [
                    {
                        "id": "right",
                        "kind": "verifier",
                        "scorer": "exact_match",
                        "class": "essential",
                    },
                    {
                        "id": "short",
                        "kind": "verifier",
                        "scorer": {"type": "length", "max_length": 200, "buffer": 100},
                        "class": "optional",
                    },
                ]
            },
        },
    }

    def __init__(
        self,
        parameters: RubricParameters,
        fixed: Built | None,
        panel: Panel,
        services: Services,
    ) -> None:
        super().__init__(parameters)
        self._fixed = fixed
        self._panel = panel
        self._services = services

    @classmethod
    def create(cls, parameters: RubricParameters, services: Services) -> Self:
        """Finds the rubric and the judges, and builds the programs.

        Raises:
            SpecError: there is no such rubric or judge, or a criterion does not build.
        """
        rubric = named_rubric(parameters.rubric, services)
        fixed = None
        if rubric is not None:
            try:
                fixed = built(rubric, services.build, parameters.mode, parameters.probabilities)
            except SpecError as error:
                raise error.below("rubric") from None
        needs_judges = fixed is None or bool(fixed.judged)
        judges = chosen_judges(parameters.judge, services) if needs_judges else {}
        weights = parameters.judge if isinstance(parameters.judge, dict) else {}
        panel = Panel(
            judges=judges,
            weights={name: weights.get(name, 1.0) for name in judges},
            samples=parameters.samples,
            temperature=parameters.temperature,
            reasoning_tokens=parameters.reasoning_tokens,
            probabilities=parameters.probabilities,
        )
        return cls(parameters, fixed, panel, services)

    @property
    def deterministic(self) -> bool:
        """Programs alone are; a judge is not, though its cache makes it seem so."""
        if self._fixed is None or self._fixed.judged:
            return False
        return all(part.deterministic for part in self._fixed.parts.values())

    @cached_property
    def demand(self) -> Counter[LaneName]:
        parts = self._fixed.parts.values() if self._fixed else ()
        return sum((part.demand for part in parts), Counter({self.lane: 1}))

    def ingredients(self) -> Iterable[Any]:
        """Parameters, the rubric itself where it was named, programs, prompts and judges."""
        yield self.parameters.model_dump(mode="json", exclude={"rubric", "judge"})
        if self._fixed is not None:
            yield self._fixed.rubric.model_dump(mode="json")
            yield {id_: part.identity.digest for id_, part in self._fixed.parts.items()}
        else:  # programs come with the sample
            known = sorted(self._services.types.items())
            yield {name: code_digest(scorer.__module__) for name, scorer in known}
            yield dict(self._services.presets)
        yield PROMPTS_DIGEST
        yield {
            name: [judge.fingerprint, self._panel.weights[name]]
            for name, judge in self._panel.judges.items()
        }

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        """Each sample is a task of its own, or each group, where the samples of one are compared.

        So a deadline discards no finished verdict, and one that fails harms no other.
        """
        pointwise = self.parameters.mode == "pointwise"
        groups: dict[Any, list[int]] = {}
        for position, sample in enumerate(samples):
            groups.setdefault(position if pointwise else sample.group, []).append(position)

        async def score(positions: Sequence[int]) -> None:
            members = [samples[position] for position in positions]
            boundary, tally = Boundary(self, members), Tally()
            with boundary:
                boundary.scores = (
                    [await self._judged(members[0], tally)]
                    if pointwise
                    else await self._compared(members)
                )
            for position, score in zip(positions, boundary.scores, strict=True):
                if not tally.is_empty:  # what a failed sample took is paid for all the same
                    score.details.update(tally.details())
                    score.cached = tally.is_cached
                settle(position, score)

        async with asyncio.TaskGroup() as tasks:
            for positions in groups.values():
                tasks.create_task(score(positions))

    # --- one completion by itself ---------------------------------------------------

    async def _judged(self, sample: Sample, tally: Tally) -> Score:
        built, sample = self._rubric_for(sample)
        shown: str | None = None
        if built.judged:
            shown, refusal = self._shown(sample)
            if refusal is not None:
                return refusal
        values, errors = await self._by_programs(built, sample)
        if errors is not None:
            return errors
        values = aggregate.resolved(built.rubric, values)
        settled = all(criterion.id in values for criterion in built.judged)
        if shown is None or settled or aggregate.is_lost(built.rubric, values):
            return by_programs_alone(built, values)
        seed = derived_seed(self.parameters.seed, shown_prompt(sample), shown)
        return await self._by_judges(built, sample, shown, values, seed, tally)

    def _rubric_for(self, sample: Sample) -> tuple[Built, Sample]:
        """The rubric that a sample is judged by, and the sample as its criteria see it.

        Raises:
            MissingField: there is no rubric, or a reference is demanded and not there.
            InvalidReference: the sample's own rubric cannot be used.
        """
        found = self._fixed
        if found is None:
            if sample.reference is None:
                raise MissingField("rubric needs a reference: the sample's own rubric")
            own = self._own_rubric(sample)
            found = own[0]
            sample = sample.model_copy(update={"reference": own[1]})
        if found.rubric.reference and sample.reference is None:
            raise MissingField("rubric needs a reference")
        return found, sample

    def _own_rubric(self, sample: Sample) -> tuple[Built, Any]:
        try:
            rubric = SampleRubric.model_validate(sample.reference)
            return self._with_programs(rubric, self._build_program), rubric.answer
        except ValidationError as error:
            raise InvalidReference(first_fault("reference", error, sample.reference)) from None
        except SpecError as error:
            raise InvalidReference(str(error.below("reference"))) from None

    def _with_programs(self, rubric: Rubric, build: Build) -> Built:
        return built(rubric, build, self.parameters.mode, self.parameters.probabilities)

    def _build_program(self, spec: ScorerSpec) -> Scorer[Any]:
        """A program for a sample's own rubric: what it may cost was not known on admission."""
        part = self._services.build(spec)
        if part.kind != "verifier":
            raise SpecError([((), f"{part.name!r} is no verifier, as a sample's own rubric needs")])
        return part

    def _shown(self, sample: Sample) -> tuple[str | None, Score | None]:
        """The part of a completion that judges see, or the score without their seeing it."""
        try:
            self.check(sample)
            check_asked(sample)
        except Unreadable as error:
            return None, Score.failed(error)
        text = answer_in(sample, self.parameters.answer_from)
        if text is None:
            return None, self.lowest("no_answer")
        if len(text) > self.parameters.max_characters:
            limit = f"{self.parameters.max_characters} characters"
            return None, self.lowest("rejected", limit=limit)
        if self.parameters.screen and content_free(text):
            return None, self.lowest("no_answer", screened="no content")
        return text, None

    async def _by_programs(
        self, built: Built, sample: Sample
    ) -> tuple[dict[str, float], Score | None]:
        """Each program's value by criterion, or the error that keeps the sample unscored."""
        run = self._services.run
        scores = await all_of(run_one(run, part, sample) for part in built.parts.values())
        by_id = dict(zip(built.parts, scores, strict=True))
        if errors := {id_: score.error for id_, score in by_id.items() if score.error is not None}:
            return {}, Score(error=joint_error(errors))
        criteria = {criterion.id: criterion for criterion in built.rubric.criteria}
        return {
            id_: program_value(criteria[id_], built.parts[id_], score)
            for id_, score in by_id.items()
        }, None

    async def _by_judges(
        self,
        built: Built,
        sample: Sample,
        shown: str,
        values: dict[str, float],
        seed: int,
        tally: Tally,
    ) -> Score:
        rubric = built.rubric
        data = (*context(rubric, sample), ("completion", shown))
        details: dict[str, Any] = {"seed": seed}
        if rubric.aggregation == "implicit":
            opinions = await self._panel.opinions(overall(rubric, data, seed), seed, tally)
            reward = self._calibrated(opinions["overall"].value)
            components = {"overall": reward}
        else:
            unsettled = [c for c in built.judged if c.id not in values]
            opinions = await self._opinions(rubric, unsettled, data, seed, tally)
            values = values | {id_: self._calibrated(o.value) for id_, o in opinions.items()}
            components = aggregate.resolved(rubric, values)
            reward = aggregate.reward(rubric, components)
        details["verdicts"] = {id_: opinion.details() for id_, opinion in opinions.items()}
        return Score(reward=reward, outcome="judged", components=components, details=details)

    async def _opinions(
        self,
        rubric: Rubric,
        criteria: Sequence[Criterion],
        data: Blocks,
        seed: int,
        tally: Tally,
    ) -> dict[str, Opinion]:
        """The panel's opinion of each criterion, asked some at a time in an order by the seed."""
        at_once = 1 if self.parameters.probabilities else self.parameters.criteria_per_call
        shuffled = list(criteria)
        random.Random(seed).shuffle(shuffled)
        chunks = [shuffled[i : i + at_once] for i in range(0, len(shuffled), at_once)]
        answers = await all_of(
            self._panel.opinions(each(rubric, chunk, data), seed, tally) for chunk in chunks
        )
        by_id = {
            criterion.id: answer[f"c{number}"]
            for chunk, answer in zip(chunks, answers, strict=True)
            for number, criterion in enumerate(chunk, start=1)
        }
        return {criterion.id: by_id[criterion.id] for criterion in criteria}

    def _calibrated(self, value: float) -> float:
        calibration = self.parameters.calibration
        return value if calibration is None else calibration(value)

    # --- the completions of a group -------------------------------------------------

    async def _compared(self, samples: Sequence[Sample]) -> list[Score]:
        """
        Raises:
            MissingField: the samples are of no group, or there is only one.
            InvalidReference: they are not of one prompt and reference.
            JudgeFailed: they are too many.
        """
        if samples[0].group is None:
            raise MissingField(f"the mode {self.parameters.mode} needs `group`")
        if len(samples) < 2:
            raise MissingField("nothing to compare: no other sample has the same `group`")
        if len(samples) > largest_group(self.parameters.mode, self.parameters.opponents):
            raise JudgeFailed(f"{len(samples)} are too many to compare", retryable=False)
        if len({(shown_prompt(s), json.dumps(s.reference, sort_keys=True)) for s in samples}) > 1:
            raise InvalidReference("a group has one prompt and one reference; these differ")
        built, sample = self._rubric_for(samples[0])
        comparison = Comparison(
            instructions=built.rubric.instructions,
            criteria=listed(built.rubric.criteria, with_weights=True),
            context=context(built.rubric, sample),
            panel=self._panel,
            calibrate=self._calibrated,
            seed=derived_seed(self.parameters.seed, shown_prompt(sample)),
        )
        candidates = [Candidate(*self._shown(sample)) for sample in samples]
        if self.parameters.mode == "listwise":
            return await listwise(comparison, candidates, self._failed)
        return await pairwise(comparison, candidates, self.parameters.opponents, self._failed)

    def _failed(self, error: BaseException) -> Score:
        return Score.failed(attributed(error, self))


async def run_one(run: Run, part: Scorer[Any], sample: Sample) -> Score:
    """A program's score of one sample, on the lane where it belongs."""
    [score] = await run(part, [sample])
    assert isinstance(score, Score)
    return score


def by_programs_alone(built: Built, values: Mapping[str, float]) -> Score:
    """The score that programs settled: by all there is, or by what was required.

    One of them may be a judge itself, such as a reward model or another rubric.
    """
    rubric, components = built.rubric, dict(values)
    reward = 0.0 if aggregate.is_lost(rubric, values) else aggregate.reward(rubric, values)
    if any(part.kind == "judge" for part in built.parts.values()):
        return Score(reward=reward, outcome="judged", components=components)
    outcome: Outcome = "correct" if reward == 1.0 else "incorrect" if reward == 0.0 else "partial"
    return Score(
        reward=reward,
        outcome=outcome,
        components=components,
        details={"decided_by": "programs"},
    )
