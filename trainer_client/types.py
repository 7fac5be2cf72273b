"""The values that the client takes and gives."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer_client.errors import Unscored

# Its own generator: trainers seed and checkpoint the global one, and a retry must not
# change what they sample next.
_jitter = random.Random()


@dataclass(frozen=True, slots=True)
class ScoreError:
    """Why a sample could not be scored. Never the completion's fault."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class ScorerIdentity:
    """What scored a sample. Scores with equal digests of equal samples are comparable."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one completion is worth, or why nobody could tell: a reward xor an error.

    Raises:
        ValueError: reward and error are both set or both missing, or the reward is not
            finite.
    """

    id: str
    reward: float | None = None
    error: ScoreError | None = None
    outcome: str | None = None
    answer: str | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    scorer: ScorerIdentity | None = None
    elapsed_ms: float = 0.0
    cached: bool = False

    def __post_init__(self) -> None:
        if (self.reward is None) == (self.error is None):
            raise ValueError("a score has either a reward or an error")
        if self.reward is not None and not math.isfinite(self.reward):
            raise ValueError(f"a reward is a finite number, not {self.reward!r}")

    @property
    def scored(self) -> bool:
        return self.reward is not None

    @property
    def correct(self) -> bool | None:
        """Whether it is right; None where nobody said so: unscored, or rated by a judge."""
        return self.outcome == "correct" if self.scored and self.outcome != "judged" else None

    @property
    def retryable(self) -> bool:
        """It could not be scored, and may be when it is sent again."""
        return self.error is not None and self.error.retryable

    def reward_or_raise(self) -> float:
        """The reward.

        Raises:
            Unscored: there is none.
        """
        if self.error is not None:
            raise Unscored(self.id, self.error.code, self.error.message)
        assert self.reward is not None
        return self.reward


@dataclass(frozen=True, slots=True)
class MajorityAnswer:
    """What most completions of a group answered; `index` is the earliest that did."""

    answer: str
    votes: int
    index: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatistics:
    """Of the scored completions of a group; None where there is nothing to tell from.

    Lengths are in characters, the entropy is in nats, deviations are the population's.
    """

    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    pass_at_k: Mapping[int, float | None]
    distinct_answers: int | None
    answer_entropy: float | None
    length_mean: float | None
    length_std: float | None
    length_correct: float | None
    length_wrong: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScores:
    """What the completions of one prompt come to together.

    `advantages` has None where a score failed. `selected` is the completion to keep.
    """

    id: str
    scores: Sequence[Score]
    advantages: Sequence[float | None]
    selected: int | None
    majority: MajorityAnswer | None
    comparison_error: ScoreError | None
    """Why the answers could not be compared: then `majority` is None. The scores stand."""
    statistics: GroupStatistics

    @property
    def retryable(self) -> bool:
        """Something in it could not be told, and may be when the group is sent again."""
        late = self.comparison_error is not None and self.comparison_error.retryable
        return late or any(score.retryable for score in self.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorVerdict:
    """What the service's monitor makes of the steps of a run that it was told."""

    alarm: bool
    """The reward has risen while gold fell, by more than chance explains."""
    reason: str
    observations: int
    """Steps that it knows."""
    best_step: int | None
    """Where gold was best."""
    turnover_kl: float | None
    """The KL there, in nats; None without an alarm."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The service stopped answering (`over` is False), or answers again (True)."""

    url: str
    reason: str
    """The failure that began it."""
    duration_s: float
    over: bool


@dataclass(frozen=True, slots=True)
class Retry:
    """How retries are paced.

    Waits are drawn from between 0 and a bound that doubles from `base_s` to `max_s`
    ("full jitter"), on top of what the service asks for in Retry-After.
    """

    base_s: float = 0.1
    max_s: float = 5.0
    resubmissions: int = 2
    """How often a sample whose own error is retryable is sent again."""

    def delay_s(self, attempt: int) -> float:
        """The wait after the failure of `attempt`, counted from 0."""
        # 2**30 times anything sensible is over max_s; a larger power would overflow.
        return _jitter.uniform(0, min(self.max_s, self.base_s * 2.0 ** min(attempt, 30)))
