"""Every sample is settled exactly once, on every path."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from app.lanes.inline import InlineLane
from app.lanes.lane import Draining, Lane, QueueFull, Scheduler
from verifiers.base import InternalError, Parameters, Place, Sample, Score, Scorer, Settle, Verifier


class Asynchronous(Scorer[Parameters]):
    """Rewards whatever the given coroutine function says."""

    name = "asynchronous"
    version = "1"
    example: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, rule: Callable[[Sequence[Sample]], Awaitable[list[Score]]]) -> None:
        super().__init__(Parameters())
        self.rule = rule

    async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
        for position, score in enumerate(await self.rule(samples)):
            settle(position, score)


class Pure(Verifier[Parameters]):
    """Rewards whatever the given function says."""

    name = "pure"
    version = "1"
    example: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, rule: Callable[[Sample], Score]) -> None:
        super().__init__(Parameters())
        self.rule = rule

    def score_one(self, sample: Sample) -> Score:
        return self.rule(sample)


def scheduler(*lanes: Lane, capacity: int = 100) -> Scheduler:
    return Scheduler(lanes or (InlineLane(capacity),), max_completion_bytes=1_000)


def samples(count: int) -> list[Sample]:
    return [Sample(completion=str(index)) for index in range(count)]


async def right(some: Sequence[Sample]) -> list[Score]:
    return [Score(reward=1.0, outcome="correct") for _ in some]


async def forever(_: Sequence[Sample]) -> list[Score]:
    await asyncio.Event().wait()
    raise AssertionError


def run(scorer: Scorer[Any], count: int = 2, **options: Any) -> list[Score]:
    async def go() -> list[Score]:
        return await scheduler().submit([scorer] * count, samples(count), **options).result()

    return asyncio.run(go())


def test_a_finished_job_leaves_nothing_to_the_garbage_collector() -> None:
    async def go() -> weakref.ref[Sample]:
        [sample] = samples(1)
        await scheduler().submit([Asynchronous(right)], [sample]).result()
        return weakref.ref(sample)

    gc.disable()
    try:
        assert asyncio.run(go())() is None
    finally:
        gc.enable()


def test_scores_come_back_in_order() -> None:
    scorer = Pure(lambda sample: Score(reward=float(sample.text) / 10))
    assert [score.reward for score in run(scorer, 5)] == [0.0, 0.1, 0.2, 0.3, 0.4]


def explode(_: Sample) -> Score:
    raise RuntimeError("a bug")


def refuse(_: Sample) -> Score:
    raise InternalError("out of paper", retryable=True)


async def explode_all(_: Sequence[Sample]) -> list[Score]:
    raise RuntimeError("a bug")


async def one_too_few(some: Sequence[Sample]) -> list[Score]:
    return (await right(some))[1:]


@pytest.mark.parametrize(
    ("scorer", "retryable"),
    [
        pytest.param(Pure(explode), False, id="a verifier with a bug"),
        pytest.param(Pure(refuse), True, id="a verifier that could not tell"),
        pytest.param(Pure(lambda _: Score(reward=1.5)), False, id="a reward above the range"),
        pytest.param(Pure(lambda _: Score(reward=-0.1)), False, id="a reward below the range"),
        pytest.param(Pure(lambda _: Score(reward=float("nan"))), False, id="NaN as a reward"),
        pytest.param(Asynchronous(explode_all), False, id="a batch scorer with a bug"),
    ],
)
def test_a_fault_of_ours_is_an_error_and_never_a_reward(
    scorer: Scorer[Any], retryable: bool
) -> None:
    for score in run(scorer):
        assert score.reward is None
        assert score.error is not None
        assert (score.error.code, score.error.retryable) == ("internal", retryable)


def test_a_bug_on_one_sample_leaves_its_neighbours_alone() -> None:
    def picky(sample: Sample) -> Score:
        return explode(sample) if sample.text == "1" else Score(reward=1.0)

    assert [score.reward for score in run(Pure(picky), 3)] == [1.0, None, 1.0]


def test_what_is_unfinished_at_the_deadline_is_an_error() -> None:
    async def go() -> list[Score]:
        scorers = [Pure(lambda _: Score(reward=1.0)), Asynchronous(forever)]
        return await scheduler().submit(scorers, samples(2), deadline_s=0.05).result()

    done, late = asyncio.run(go())
    assert done.reward == 1.0
    assert late.error is not None
    assert (late.error.code, late.error.retryable) == ("deadline_exceeded", True)


def test_a_late_score_does_not_replace_the_deadlines_error() -> None:
    async def go() -> tuple[Score, Score]:
        job = scheduler().submit([Asynchronous(forever)], samples(1), deadline_s=0.01)
        [batch] = job.batches
        (score,) = await job.result()
        batch.settle(0, Score(reward=1.0))
        assert job.scores[0] is not None
        return score, job.scores[0]

    before, after = asyncio.run(go())
    assert before is after
    assert after.reward is None


def test_cancelling_the_caller_cancels_the_work_and_frees_the_lane() -> None:
    async def go() -> None:
        cancelled = asyncio.Event()

        async def tell(some: Sequence[Sample]) -> list[Score]:
            try:
                return await forever(some)
            finally:
                cancelled.set()

        lane = InlineLane(100)
        caller = asyncio.create_task(
            scheduler(lane).submit([Asynchronous(tell)], samples(1)).result()
        )
        await asyncio.sleep(0.01)
        assert lane.pending == 1
        caller.cancel()
        await cancelled.wait()
        await asyncio.sleep(0)
        assert lane.pending == 0

    asyncio.run(go())


def test_a_full_lane_refuses_and_starts_nothing() -> None:
    async def go() -> None:
        lane = InlineLane(3)
        busy = scheduler(lane)
        waiting = busy.submit([Asynchronous(forever)] * 2, samples(2))
        started: list[Sample] = []

        def note(sample: Sample) -> Score:
            started.append(sample)
            return Score(reward=1.0)

        with pytest.raises(QueueFull):
            busy.submit([Pure(note)] * 2, samples(2))
        await asyncio.sleep(0.01)
        assert not started
        waiting.cancel()
        await busy.submit([Pure(note)], samples(1)).result()
        assert len(started) == 1

    asyncio.run(go())


def test_an_idle_lane_takes_a_request_larger_than_itself() -> None:
    async def go() -> list[Score]:
        return await scheduler(capacity=2).submit([Asynchronous(right)] * 5, samples(5)).result()

    assert len(asyncio.run(go())) == 5


def test_draining_lets_work_in_flight_finish_and_takes_no_more() -> None:
    async def go() -> None:
        gate = asyncio.Event()

        async def wait(some: Sequence[Sample]) -> list[Score]:
            await gate.wait()
            return await right(some)

        service = scheduler()
        scoring = asyncio.create_task(service.submit([Asynchronous(wait)], samples(1)).result())
        await asyncio.sleep(0)
        draining = asyncio.create_task(service.drain(grace_s=10))
        await asyncio.sleep(0)
        with pytest.raises(Draining):
            service.submit([Asynchronous(right)], samples(1))
        gate.set()
        await draining
        assert (await scoring)[0].reward == 1.0

    asyncio.run(go())


def test_what_outlives_the_grace_time_gets_a_retryable_error() -> None:
    async def go() -> Score:
        service = scheduler()
        scoring = asyncio.create_task(service.submit([Asynchronous(forever)], samples(1)).result())
        await asyncio.sleep(0)
        await service.drain(grace_s=0.01)
        return (await scoring)[0]

    score = asyncio.run(go())
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("shutting_down", True)


def test_a_scorer_that_forgets_a_sample_is_found_out() -> None:
    first, second = run(Asynchronous(one_too_few))
    assert first.reward == 1.0
    assert second.error is not None
    assert (second.error.code, second.error.retryable) == ("internal", False)


def test_a_scorer_that_settles_a_sample_twice_has_settled_it_once() -> None:
    class Fickle(Asynchronous):
        async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
            for reward in (1.0, 0.0):
                settle(0, Score(reward=reward))

    told: list[float | None] = []
    [score] = run(Fickle(right), 1, on_score=lambda _, score: told.append(score.reward))
    assert score.reward == 1.0
    assert told == [1.0]


@pytest.mark.parametrize("position", [-1, 2])
def test_a_place_that_there_is_not_is_nobodys(position: int) -> None:
    class Astray(Asynchronous):
        async def score_each(self, samples: Sequence[Sample], settle: Settle, place: Place) -> None:
            settle(0, Score(reward=0.5))
            settle(position, Score(reward=1.0))

    first, second = run(Astray(right))
    assert first.reward == 0.5
    assert second.error is not None


def test_a_score_that_is_given_twice_is_two() -> None:
    kept = Score(reward=1.0, outcome="correct")
    first, second = run(Pure(lambda _: kept))
    assert [first.id, second.id] == ["0", "1"]


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_scorer_cannot_end_the_service(error: BaseException) -> None:
    def end(sample: Sample) -> Score:
        if sample.text == "0":
            raise error
        return Score(reward=1.0)

    async def end_all(_: Sequence[Sample]) -> list[Score]:
        raise error

    first, second = run(Pure(end))
    assert first.error is not None
    assert second.reward == 1.0
    for score in run(Asynchronous(end_all)):
        assert score.error is not None
        assert (score.error.code, score.error.retryable) == ("internal", False)


def test_an_error_in_a_scorers_place_settles_its_sample() -> None:
    async def go(*scorers: Scorer[Any] | InternalError) -> list[Score]:
        return await scheduler().submit(scorers, samples(len(scorers))).result()

    fault = InternalError("no such scorer")
    first, second, third = asyncio.run(go(fault, Asynchronous(right), fault))
    assert second.reward == 1.0
    for score in (first, third, *asyncio.run(go(fault))):
        assert score.error is not None
        assert score.error.message == "no such scorer"
    assert (first.id, third.id) == ("0", "2")


def test_a_long_batch_of_rules_lets_others_in() -> None:
    def slow(_: Sample) -> Score:
        deadline = asyncio.get_running_loop().time() + 0.005
        while asyncio.get_running_loop().time() < deadline:
            pass
        return Score(reward=1.0)

    async def go() -> bool:
        service = scheduler()
        long = service.submit([Pure(slow)] * 20, samples(20))
        await service.submit([Asynchronous(right)], samples(1)).result()
        others_were_let_in = not long.finished.done()
        await long.result()
        return others_were_let_in

    assert asyncio.run(go())
