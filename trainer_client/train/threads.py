"""How many threads torch should use, on a machine that may have other work.

Small models gain from a second core when it is free. When it is not, two threads that wait
for each other at the end of every operation are slower than one, by up to ten times where
the waiting is done by spinning.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

SPIN_COUNT = "1000"
"""How long GNU OpenMP's threads spin before they sleep. It is read when torch is imported."""

WATCHED_S = 0.3

TINY = 2
"""More threads than this do not make a model of a million parameters faster."""

PROC_STAT = Path("/proc/stat")


def prepare_environment() -> None:
    """Call before the first import of torch."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def choose_threads(most: int | None = None) -> int:
    """As many as there are idle cores, and at least one; at most `most`."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    idle = round(idle_cores()) if PROC_STAT.exists() else round(cores - os.getloadavg()[0])
    return max(1, min(cores, idle, most or cores))


def idle_cores() -> float:
    """How many cores had nothing to do just now.

    The load average is no good here: it lags by a minute, and a run often starts right
    after an installation that kept every core busy.
    """
    before, since = idle_ticks(), time.monotonic()
    time.sleep(WATCHED_S)
    return (idle_ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - since)


def idle_ticks() -> int:
    """Clock ticks that all cores together spent idle or waiting for a disk."""
    times = PROC_STAT.read_text().split("\n", 1)[0].split()[1:]
    return int(times[3]) + int(times[4])
