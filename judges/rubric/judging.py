"""Puts questions to a panel of judges and joins what they say.

Every judge of the panel answers every question, `samples` times; a verdict's value is the mean
over the samples of a judge, and the weighted mean over the judges. A judge that fails fails the
question: a panel without one of its members is another panel, whose scores do not compare.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from judges.llm.base import Ask, Judge, Reply, Usage
from judges.llm.failures import NoAnswer
from judges.rubric.hygiene import fresh_nonce
from judges.rubric.parse import Malformed, Verdict, verdicts_in, weighted_verdict
from judges.rubric.prompts import ask_for, ask_for_option, repaired
from judges.rubric.questions import Question
from verifiers.errors import JudgeFailed

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What the questions about one sample took, failed ones included."""

    replies: int = 0
    cached: int = 0
    repaired: int = 0
    used: Usage = field(default_factory=Usage)

    @property
    def is_empty(self) -> bool:
        return not self.replies and not self.used.calls

    @property
    def is_cached(self) -> bool:
        """Whether nothing was paid for."""
        return 0 < self.replies == self.cached

    def add(self, reply: Reply) -> None:
        self.replies += 1
        self.cached += reply.cached
        self.used += reply.usage

    def details(self) -> dict[str, Any]:
        return {
            "replies": self.replies,
            "cached_share": self.cached / self.replies if self.replies else 0.0,
            "repaired": self.repaired,
            "calls": self.used.calls,
            "prompt_tokens": self.used.prompt_tokens,
            "completion_tokens": self.used.completion_tokens,
            "cost": self.used.cost,
        }


@dataclass(frozen=True, slots=True)
class Opinion:
    """The joined verdicts of a panel on one thing."""

    value: float
    by_judge: Mapping[str, Sequence[Verdict]]
    """Each judge's verdicts, one a sample."""

    def details(self) -> dict[str, Any]:
        """The value and the verdicts behind it, with the first reason that was given."""
        verdicts = {
            name: [given_or_value(verdict) for verdict in verdicts]
            for name, verdicts in self.by_judge.items()
        }
        reasons = (verdict.reason for them in self.by_judge.values() for verdict in them)
        reason = next((reason for reason in reasons if reason), None)
        return {"value": self.value, "verdicts": verdicts} | ({"reason": reason} if reason else {})


@dataclass(frozen=True, slots=True)
class Panel:
    """Judges with their weights, and how they are asked."""

    judges: Mapping[str, Judge]
    weights: Mapping[str, float]
    samples: int = 1
    temperature: float = 0.0
    reasoning_tokens: int = 0
    probabilities: bool = False

    async def opinions(self, question: Question, seed: int, tally: Tally) -> dict[str, Opinion]:
        """What the panel thinks, by the keys of the question's forms.

        Raises:
            JudgeFailed: a judge could not be had, or gave no valid verdict, twice.
        """
        asked = [(name, seed + k) for name in self.judges for k in range(self.samples)]
        answers = await all_of(
            self._verdicts(self.judges[name], question, at, tally) for name, at in asked
        )
        opinions = {}
        for key in question.forms:
            by_judge: dict[str, list[Verdict]] = {name: [] for name in self.judges}
            for (name, _), verdicts in zip(asked, answers, strict=True):
                by_judge[name].append(verdicts[key])
            opinions[key] = Opinion(self._joined(by_judge), by_judge)
        return opinions

    def _joined(self, by_judge: Mapping[str, Sequence[Verdict]]) -> float:
        total = math.fsum(self.weights[name] for name in by_judge)
        parts = (
            self.weights[name] * math.fsum(v.value for v in verdicts) / len(verdicts)
            for name, verdicts in by_judge.items()
        )
        return min(1.0, max(0.0, math.fsum(parts) / total))

    async def _verdicts(
        self, judge: Judge, question: Question, seed: int, tally: Tally
    ) -> dict[str, Verdict]:
        nonce = fresh_nonce()
        if self.probabilities:
            return await self._weighed(judge, question, nonce, seed, tally)
        ask = ask_for(
            question,
            nonce,
            temperature=self.temperature,
            seed=seed,
            reasoning_tokens=self.reasoning_tokens,
        )
        reply = await heard(judge, ask, tally)
        try:
            return verdicts_in(reply, nonce, question.forms)
        except Malformed as fault:
            tally.repaired += 1
            again = await heard(judge, repaired(ask, str(fault)), tally)
        try:
            return verdicts_in(again, nonce, question.forms)
        except Malformed as fault:
            raise JudgeFailed(f"{judge.name} gave no valid verdict, twice: {fault}") from None

    async def _weighed(
        self, judge: Judge, question: Question, nonce: str, seed: int, tally: Tally
    ) -> dict[str, Verdict]:
        """A verdict without text: nothing to parse, nothing to forge, nothing to repair."""
        [(key, form)] = question.forms.items()
        reply = await heard(judge, ask_for_option(question, nonce, seed=seed), tally)
        try:
            return {key: weighted_verdict(reply, form)}
        except Malformed as fault:
            raise JudgeFailed(f"{judge.name}: {fault}", retryable=False) from None


async def heard(judge: Judge, ask: Ask, tally: Tally) -> Reply:
    """The judge's reply, counted before anybody looks at it; what none took is counted, too."""
    try:
        reply = await judge.ask(ask)
    except NoAnswer as failure:
        tally.used += failure.used
        raise
    tally.add(reply)
    return reply


def given_or_value(verdict: Verdict) -> bool | float | str:
    return verdict.value if verdict.given is None else verdict.given


async def all_of(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results, in order. The first failure ends the others and is raised as it is."""
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(coroutine) for coroutine in coroutines)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def derived_seed(*parts: Any) -> int:
    """A seed of 31 bits that depends on all the parts, the same in every process."""
    content = json.dumps(parts, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:4]) >> 1
