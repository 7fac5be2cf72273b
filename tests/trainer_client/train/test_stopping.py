"""What a run does with signals."""

from __future__ import annotations

import signal
from concurrent.futures import Future

import pytest

from trainer_client.train.stopping import Stopped, StopSignals


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
