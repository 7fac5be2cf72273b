"""Rewards the completions of one group by comparing them with each other.

Pairwise, the reward is the share of comparisons won, an even one counting half (a Borda count).
Each pair is shown in both orders and the two verdicts are averaged:

    v(i, j) = (f(i, j) + 1 - f(j, i)) / 2      f(a, b): how much better a is, shown first

Listwise, a judge grades all at once, in an order and its reverse; the reward is the mean grade.

Equal texts are even without a call; what judges are not to see, such as a text that says
nothing, loses without one. Where a
comparison fails, both of its completions stay unscored; the others do not.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from judges.rubric.forms import Between, OneOf
from judges.rubric.judging import Panel, Tally, all_of
from judges.rubric.questions import AMONG, BETTER, Blocks, Question
from verifiers.base import Score

FIRST_OR_SECOND = OneOf({"first": 1.0, "equal": 0.5, "second": 0.0})

RELATIVE_GRADE = Between(0.0, 10.0)

EVEN = 0.5

MAX_LISTED = 20
"""Completions that a judge can still keep apart in one list."""

MAX_ALL_PAIRS = 64
"""Completions of a group that all meet, in 4,032 questions. Larger groups need `opponents`."""

Failed = Callable[[BaseException], Score]
"""The score that an exception comes to."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One completion of a group."""

    text: str | None
    refusal: Score | None
    """Its score where no judge is to see it; it then has no text, and loses to all that have."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the completions of a group are compared by."""

    instructions: str
    criteria: str
    context: Blocks
    panel: Panel
    calibrate: Callable[[float], float]
    """Of how much better one is than another, both orders together."""
    seed: int

    def question(self, task: str, blocks: Blocks, forms: Any) -> Question:
        return Question(task, self.criteria, self.instructions, (*self.context, *blocks), forms)

    async def first_is_better(self, first: str, second: str, tally: Tally) -> float:
        """How much better the text shown first is, from 0 to 1."""
        blocks = (("first", first), ("second", second))
        question = self.question(BETTER, blocks, {"better": FIRST_OR_SECOND})
        opinions = await self.panel.opinions(question, self.seed, tally)
        return opinions["better"].value

    async def grades(self, texts: Sequence[str], tally: Tally) -> list[float]:
        """A grade for each text, from 0 to 1, all shown in this order."""
        names = [f"candidate-{place}" for place in range(1, len(texts) + 1)]
        blocks = tuple(zip(names, texts, strict=True))
        forms = dict.fromkeys(names, RELATIVE_GRADE)
        opinions = await self.panel.opinions(self.question(AMONG, blocks, forms), self.seed, tally)
        return [opinions[name].value for name in names]

    def calibrated(self, value: float) -> float:
        """The probability that the first is better, which is 1 minus that of the second."""
        return (self.calibrate(value) + 1.0 - self.calibrate(1.0 - value)) / 2.0


# --- two at a time ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Duel:
    """One pair in both orders."""

    forwards: float
    """How much better the first is, shown first."""
    backwards: float
    """How much better the second is, shown first."""

    @property
    def value(self) -> float:
        return (self.forwards + 1.0 - self.backwards) / 2.0

    @property
    def is_consistent(self) -> bool:
        """The same one is better in both orders, or both are even."""
        return sign(self.forwards - EVEN) == -sign(self.backwards - EVEN)


def sign(value: float) -> int:
    return (value > 0.0) - (value < 0.0)


async def pairwise(
    comparison: Comparison,
    candidates: Sequence[Candidate],
    opponents: int | None,
    failed: Failed,
) -> list[Score]:
    """Each candidate's share of comparisons won, in the order of the candidates."""
    tally = Tally()
    pairs = pairings(len(candidates), opponents, comparison.seed)
    results = await asyncio.gather(
        *(duel(comparison, candidates[i], candidates[j], tally) for i, j in pairs),
        return_exceptions=True,
    )
    won: list[list[float]] = [[] for _ in candidates]
    errors: dict[int, BaseException] = {}
    for (i, j), result in zip(pairs, results, strict=True):
        if isinstance(result, BaseException):
            errors |= {i: result, j: result}
        else:
            won[i].append(
                result if isinstance(result, float) else comparison.calibrated(result.value)
            )
            won[j].append(1.0 - won[i][-1])
    duels = [result for result in results if isinstance(result, Duel)]
    details = group_details(comparison, candidates, tally) | {"position": position_bias(duels)}
    return [
        score_of(candidate, won[place], errors.get(place), details, failed)
        for place, candidate in enumerate(candidates)
    ]


async def duel(
    comparison: Comparison, left: Candidate, right: Candidate, tally: Tally
) -> Duel | float:
    """Both orders of a pair; or its value, where that is plain without asking."""
    if left.text is None or right.text is None or left.text == right.text:
        return EVEN if left.text == right.text else float(left.text is not None)
    forwards, backwards = await all_of(
        comparison.first_is_better(first, second, tally)
        for first, second in ((left.text, right.text), (right.text, left.text))
    )
    return Duel(forwards, backwards)


def pairings(count: int, opponents: int | None, seed: int) -> list[tuple[int, int]]:
    """Which are compared: all, or each with its neighbours on a circle of shuffled places.

    On a circle everyone has the same number of opponents, up to one more than asked for.
    """
    if opponents is None or opponents >= count - 1:
        return [(i, j) for i in range(count) for j in range(i + 1, count)]
    circle = list(range(count))
    random.Random(seed).shuffle(circle)
    steps = range(1, math.ceil(opponents / 2) + 1)
    chosen = {
        tuple(sorted((circle[place], circle[(place + step) % count])))
        for place in range(count)
        for step in steps
    }
    return sorted((pair[0], pair[1]) for pair in chosen)


def position_bias(duels: Sequence[Duel]) -> dict[str, Any]:
    """How much the order decided: nothing at a share of 1/2 and a consistency of 1."""
    if not duels:
        return {"pairs": 0}
    return {
        "pairs": len(duels),
        "first_share": math.fsum(d.forwards + d.backwards for d in duels) / (2 * len(duels)),
        "consistent_share": sum(d.is_consistent for d in duels) / len(duels),
    }


# --- all at once ------------------------------------------------------------------------


async def listwise(
    comparison: Comparison, candidates: Sequence[Candidate], failed: Failed
) -> list[Score]:
    """Each candidate's mean grade over an order and its reverse."""
    tally = Tally()
    texts = sorted({c.text for c in candidates if c.text is not None})
    random.Random(comparison.seed).shuffle(texts)
    details = group_details(comparison, candidates, tally)
    error: BaseException | None = None
    alone = 1.0 if any(c.text is None for c in candidates) else EVEN
    grades = {text: [alone] for text in texts}
    if len(texts) > 1:
        try:
            forwards, backwards = await all_of(
                comparison.grades(order, tally) for order in (texts, texts[::-1])
            )
        except Exception as failure:
            error = failure
        else:
            orders = list(zip(forwards, reversed(backwards), strict=True))
            grades = {text: list(pair) for text, pair in zip(texts, orders, strict=True)}
            details["position"] = drift(orders)
    details |= tally.details()
    return [
        score_of(c, grades[c.text] if c.text else [0.0], error, details, failed) for c in candidates
    ]


def drift(orders: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """How much a grade changes with the order, and how much higher the earlier half is graded."""
    count = len(orders)
    earlier = [
        (forwards - backwards) if place < count // 2 else (backwards - forwards)
        for place, (forwards, backwards) in enumerate(orders)
        if 2 * place + 1 != count
    ]
    return {
        "earlier_advantage": math.fsum(earlier) / len(earlier),
        "mean_change": math.fsum(abs(a - b) for a, b in orders) / count,
    }


# --- both -------------------------------------------------------------------------------


def largest_group(mode: str, opponents: int | None) -> float:
    """How many completions can be compared."""
    if mode == "listwise":
        return MAX_LISTED
    return MAX_ALL_PAIRS if opponents is None else math.inf


def group_details(
    comparison: Comparison, candidates: Sequence[Candidate], tally: Tally
) -> dict[str, Any]:
    return {"seed": comparison.seed, "group_size": len(candidates)} | tally.details()


def score_of(
    candidate: Candidate,
    values: Sequence[float],
    error: BaseException | None,
    details: dict[str, Any],
    failed: Failed,
) -> Score:
    """The mean of what a candidate won. What a group took stands in each of its scores."""
    if candidate.refusal is not None:
        return candidate.refusal
    if error is not None:
        score = failed(error)
        score.details.update(details)
        return score
    reward = math.fsum(values) / len(values)
    return Score(
        reward=reward,
        outcome="judged",
        components={"better": reward},
        details=dict(details),
        cached=details["replies"] > 0 and details["cached_share"] == 1.0,
    )
