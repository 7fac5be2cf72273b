"""What is raised becomes a score in one place, which says whose fault it was."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from verifiers import boundary
from verifiers.base import Parameters, Sample, Score, Verifier
from verifiers.boundary import Boundary, attempt, attributed, refusal, sound
from verifiers.errors import InvalidReference, ScoringError

SAMPLE = Sample(id="seven", completion="")


class Raising(Verifier[Any]):
    name, version = "raising", "1"

    def __init__(self, error: BaseException | None, where: str = "score_one") -> None:
        super().__init__(Parameters())
        self.error = error
        self.where = where
        self.seen: list[tuple[str, Sample]] = []

    def _do(self, where: str, sample: Sample) -> None:
        self.seen.append((where, sample))
        if where == self.where and self.error is not None:
            raise self.error

    def check(self, sample: Sample) -> None:
        self._do("check", sample)

    def prepare(self, sample: Sample) -> None:
        self._do("prepare", sample)

    def score_one(self, sample: Sample) -> Score:
        self._do("score_one", sample)
        return Score(reward=0.5, outcome="partial")


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by 1,234,567 ns whenever it is read."""
    readings = iter(range(10**12, 2 * 10**12, 1_234_567))
    monkeypatch.setattr(boundary, "clock", lambda: next(readings))


def failure(score: Score) -> tuple[str, str, bool]:
    assert score.error is not None
    assert score.reward is None
    return score.error.code, score.error.message, score.error.retryable


@pytest.mark.usefixtures("ticks")
def test_a_score_stands_and_is_timed_to_the_microsecond() -> None:
    rule = Raising(None)
    score = attempt(rule, SAMPLE)
    assert (score.reward, score.outcome, score.elapsed_ms) == (0.5, "partial", 1.234)
    assert rule.seen == [("check", SAMPLE), ("score_one", SAMPLE)]


@pytest.mark.usefixtures("ticks")
def test_a_failure_is_timed_as_well() -> None:
    assert attempt(Raising(InvalidReference("no number")), SAMPLE).elapsed_ms == 1.234


@pytest.mark.parametrize("where", ["check", "score_one"])
def test_a_scoring_error_is_the_error_of_the_score(where: str) -> None:
    error = InvalidReference("no number")
    score = attempt(Raising(error, where), SAMPLE)
    assert failure(score) == (error.code, "no number", False)


def test_memory_is_the_completions_fault_under_a_cap_of_its_own() -> None:
    score = attempt(Raising(MemoryError()), SAMPLE, memory_is_capped=True)
    assert (score.reward, score.outcome) == (0.0, "memory_limit")


def test_memory_is_the_machines_fault_elsewhere_and_may_be_tried_again() -> None:
    score = attempt(Raising(MemoryError()), SAMPLE)
    assert failure(score) == ("internal", "out of memory", True)


def test_a_bug_is_logged_with_its_sample_and_shows_nothing_of_its_insides(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = RecursionError("deep inside")
    score = attempt(Raising(error), SAMPLE)
    assert failure(score) == ("internal", "raising failed on this sample", False)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("verifiers.boundary", logging.ERROR)
    assert record.getMessage() == "raising failed on ['seven']"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_bug_of_no_sample_is_one_of_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    fault = attributed(ValueError(), Raising(None))
    assert (str(fault), fault.retryable) == ("raising failed", False)
    assert caplog.records[0].getMessage() == "raising failed on a batch"


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(0), GeneratorExit(), asyncio.CancelledError()],
    ids=repr,
)
def test_a_rule_that_would_end_the_process_fails_its_sample_alone(error: BaseException) -> None:
    score = attempt(Raising(error), SAMPLE)
    assert failure(score) == ("internal", "raising failed on this sample", False)


def test_a_task_that_is_really_cancelled_ends() -> None:
    async def go() -> None:
        around = Boundary(Raising(None), [SAMPLE])
        with around:
            await asyncio.Event().wait()

    async def cancelled() -> None:
        task = asyncio.create_task(go())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_a_cancellation_that_a_scorer_makes_up_is_its_fault() -> None:
    async def go() -> list[Score]:
        around = Boundary(Raising(None), [SAMPLE])
        with around:
            raise asyncio.CancelledError
        return around.scores

    [score] = asyncio.run(go())
    assert failure(score) == ("internal", "raising failed on this sample", False)


def nothing_in_it() -> Score:
    score = Score(reward=1.0)
    score.reward = None
    return score


def not_a_number() -> Score:
    score = Score(reward=1.0)
    score.reward = float("nan")
    return score


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (None, "what is no score"),
        (nothing_in_it(), "neither a reward nor an error"),
        (not_a_number(), "nan"),
        (Score(reward=1.5), "1.5"),
        (Score(reward=1.0, outcome="excellent"), "an outcome that there is not"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_sound_score_is_an_error(given: Any, what: str) -> None:
    assert failure(sound(Raising(None), given, (0.0, 1.0))) == (
        "internal",
        f"raising gave {what}",
        False,
    )


def test_a_score_that_another_sample_was_given_is_copied() -> None:
    kept = Score(reward=1.0, outcome="correct")
    assert sound(Raising(None), kept, (0.0, 1.0)) is kept
    kept.scorer = Raising(None).identity
    assert sound(Raising(None), kept, (0.0, 1.0)) is not kept


def test_what_can_be_scored_is_not_refused() -> None:
    rule = Raising(None)
    assert refusal(rule, SAMPLE) is None
    assert rule.seen == [("check", SAMPLE), ("prepare", SAMPLE)]


@pytest.mark.parametrize("where", ["check", "prepare"])
def test_what_can_never_be_scored_is_refused_with_its_error(where: str) -> None:
    score = refusal(Raising(InvalidReference("no number"), where), SAMPLE)
    assert score is not None
    assert failure(score) == ("invalid_reference", "no number", False)


def test_a_bug_in_reading_a_reference_is_ours(caplog: pytest.LogCaptureFixture) -> None:
    score = refusal(Raising(ValueError(), "prepare"), SAMPLE)
    assert score is not None
    assert failure(score) == ("internal", "raising failed on this sample", False)
    assert caplog.records[0].getMessage() == "raising failed on ['seven']"


def test_a_reference_that_takes_too_much_memory_is_the_callers() -> None:
    score = refusal(Raising(MemoryError(), "prepare"), SAMPLE)
    assert score is not None
    message = "reference: takes too much memory to read"
    assert failure(score) == ("invalid_reference", message, False)


@pytest.mark.usefixtures("ticks")
def test_a_block_sets_the_scores_and_all_are_timed() -> None:
    scores = [Score(reward=0.0), Score(reward=1.0)]
    together = Boundary(Raising(None), [SAMPLE, SAMPLE])
    with together:
        together.scores = scores
    assert [(score.reward, score.elapsed_ms) for score in together.scores] == [
        (0.0, 1.234),
        (1.0, 2.469),
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_block_that_does_not_score_every_sample_has_scored_none(
    count: int, caplog: pytest.LogCaptureFixture
) -> None:
    together = Boundary(Raising(None), [SAMPLE, SAMPLE])
    with together:
        together.scores = [Score(reward=1.0)] * count
    wanted = ("internal", "raising failed on this sample", False)
    assert [failure(score) for score in together.scores] == [wanted, wanted]
    assert caplog.records[0].getMessage() == "raising failed on ['seven', 'seven']"
    assert f"{count} scores of 2 samples" in caplog.text


def test_a_block_that_sets_nothing_has_scored_none() -> None:
    alone = Boundary(Raising(None), [SAMPLE])
    with alone:
        pass
    assert failure(alone.scores[0]) == ("internal", "raising failed on this sample", False)
    empty = Boundary(Raising(None), [])
    with empty:
        pass
    assert empty.scores == []


def test_what_a_block_raises_fails_every_sample_in_an_object_of_its_own() -> None:
    together = Boundary(Raising(None), [SAMPLE, SAMPLE])
    with together:
        together.scores = [Score(reward=1.0), Score(reward=1.0)]
        raise InvalidReference("no number")
    first, second = together.scores
    assert failure(first) == failure(second) == ("invalid_reference", "no number", False)
    assert first is not second


def test_a_cancelled_block_is_cancelled() -> None:
    async def waits() -> None:
        with Boundary(Raising(None), [SAMPLE]):
            await asyncio.sleep(60)

    async def cancelled() -> None:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_a_scoring_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    error: ScoringError = InvalidReference("no number")
    assert attributed(error, Raising(None), SAMPLE) is error
    assert caplog.records == []
