"""Carries samples to scorers and scores back: one bounded queue a lane, no hop more.

    request -> Scheduler.submit -> Lane.run -> Scorer.score -> Job.settle -> response

A `Job` is what one caller waits for. Each of its samples is settled exactly once, by
whatever comes first: its score, the deadline, a killed worker, the shutdown, or the
caller's leaving. Nothing else may resolve a sample, and nothing may leave one open.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from app.lanes.well_formed import well_formed
from verifiers.base import (
    InternalError,
    LaneName,
    OnScore,
    Sample,
    Score,
    Scorer,
    ScoringError,
    Verifier,
)
from verifiers.errors import DeadlineExceeded, ShuttingDown

logger = logging.getLogger(__name__)

AnyScorer = Scorer[Any]

T = TypeVar("T")

NOTHING: Mapping[LaneName, int] = {}

SLICE_S = 0.002
"""How long the inline lane holds the event loop before it lets others in."""

RETRY_AFTER_S = 1
"""What a full lane tells its callers: most queues drain within a second."""


MAX_UTF8_BYTES = 4
"""Of one code point: a short text need not be encoded to be known short."""


class QueueFull(Exception):
    """A lane has no room for this request now."""

    def __init__(self, lane: LaneName) -> None:
        super().__init__(f"the {lane} lane is full; try again in {RETRY_AFTER_S} s")


class Draining(Exception):
    """The service is shutting down and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down")


# --- what one caller waits for ----------------------------------------------------------


class Job:
    """Samples on their way to scores.

    `finished` is done once every sample is settled. `scores` then holds no None.
    """

    def __init__(self, samples: Sequence[Sample], on_score: OnScore | None = None) -> None:
        self.samples = samples
        self.scores: list[Score | None] = [None] * len(samples)
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.batches: list[Batch] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._open = len(samples)
        self._on_score = on_score

    def settle(self, index: int, score: Score) -> None:
        """Gives a sample its score, which nothing has given it before."""
        score.id = self.samples[index].id or str(index)
        self.scores[index] = score
        self._open -= 1
        if not self._open and not self.finished.done():
            self.finished.set_result(None)
        if self._on_score is not None:
            self._on_score(index, score)

    async def result(self) -> list[Score]:
        """All scores, in the order of the samples. Cancelling this cancels the job."""
        try:
            await self.finished
        finally:
            self.cancel()
        return [score for score in self.scores if score is not None]

    def cancel(self) -> None:
        """Stops whatever still runs for this job; nobody waits for it any more."""
        for task in self.tasks:
            task.cancel()


class Batch:
    """The samples of a job that share a scorer: what a lane works on."""

    def __init__(self, job: Job, scorer: AnyScorer, indices: Sequence[int]) -> None:
        self.job = job
        self.scorer = scorer
        self.indices = indices
        self.samples = [job.samples[index] for index in indices]
        self._lowest, self._highest = scorer.reward_range
        self._identity = scorer.identity

    def settle(self, position: int, score: Score) -> None:
        """Gives a sample its score. Only the first one counts."""
        index = self.indices[position]
        if self.job.scores[index] is not None:
            return
        reward = score.reward
        if reward is not None and not self._lowest <= reward <= self._highest:
            logger.error("%s gave %r, out of its range", self.scorer.name, reward)
            score = Score.failed(InternalError(f"{self.scorer.name} left its reward range"))
        score = well_formed(score)
        score.scorer = self._identity
        self.job.settle(index, score)

    def settle_rest(self, error: ScoringError) -> None:
        """Fails every sample that is still open."""
        for position, index in enumerate(self.indices):
            if self.job.scores[index] is None:
                self.settle(position, Score.failed(error))


# --- where they are scored --------------------------------------------------------------


class Lane(ABC):
    """A place where scorers of one kind run, with room for so many samples at a time."""

    name: LaneName

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.pending = 0

    def has_room(self, count: int) -> bool:
        """An idle lane takes a request of any size; the request's own limits bound it."""
        return self.pending == 0 or self.pending + count <= self.capacity

    @abstractmethod
    async def run(self, batch: Batch) -> None:
        """Settles every sample of `batch`."""

    async def start(self) -> None:
        """Makes the lane ready to score."""

    async def stop(self) -> None:
        """Frees all that the lane holds."""

    def fault(self) -> str | None:
        """Why the lane cannot score now; None where it can."""
        return None

    def note(self) -> str | None:
        """What is to be known of a lane that is no fault, such as that it is off."""
        return None


class InlineLane(Lane):
    """Scores on the event loop, in slices, for rules that take microseconds."""

    name = "inline"

    async def run(self, batch: Batch) -> None:
        if not isinstance(batch.scorer, Verifier):
            await batch.scorer.score_each(batch.samples, batch.settle)
            return
        slice_ends = time.perf_counter() + SLICE_S
        for position, sample in enumerate(batch.samples):
            batch.settle(position, batch.scorer.attempt(sample))
            if time.perf_counter() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = time.perf_counter() + SLICE_S


class Scheduler:
    """Admits jobs, runs them on their lanes, and ends them all when the service stops."""

    def __init__(
        self,
        lanes: Iterable[Lane],
        *,
        max_completion_bytes: int,
        on_finished: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self.lanes = {lane.name: lane for lane in lanes}
        self.draining = False
        self._max_completion_bytes = max_completion_bytes
        self._on_finished = on_finished
        self._jobs: set[Job] = set()

    async def start(self) -> None:
        for lane in self.lanes.values():
            await lane.start()

    async def stop(self, *, grace_s: float) -> None:
        """Lets work in flight finish inside `grace_s`, fails the rest, frees the lanes."""
        await self.drain(grace_s=grace_s)
        for lane in self.lanes.values():
            await lane.stop()

    async def drain(self, *, grace_s: float) -> None:
        self.draining = True
        if self._jobs:
            await asyncio.wait([job.finished for job in self._jobs], timeout=grace_s)
        error = ShuttingDown("the service stopped before this sample was scored")
        for job in list(self._jobs):
            self._abandon(job, error)

    def faults(self) -> dict[str, str]:
        """The lanes that cannot score now, each with its reason."""
        faults = {name: lane.fault() for name, lane in self.lanes.items()}
        return {name: fault for name, fault in faults.items() if fault is not None}

    def submit(
        self,
        scorers: Sequence[AnyScorer | ScoringError],
        samples: Sequence[Sample],
        *,
        deadline_s: float | None = None,
        on_score: OnScore | None = None,
    ) -> Job:
        """Starts scoring `samples`, each by the scorer at its index.

        An error in a scorer's place is that sample's, and settles it at once.

        Raises:
            Draining: the service is shutting down.
            QueueFull: a lane has no room; nothing was started.
        """
        if self.draining:
            raise Draining
        demand: Counter[LaneName] = Counter()
        for scorer, count in Counter(scorers).items():
            if not isinstance(scorer, ScoringError):
                for name, places in scorer.demand().items():
                    demand[name] += places * count
        for name, count in demand.items():
            if not self.lanes[name].has_room(count):
                raise QueueFull(name)
        return self._start(
            scorers, samples, demand, deadline_s, on_score, on_finished=self._on_finished
        )

    async def run(
        self, scorer: AnyScorer, samples: Sequence[Sample], on_score: OnScore | None = None, /
    ) -> list[Score]:
        """Scores for a composite, whose own admission has made room for its parts."""
        return await self._start([scorer] * len(samples), samples, on_score=on_score).result()

    def _start(
        self,
        scorers: Sequence[AnyScorer | ScoringError],
        samples: Sequence[Sample],
        demand: Mapping[LaneName, int] = NOTHING,
        deadline_s: float | None = None,
        on_score: OnScore | None = None,
        on_finished: Callable[[Job], None] = lambda job: None,
    ) -> Job:
        job = Job(samples, on_score)
        self._jobs.add(job)
        for name, count in demand.items():
            self.lanes[name].pending += count
        if deadline_s is not None:
            error = DeadlineExceeded(f"not scored within {deadline_s:g} s")
            timer = asyncio.get_running_loop().call_later(deadline_s, self._abandon, job, error)
            job.finished.add_done_callback(lambda _: timer.cancel())
        for scorer, indices in positions(scorers).items():
            if isinstance(scorer, ScoringError):
                for index in indices:
                    job.settle(index, Score.failed(scorer))
                continue
            batch = Batch(job, scorer, indices)
            task = asyncio.create_task(self._run(batch))
            job.batches.append(batch)
            job.tasks.add(task)
            task.add_done_callback(job.tasks.discard)

        def end(_: object) -> None:
            self._jobs.discard(job)
            for name, count in demand.items():
                self.lanes[name].pending -= count
            on_finished(job)
            # They refer to the job: together they would stay until the garbage collector comes.
            job.batches.clear()

        job.finished.add_done_callback(end)
        return job

    async def _run(self, batch: Batch) -> None:
        """Runs a batch on its lane; whatever happens, no sample of it stays open."""
        try:
            acceptable = self._reject_floods(batch)
            if acceptable.samples:
                await self.lanes[batch.scorer.lane].run(acceptable)
            batch.settle_rest(InternalError(f"{batch.scorer.name} gave no score"))
        except ScoringError as error:
            batch.settle_rest(error)
        except Exception:
            logger.exception("%s failed on a batch", batch.scorer.name)
            batch.settle_rest(InternalError(f"{batch.scorer.name} failed"))
        finally:
            batch.settle_rest(InternalError("the caller left", retryable=True))

    def _reject_floods(self, batch: Batch) -> Batch:
        """Settles completions over the size limit, and returns the batch of the others.

        Checked once here for every scorer, so that none has to fear a megabyte of text.
        """
        limit = self._max_completion_bytes
        completions = [sample.completion for sample in batch.samples]
        short = limit // MAX_UTF8_BYTES
        if all(isinstance(text, str) and len(text) <= short for text in completions):
            return batch
        kept = []
        for position, sample in enumerate(batch.samples):
            completion = sample.completion
            text = completion if isinstance(completion, str) else completion.text
            if len(text.encode()) <= limit:
                kept.append(batch.indices[position])
            else:
                lowest = batch.scorer.lowest("rejected", completion_limit_bytes=limit)
                batch.settle(position, lowest)
        return Batch(batch.job, batch.scorer, kept)

    def _abandon(self, job: Job, error: ScoringError) -> None:
        """Fails what is open of a job, and stops what runs for it."""
        for batch in job.batches:
            batch.settle_rest(error)
        job.cancel()


def positions(scorers: Sequence[T]) -> dict[T, Sequence[int]]:
    """Where each scorer is used. Nearly always one scorer is used everywhere."""
    if len(set(scorers)) == 1:
        return {scorers[0]: range(len(scorers))}
    indices: dict[T, list[int]] = {}
    for index, scorer in enumerate(scorers):
        indices.setdefault(scorer, []).append(index)
    return dict(indices)
