"""Carries samples to scorers and scores back: one bounded queue a lane, no hop more.

    request -> Scheduler.submit -> Scorer.score_each, lent its lane -> Batch.settle -> response

1. A `Job` is what one caller waits for; a `Batch` is its samples that share a scorer; a `Lane`
   is the place where scorers of one kind run, and lends them what such scorers need.
2. Each sample is settled exactly once, by whatever comes first: its score, the deadline, a
   killed worker, the shutdown, or the caller's leaving. Nothing else may resolve a sample,
   and nothing may leave one open.
3. A lane admits a job as a whole or not at all, by how many samples are pending there. A
   composite's parts were counted when it was admitted, so they are never refused.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from app.lanes.well_formed import well_formed
from verifiers.base import (
    InternalError,
    LaneName,
    Place,
    Sample,
    Score,
    Scorer,
    ScoringError,
    Settle,
)
from verifiers.boundary import attributed, is_cancellation, sound
from verifiers.errors import DeadlineExceeded, ShuttingDown

logger = logging.getLogger(__name__)

AnyScorer = Scorer[Any]

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

    def __init__(self, samples: Sequence[Sample], on_score: Settle | None = None) -> None:
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
        self._identity = scorer.identity
        self._bounds: tuple[float, float] | None = None

    def settle(self, position: int, score: Score) -> None:
        """Gives a sample its score. Only the first one counts."""
        if position < 0:
            raise IndexError(f"{self.scorer.name} settled position {position}")
        index = self.indices[position]
        if self.job.scores[index] is not None:
            return
        if self._bounds is None:
            self._bounds = self.scorer.reward_range
        score = well_formed(sound(self.scorer, score, self._bounds))
        score.scorer = self._identity
        self.job.settle(index, score)

    def settle_rest(self, error: ScoringError) -> None:
        """Fails every sample that is still open."""
        for position, index in enumerate(self.indices):
            if self.job.scores[index] is None:
                self.settle(position, Score.failed(error))


# --- where they are scored --------------------------------------------------------------


class Lane(Place, ABC):
    """A place where scorers of one kind run, with room for so many samples at a time."""

    name: LaneName

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.pending = 0

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
        self._short = max_completion_bytes // MAX_UTF8_BYTES
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
        on_score: Settle | None = None,
        admitted: bool = False,
    ) -> Job:
        """Starts scoring `samples`, each by the scorer at its index.

        Args:
            scorers: an error in a scorer's place is its sample's: there is none to score it.
            deadline_s: what is open then is an error.
            on_score: is told each score as soon as it is there.
            admitted: part of a job that was let in, so no lane asks for room again.

        Raises:
            Draining: the service is shutting down.
            QueueFull: a lane has no room; nothing was started.
        """
        places: Counter[LaneName] = Counter()
        one = len(set(scorers)) == 1  # as nearly always
        by_scorer = {scorers[0]: range(len(scorers))} if one else positions(scorers)
        if not admitted:
            self._admit(by_scorer, places)
        job = Job(samples, on_score)
        self._jobs.add(job)
        for name, count in places.items():
            self.lanes[name].pending += count
        if deadline_s is not None:
            error = DeadlineExceeded(f"not scored within {deadline_s:g} s")
            timer = asyncio.get_running_loop().call_later(deadline_s, self._abandon, job, error)
            job.finished.add_done_callback(lambda _: timer.cancel())
        for scorer, indices in by_scorer.items():
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
            for name, count in places.items():
                self.lanes[name].pending -= count
            if not admitted:
                self._on_finished(job)
            # They refer to the job: together they would stay until the garbage collector comes.
            job.batches.clear()

        job.finished.add_done_callback(end)
        return job

    def _admit(
        self,
        by_scorer: Mapping[AnyScorer | ScoringError, Sequence[int]],
        places: Counter[LaneName],
    ) -> None:
        """Counts in `places` what the job takes in each lane.

        Raises:
            Draining, QueueFull: as `submit` does. An idle lane takes a request of any size;
                the request's own limits bound it.
        """
        if self.draining:
            raise Draining
        for scorer, indices in by_scorer.items():
            if not isinstance(scorer, ScoringError):
                for name, count in scorer.demand.items():
                    places[name] += count * len(indices)
        for name, count in places.items():
            lane = self.lanes[name]
            if lane.pending and lane.pending + count > lane.capacity:
                raise QueueFull(name)

    async def run(
        self, scorer: AnyScorer, samples: Sequence[Sample], on_score: Settle | None = None, /
    ) -> list[Score]:
        """Scores for a composite, whose own admission has made room for its parts."""
        job = self.submit([scorer] * len(samples), samples, on_score=on_score, admitted=True)
        return await job.result()

    async def _run(self, batch: Batch) -> None:
        """Runs a batch on its lane; whatever happens, no sample of it stays open."""
        try:
            acceptable = batch
            for sample in batch.samples:
                completion = sample.completion
                if not isinstance(completion, str) or len(completion) > self._short:
                    acceptable = self._without_floods(batch)
                    break
            if acceptable.samples:
                lane = self.lanes[batch.scorer.lane]
                await batch.scorer.score_each(acceptable.samples, acceptable.settle, lane)
            batch.settle_rest(InternalError(f"{batch.scorer.name} gave no score"))
        except BaseException as error:
            if is_cancellation(error):
                batch.settle_rest(InternalError("the caller left", retryable=True))
                raise
            batch.settle_rest(attributed(error, batch.scorer))

    def _without_floods(self, batch: Batch) -> Batch:
        """Settles completions over the size limit, and returns the batch of the others.

        Checked once here for every scorer, so that none has to fear a megabyte of text.
        """
        limit = self._max_completion_bytes
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


def positions(
    scorers: Sequence[AnyScorer | ScoringError],
) -> dict[AnyScorer | ScoringError, Sequence[int]]:
    """Where each scorer is used."""
    indices: dict[AnyScorer | ScoringError, list[int]] = {}
    for index, scorer in enumerate(scorers):
        indices.setdefault(scorer, []).append(index)
    return dict(indices)
