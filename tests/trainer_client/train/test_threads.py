"""How many threads a run takes, and what it does with signals."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future
from pathlib import Path

import pytest

from trainer_client.train import threads
from trainer_client.train.stopping import Stopped, StopSignals


@pytest.mark.parametrize(
    ("idle", "most", "expected"),
    [(0.0, 2, 1), (0.4, 2, 1), (1.7, 2, 2), (4.0, 2, 2), (4.0, None, 4), (9.0, None, 4)],
)
def test_idle_cores_are_taken_and_one_in_any_case(
    monkeypatch: pytest.MonkeyPatch, idle: float, most: int | None, expected: int
) -> None:
    monkeypatch.setattr(threads, "idle_cores", lambda: idle)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert threads.choose_threads(most) == expected


@pytest.mark.skipif(not threads.PROC_STAT.exists(), reason="Linux says how idle it is there")
def test_idle_ticks_are_read_from_the_kernel() -> None:
    first = threads.idle_ticks()
    assert 0 < first <= threads.idle_ticks()


def test_idle_and_waiting_ticks_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  10 20 30 400 5 60 7 0 0 0\ncpu0 1 2 3 4 5\n")
    monkeypatch.setattr(threads, "PROC_STAT", file)
    assert threads.idle_ticks() == 405


def test_what_the_user_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    threads.prepare_environment()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # undone with the test


# --- signals ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_at_the_next_check(number: int) -> None:
    with StopSignals() as signals:
        signals.check()
        signal.raise_signal(number)
        with pytest.raises(Stopped) as stopped:
            signals.check()
    assert stopped.value.exit_code == 128 + number


def test_a_second_signal_acts_as_ever() -> None:
    with StopSignals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopSignals():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_wait_for_scores_is_ended_by_a_signal() -> None:
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            signals.result_of(Future[int]())


def test_a_signal_is_heard_even_where_the_scores_are_there() -> None:
    done = Future[int]()
    done.set_result(1)
    with StopSignals() as signals:
        assert signals.result_of(done) == 1
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            signals.result_of(done)
