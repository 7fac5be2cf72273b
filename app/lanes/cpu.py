"""The `cpu` lane: worker processes that are killed and replaced when a task hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from pydantic import TypeAdapter

from app.lanes.cpu_process import REFERENCE_LIMIT_SIGNAL, TIME_LIMIT_SIGNAL, TURN_OVER
from app.lanes.lane import SLICE_S, Batch, Lane
from verifiers.base import (
    InternalError,
    InvalidReference,
    Sample,
    Score,
    Scorer,
    ScoringError,
    Verifier,
)
from verifiers.score import to_json

logger = logging.getLogger(__name__)

MAX_CHUNK = 64
"""Samples in one message to a worker: enough that the message costs little beside them."""

TURN_S = 0.25
"""After so long a worker goes on to whoever has waited longest, even within a message: a
request of many slow samples must not hold every worker until its last one."""

STALL_FACTOR = 20
"""A worker that takes so many times its CPU limit by the clock is stuck through no fault
of the sample: it is killed, and the sample is an error of ours."""

START_TIMEOUT_S = 60.0

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
"""What workers see of the environment: no key and no token."""

UNREAD: Any = {"__all__": {"id", "group", "metadata", "scorer"}}
"""What no verifier reads need not be sent to one."""

SAMPLES = TypeAdapter(list[Sample])
read_score = msgspec.json.Decoder(Score).decode


class WorkerDied(Exception):
    """The process is gone. `returncode` is negative for a signal."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"worker ended with {returncode}")
        self.returncode = returncode


class Worker:
    """One process and the pipe to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: deque[bytes] = deque()
        self._unread = b""

    @classmethod
    async def start(cls, cpu_limit_s: float, memory_bytes: int) -> Worker:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        paths = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-P",
                "-m",
                "app.lanes.cpu_process",
                str(cpu_limit_s),
                str(memory_bytes),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl+C is for the service to handle
        )
        worker = cls(process)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await worker._line()
        except BaseException:
            await worker.kill()
            raise
        return worker

    async def score(
        self,
        scorer: Scorer[Any],
        samples: Sequence[Sample],
        settle: Callable[[int, Score], None],
        stall_s: float,
    ) -> None:
        """Scores `samples` until its turn is over, calling `settle` with each score.

        Raises:
            WorkerDied: the process ended first.
            TimeoutError: a sample took longer than `stall_s` by the clock.
        """
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(message(scorer, samples))
            await stdin.drain()
        except (ConnectionError, RuntimeError):  # uvloop raises the latter on a closed pipe
            raise WorkerDied(await self._process.wait()) from None
        for position in range(len(samples)):
            async with asyncio.timeout(stall_s):
                line = await self._line()
            if line == TURN_OVER:
                return
            settle(position, read_score(line))

    async def _line(self) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        while not self._lines:
            data = await stdout.read(1 << 16)
            if not data:
                raise WorkerDied(await self._process.wait())
            *lines, self._unread = (self._unread + data).split(b"\n")
            self._lines.extend(lines)
        return self._lines.popleft()

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()  # at once: the loop may end before it notices
        await self._process.wait()


def message(scorer: Scorer[Any], samples: Sequence[Sample]) -> bytes:
    spec = {"type": scorer.name, **scorer.parameters.model_dump(mode="json")}
    return b'{"turn_s":%b,"spec":%b,"samples":%b}\n' % (
        to_json(TURN_S),
        to_json(spec),
        SAMPLES.dump_json(list(samples), exclude=UNREAD),
    )


@dataclass(slots=True)
class Work:
    """What is left of a batch: positions in it."""

    batch: Batch
    waiting: deque[int] = field(default_factory=deque)
    suspects: set[int] = field(default_factory=set)
    """Samples at which a worker died, not of their time limit."""
    workers: set[asyncio.Task[None]] = field(default_factory=set)

    size: int = 1
    """Samples in one message."""

    def add(self, positions: Sequence[int], workers: int) -> None:
        """Few samples make small messages, so that all workers have some."""
        self.waiting.extend(positions)
        self.size = max(1, min(MAX_CHUNK, -(-len(self.waiting) // workers)))

    def take(self) -> list[int]:
        return [self.waiting.popleft() for _ in range(min(self.size, len(self.waiting)))]

    def fail_rest(self, taken: Sequence[int], error: InternalError) -> None:
        for position in [*taken, *self.waiting]:
            self.batch.settle(position, Score.failed(error))
        self.waiting.clear()


async def slow_ones(batch: Batch) -> AsyncIterator[list[int]]:
    """Scores what is sure to be quick here, in slices; yields the others of every slice."""
    assert isinstance(batch.scorer, Verifier)
    is_quick, attempt = batch.scorer.is_quick, batch.scorer.attempt
    slow: list[int] = []
    slice_ends = time.perf_counter() + SLICE_S
    for position, sample in enumerate(batch.samples):
        try:
            quick = is_quick(sample)
        except ScoringError:
            quick = True  # it fails where it is attempted, too
        if quick:
            batch.settle(position, attempt(sample))
        else:
            slow.append(position)
        if time.perf_counter() > slice_ends:
            yield slow
            slow = []
            await asyncio.sleep(0)
            slice_ends = time.perf_counter() + SLICE_S
    yield slow


class CpuLane(Lane):
    """Up to `workers` processes, the first started with the lane, the others on demand.

    A sample that outlives its CPU limit is the completion's fault: it gets the lowest
    reward with outcome `time_limit`. A worker that dies otherwise is ours: the sample is
    tried once more, then fails with a retryable error.

    Workers go round: a batch has at most one turn of each in the queue, so that what comes
    later waits for a turn of every batch before it, and not for their ends.
    """

    name = "cpu"

    def __init__(
        self, *, workers: int, cpu_limit_s: float, memory_bytes: int, capacity: int
    ) -> None:
        super().__init__(capacity)
        self._cpu_limit_s = cpu_limit_s
        self._memory_bytes = memory_bytes
        self._workers = workers
        self._slots = asyncio.Semaphore(workers)
        self._idle: list[Worker] = []
        self._alive: set[Worker] = set()
        self._fault: str | None = "not started"

    async def start(self) -> None:
        self._idle.append(await self._start_worker())

    async def stop(self) -> None:
        self._fault = "stopped"
        self._idle.clear()
        await asyncio.gather(*(self._discard(worker) for worker in list(self._alive)))

    def fault(self) -> str | None:
        return self._fault

    async def run(self, batch: Batch) -> None:
        work = Work(batch)
        async with asyncio.TaskGroup() as group:
            async for slow in slow_ones(batch):
                work.add(slow, self._workers)
                for _ in range(min(self._workers - len(work.workers), len(work.waiting))):
                    task = group.create_task(self._work_off(work))
                    work.workers.add(task)
                    task.add_done_callback(work.workers.discard)

    async def _work_off(self, work: Work) -> None:
        while work.waiting:
            async with self._slots:
                taken = work.take()
                if not taken:
                    return  # others were quicker
                try:
                    settled, returncode = await self._score(work.batch, taken)
                except InternalError as unavailable:
                    work.fail_rest(taken, unavailable)
                    return
            work.waiting.extendleft(reversed(taken[settled:]))
            if returncode is not None:
                self._blame(work, work.waiting[0], returncode)

    def _blame(self, work: Work, position: int, returncode: int) -> None:
        """Settles the sample at which a worker ended, or has it tried once more."""
        batch = work.batch
        if returncode == -TIME_LIMIT_SIGNAL:
            score = batch.scorer.lowest("time_limit", cpu_limit_s=self._cpu_limit_s)
        elif returncode == -REFERENCE_LIMIT_SIGNAL:
            reason = f"reference: over {self._cpu_limit_s:g} s to read"
            score = Score.failed(InvalidReference(reason))
        elif position in work.suspects:
            logger.error("%s: workers end with %s", batch.scorer.name, returncode)
            score = Score.failed(InternalError("the scoring process died", retryable=True))
        else:
            work.suspects.add(position)
            return
        work.waiting.popleft()
        batch.settle(position, score)

    async def _score(self, batch: Batch, positions: Sequence[int]) -> tuple[int, int | None]:
        """Gives one worker a turn at these samples.

        Returns how many of them are settled, and how the worker ended, if it did.
        """
        settled = 0

        def settle(offset: int, score: Score) -> None:
            nonlocal settled
            batch.settle(positions[offset], score)
            settled = offset + 1

        samples = [batch.samples[position] for position in positions]
        worker = await self._take()
        try:
            stall_s = self._cpu_limit_s * STALL_FACTOR
            await worker.score(batch.scorer, samples, settle, stall_s)
        except WorkerDied as death:
            await self._discard(worker)
            return settled, death.returncode
        except TimeoutError:
            await self._discard(worker)
            return settled, -signal.SIGKILL
        except BaseException:
            await self._discard(worker)
            raise
        self._idle.append(worker)
        return settled, None

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await self._discard(worker)
        return await self._start_worker()

    async def _start_worker(self) -> Worker:
        try:
            worker = await Worker.start(self._cpu_limit_s, self._memory_bytes)
        except (OSError, WorkerDied, TimeoutError) as error:
            self._fault = f"a worker process does not start: {error or 'no answer'}"
            raise InternalError("the cpu lane cannot start a process", retryable=True) from error
        self._fault = None
        self._alive.add(worker)
        return worker

    async def _discard(self, worker: Worker) -> None:
        """Kills a worker, to the end even where whoever asks is cancelled meanwhile."""
        ending = asyncio.ensure_future(worker.kill())
        ending.add_done_callback(lambda _: self._alive.discard(worker))
        await asyncio.shield(ending)
