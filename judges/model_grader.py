"""Rewards what a judge answers to messages of the caller's own: a number, or a label.

For callers that bring the whole question, as OpenAI's `score_model` and `label_model` do.
The messages hold the completion as they please, so they are the sample's prompt; the judge's
reply must be the JSON object that the instruction asks for, and anything else is an error. A
question in which the completion stands unmarked can be talked over by it: rubrics mark it.
"""

from __future__ import annotations

import asyncio
import json
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from pydantic import Field

from judges.llm.base import Ask, Judge, Role, Sampling, Turn
from judges.llm.failures import Declined
from verifiers.base import P, Parameters, Place, Sample, Score, Scorer, Settle
from verifiers.boundary import Boundary
from verifiers.errors import JudgeFailed
from verifiers.sample import Name

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}

STEPS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"description": {"type": "string"}, "conclusion": {"type": "string"}},
        "required": ["description", "conclusion"],
        "additionalProperties": False,
    },
}


class UnreadableVerdict(JudgeFailed):
    """The judge replied, and not with a verdict."""

    code = "judge_unreadable"

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class VerdictDeclined(JudgeFailed):
    """The judge would not give a verdict."""

    code = "judge_refused"


class GraderParameters(Parameters):
    max_tokens: int = Field(1_024, ge=1, description="Of the judge's reply.")
    temperature: float = Field(0.0, ge=0, le=2, description="Of the judge's sampling.")
    seed: int | None = Field(None, description="Of the judge's sampling, where it has one.")
    top_p: float | None = Field(None, gt=0, le=1, description="Of the judge's sampling.")
    reasoning_effort: str | None = Field(None, description="How long the judge is to think.")

    @property
    def sampling(self) -> Sampling:
        """What is asked for beyond what every judge is told."""
        given = (("reasoning_effort", self.reasoning_effort), ("top_p", self.top_p))
        return tuple((name, value) for name, value in given if value is not None)


class ScoreParameters(GraderParameters):
    lowest: float = Field(0.0, description="A lower number counts as this.")
    highest: float = Field(1.0, description="A higher number counts as this.")


class LabelParameters(GraderParameters):
    labels: list[Name] = Field(min_length=1, description="Of which the judge chooses one.")
    passing_labels: list[Name] = Field(min_length=1, description="Those that earn 1.")


class ModelGrader(Scorer[P]):
    """Implement `member`, `wanted` and `reward`. It is in no registry: it takes its judge."""

    kind = "judge"
    lane = "llm"
    requires = ("prompt",)
    member: ClassVar[str]
    """Of the reply, where the verdict is."""

    def __init__(self, parameters: P, judge: Judge) -> None:
        super().__init__(parameters)
        self._judge = judge

    @property
    def deterministic(self) -> bool:
        return False

    def ingredients(self) -> Iterable[Any]:
        yield from super().ingredients()
        yield self._judge.fingerprint

    @abstractmethod
    def wanted(self) -> dict[str, Any]:
        """The JSON Schema of the verdict."""

    @abstractmethod
    def reward(self, verdict: Any) -> float:
        """
        Raises:
            UnreadableVerdict: it is none.
        """

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        async def score(position: int, sample: Sample) -> None:
            boundary = Boundary(self, [sample])
            with boundary:
                self.check(sample)
                boundary.scores = [await self._score(sample)]
            settle(position, boundary.scores[0])

        async with asyncio.TaskGroup() as group:
            for position, sample in enumerate(samples):
                group.create_task(score(position, sample))

    async def _score(self, sample: Sample) -> Score:
        """The verdict's reward. `details` holds the judge's name and the tokens it took."""
        options: Any = self.parameters
        ask = Ask(
            self.turns(sample),
            schema=self.schema(),
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            seed=options.seed,
            sampling=options.sampling,
        )
        try:
            reply = await self._judge.ask(ask)
        except Declined as error:
            raise VerdictDeclined(str(error), retryable=False) from None
        details = {
            "judge": self._judge.name,
            "prompt_tokens": reply.usage.prompt_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        }
        reward = self.reward(self.verdict(reply.text))
        return Score(reward=reward, outcome="judged", details=details, cached=reply.cached)

    def turns(self, sample: Sample) -> tuple[Turn, ...]:
        """The caller's messages, led by what the reply must be."""
        assert sample.prompt is not None
        if isinstance(sample.prompt, str):
            asked = [Turn("user", sample.prompt)]
        else:
            asked = [Turn(ROLES.get(each.role, "user"), each.text) for each in sample.prompt]
        demand = f"Reply with one JSON object that fits this schema: {json.dumps(self.schema())}"
        if asked and asked[0].role == "system":
            return (Turn("system", f"{asked[0].content}\n\n{demand}"), *asked[1:])
        return (Turn("system", demand), *asked)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"steps": STEPS, self.member: self.wanted()},
            "required": ["steps", self.member],
            "additionalProperties": False,
        }

    def verdict(self, text: str) -> Any:
        """The verdict in a reply, which may be fenced."""
        content = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
        try:
            reply = json.loads(content)
        except (ValueError, RecursionError):
            raise UnreadableVerdict("the judge's reply is not JSON") from None
        if not isinstance(reply, dict) or self.member not in reply:
            raise UnreadableVerdict(f"the judge's reply has no {self.member}")
        return reply[self.member]


class ScoreModel(ModelGrader[ScoreParameters]):
    """Rewards the number that a judge gives, clipped to a range."""

    name = "score_model"
    version = "1"
    parameters_type = ScoreParameters
    member = "result"

    @property
    def reward_range(self) -> tuple[float, float]:
        return (self.parameters.lowest, self.parameters.highest)

    def wanted(self) -> dict[str, Any]:
        lowest, highest = self.reward_range
        return {"type": "number", "description": f"From {lowest:g} to {highest:g}."}

    def reward(self, verdict: Any) -> float:
        if type(verdict) not in (int, float) or not math.isfinite(verdict):
            raise UnreadableVerdict("the judge's result is not a number")
        lowest, highest = self.reward_range
        return float(min(max(verdict, lowest), highest))


class LabelModel(ModelGrader[LabelParameters]):
    """Rewards a completion to which a judge gives a passing label."""

    name = "label_model"
    version = "1"
    parameters_type = LabelParameters
    member = "label"

    def wanted(self) -> dict[str, Any]:
        return {"type": "string", "enum": self.parameters.labels}

    def reward(self, verdict: Any) -> float:
        if verdict not in self.parameters.labels:
            raise UnreadableVerdict("the judge's label is none of those given")
        return float(verdict in self.parameters.passing_labels)
