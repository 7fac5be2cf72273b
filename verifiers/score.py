"""What comes back, as it goes over the wire: a reward xor an error, and how it came about.

These are made by the thousand in every request, and so are structs of msgspec, which makes
and writes them several times as fast as dataclasses are made and written by pydantic.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from verifiers.errors import ScoringError

to_json = msgspec.json.Encoder().encode
"""A score, or an answer that holds some, as JSON."""

Outcome = Literal[
    "correct",
    "partial",
    "incorrect",
    "no_answer",
    "time_limit",
    "memory_limit",
    "output_limit",
    "runtime_error",
    "compile_error",
    "rejected",
    "unsolved",
    "judged",
]


class ScoreError(msgspec.Struct, frozen=True):
    """Why a sample could not be scored: our fault, or the reference's, never the policy's."""

    code: str
    message: str
    retryable: bool


class ScorerIdentity(msgspec.Struct, frozen=True):
    """Scores with equal digests of equal samples are comparable."""

    name: str
    version: str
    digest: str


class Score(msgspec.Struct, kw_only=True):
    """A reward xor an error, and how it came about.

    Scorers set the upper half. `id`, `scorer` and `elapsed_ms` are stamped by whoever
    runs the scorer.

    Raises:
        ValueError: reward and error are both set or both missing, or the reward is NaN
            or infinite.
    """

    id: str = ""
    reward: float | None = None
    error: ScoreError | None = None
    outcome: Outcome | None = None
    answer: str | None = None
    components: dict[str, float] = {}
    details: dict[str, Any] = {}
    scorer: ScorerIdentity | None = None
    elapsed_ms: float = 0.0
    cached: bool = False

    def __post_init__(self) -> None:
        reward = self.reward
        if (reward is None) == (self.error is None):
            raise ValueError("a score has either a reward or an error")
        if reward is not None:
            if type(reward) is not float:  # an integer, or numpy's, which JSON would not take
                self.reward = reward = float(reward)
            if not math.isfinite(reward):
                raise ValueError(f"a reward is a finite number, not {reward!r}")

    @classmethod
    def failed(cls, error: ScoringError) -> Score:
        return cls(error=ScoreError(error.code, str(error), error.retryable))
