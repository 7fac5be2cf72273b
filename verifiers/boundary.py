"""The boundary between a completion's fault and ours: what is raised becomes a score only here.

1. A score that a scorer gives stands: a completion at fault has got the lowest reward.
2. A `ScoringError` is raised where a sample cannot be scored: it becomes the score's error.
3. Memory that runs out is the completion's fault where each task has a cap of its own, and
   elsewhere the machine's: an error that may be tried again. Of a reference that does not even
   fit without a completion, it is the reference's.
4. Whatever else is raised is a bug of ours, also what is no `Exception`, such as SystemExit:
   logged, and an error that shows nothing of its insides. Only the cancellation of a task that is
   really being cancelled passes.
5. What a scorer gives is looked at once, by `sound`: a score, of one reward or one error, within
   the scorer's range and with an outcome that there is.

So a reward is never made out of an exception, and every score knows how long it took.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from copy import copy
from types import TracebackType
from typing import Any, ClassVar, Protocol, get_args

from verifiers.errors import InternalError, InvalidReference, ScoringError
from verifiers.sample import Sample
from verifiers.score import Outcome, Score

logger = logging.getLogger(__name__)

clock = time.perf_counter_ns

OUTCOMES = frozenset((*get_args(Outcome), None))


class Scores(Protocol):
    """What the boundary asks of a scorer."""

    name: ClassVar[str]

    @property
    def reward_range(self) -> tuple[float, float]: ...

    def lowest(self, outcome: Outcome, **details: Any) -> Score: ...


class Rule(Scores, Protocol):
    """A function of one sample, which any process may follow: see `verifiers.base.Verifier`."""

    parameters: Any

    def check(self, sample: Sample) -> None: ...
    def prepare(self, sample: Sample) -> None: ...
    def is_quick(self, sample: Sample) -> bool: ...
    def score_one(self, sample: Sample) -> Score: ...


def attempt(rule: Rule, sample: Sample, *, memory_is_capped: bool = False) -> Score:
    """What a rule makes of a sample, timed, with whatever it raises turned into an error."""
    started_ns = clock()
    try:
        rule.check(sample)
        score = rule.score_one(sample)
        score.elapsed_ms = elapsed_ms(started_ns)
        return score
    except MemoryError as error:
        if memory_is_capped:
            score = rule.lowest("memory_limit")
        else:
            score = Score.failed(attributed(error, rule, sample))
    except BaseException as error:  # nothing waits here, so nothing can be cancelled
        score = Score.failed(attributed(error, rule, sample))
    score.elapsed_ms = elapsed_ms(started_ns)
    return score


def refusal(rule: Rule, sample: Sample) -> Score | None:
    """Why this sample cannot be scored whatever its completion is; None where it can."""
    try:
        rule.check(sample)
        rule.prepare(sample)
    except MemoryError:
        return Score.failed(InvalidReference("reference: takes too much memory to read"))
    except Exception as error:
        return Score.failed(attributed(error, rule, sample))
    return None


class Boundary:
    """The same around a block that waits, over samples that are scored, and fail, together.

        boundary = Boundary(scorer, samples)
        with boundary:
            boundary.scores = await compared(samples)
        # boundary.scores has a score for every sample, whatever happened

    Attributes:
        scores: what the block sets; errors where it raised.
    """

    def __init__(self, scorer: Scores, samples: Sequence[Sample]) -> None:
        self.scores: list[Score] = []
        self._scorer = scorer
        self._samples = samples
        self._started_ns = clock()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        if error is None and len(self.scores) != len(self._samples):
            error = RuntimeError(f"{len(self.scores)} scores of {len(self._samples)} samples")
        if error is not None:
            if is_cancellation(error):
                return False
            fault = attributed(error, self._scorer, *self._samples)
            self.scores = [Score.failed(fault) for _ in self._samples]
        for score in self.scores:
            score.elapsed_ms = elapsed_ms(self._started_ns)
        return True


def is_cancellation(error: BaseException) -> bool:
    """Whether the running task is being ended from outside, and no scorer made this up."""
    if not isinstance(error, asyncio.CancelledError):
        return isinstance(error, GeneratorExit)
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def sound(scorer: Scores, score: Score, bounds: tuple[float, float]) -> Score:
    """The score itself where it is one, else the error that it comes to.

    One that another sample has already been given is copied: scorers may keep what they give.

    Args:
        bounds: the scorer's reward range, which is not asked for again with every score.
    """
    if type(score) is not Score:
        return Score.failed(InternalError(f"{scorer.name} gave what is no score"))
    lowest, highest = bounds
    reward = score.reward
    if reward is None:
        fault = None if score.error is not None else "neither a reward nor an error"
    elif score.error is not None:
        fault = "a reward and an error"
    elif type(reward) is not float or not lowest <= reward <= highest:
        fault = f"{reward!r}, out of its range"
    else:
        fault = None if score.outcome in OUTCOMES else "an outcome that there is not"
    if fault is not None:
        logger.error("%s gave %s", scorer.name, fault)
        return Score.failed(InternalError(f"{scorer.name} gave {fault.partition(',')[0]}"))
    return score if score.scorer is None else copy(score)


def attributed(error: BaseException, scorer: Scores, *samples: Sample) -> ScoringError:
    """What a score says of something that was raised."""
    if isinstance(error, ScoringError):
        return error
    if isinstance(error, MemoryError):
        return InternalError("out of memory", retryable=True)
    names = [sample.id for sample in samples]
    logger.error("%s failed on %s", scorer.name, names or "a batch", exc_info=error)
    return InternalError(f"{scorer.name} failed" + (" on this sample" if samples else ""))


def elapsed_ms(started_ns: int) -> float:
    """Milliseconds since then, to the microsecond."""
    return (clock() - started_ns) // 1000 / 1000
