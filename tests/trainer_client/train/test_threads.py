"""How many threads a run takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import trainer_client.train.run as whole_run
from trainer_client.train.cli import prepare_environment


@pytest.mark.parametrize(
    ("idle", "most", "expected"),
    [(0.0, 2, 1), (0.4, 2, 1), (1.7, 2, 2), (4.0, 2, 2), (4.0, None, 4), (9.0, None, 4)],
)
def test_idle_cores_are_taken_and_one_in_any_case(
    monkeypatch: pytest.MonkeyPatch, idle: float, most: int | None, expected: int
) -> None:
    monkeypatch.setattr(whole_run, "idle_cores", lambda: idle)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert whole_run.choose_threads(most) == expected


@pytest.mark.skipif(not whole_run.PROC_STAT.exists(), reason="Linux says how idle it is there")
def test_idle_ticks_are_read_from_the_kernel() -> None:
    first = whole_run.idle_ticks()
    assert 0 < first <= whole_run.idle_ticks()


def test_idle_and_waiting_ticks_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  10 20 30 400 5 60 7 0 0 0\ncpu0 1 2 3 4 5\n")
    monkeypatch.setattr(whole_run, "PROC_STAT", file)
    assert whole_run.idle_ticks() == 405


def test_what_the_user_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    prepare_environment()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # undone with the test
