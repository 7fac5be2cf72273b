"""A process of the `cpu` lane: scores what may hang, and is killed when it does.

Requests and replies are JSON lines on its standard input and output. A request is
`{"turn_s": 0.25, "spec": {...}, "samples": [...]}`; the reply is one score a line, in order,
each written as soon as it is there, so that the parent knows at which sample a worker died.
Once its turn has lasted `turn_s`, it writes `TURN_OVER` instead of the rest.

The time limit is CPU time, counted by the kernel, whose signal ends the process: a loop
in C code cannot put it off, and a busy machine does not make an honest sample late.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from app.http import exact_json
from app.lanes.well_formed import well_formed
from verifiers.base import Place, Sample, Score, Scorer, Settle
from verifiers.boundary import Rule, attempt, refusal, sound
from verifiers.registry import PARTS, Registry
from verifiers.score import to_json

TIME_LIMIT_SIGNAL = signal.SIGPROF
"""What the kernel sends when a completion has used up its CPU time."""

REFERENCE_LIMIT_SIGNAL = signal.SIGVTALRM
"""The same, where reading the reference has: that is not the completion's fault."""

TURN_OVER = b"turn over"

SAMPLES = TypeAdapter(list[Sample])


def main() -> None:
    cpu_limit_s, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(TIME_LIMIT_SIGNAL, signal.SIG_DFL)
    signal.signal(REFERENCE_LIMIT_SIGNAL, signal.SIG_DFL)
    replies = keep_standard_output()
    registry = Registry(more=PARTS)
    loop = asyncio.new_event_loop()
    write_all(replies, b"ready\n")

    for line in sys.stdin.buffer:
        request = exact_json.loads(line)
        scorer = registry.build(request["spec"])
        samples = SAMPLES.validate_python(request["samples"])
        place = Killable(cpu_limit_s, ends=time.monotonic() + request["turn_s"])
        settle = partial(reply, replies, scorer)
        loop.run_until_complete(scorer.score_each(samples, settle, place))
        if place.turn_is_over:
            write_all(replies, TURN_OVER + b"\n")


def reply(replies: int, scorer: Scorer[Any], _: int, score: Score) -> None:
    write_all(replies, to_json(well_formed(sound(scorer, score, scorer.reward_range))) + b"\n")


class Killable(Place):
    """This process: past either limit of a sample, the kernel ends it."""

    def __init__(self, cpu_limit_s: float, *, ends: float) -> None:
        self.turn_is_over = False
        self._cpu_limit_s = cpu_limit_s
        self._ends = ends

    async def follow(self, rule: Rule, samples: Sequence[Sample], settle: Settle) -> None:
        """Settles samples in order, at least one, until its turn is over."""
        for position, sample in enumerate(samples):
            if position and time.monotonic() > self._ends:
                self.turn_is_over = True
                return
            settle(position, self.score_within_limits(rule, sample))

    def score_within_limits(self, rule: Rule, sample: Sample) -> Score:
        with ended_after(signal.ITIMER_VIRTUAL, self._cpu_limit_s):
            refused = refusal(rule, sample)
        if refused is not None:
            return refused
        with ended_after(signal.ITIMER_PROF, self._cpu_limit_s):
            return attempt(rule, sample, memory_is_capped=True)


@contextmanager
def ended_after(timer: int, cpu_limit_s: float) -> Iterator[None]:
    signal.setitimer(timer, cpu_limit_s)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)


def keep_standard_output() -> int:
    """A descriptor for replies alone: what libraries print goes to standard error."""
    replies = os.dup(1)
    os.dup2(2, 1)
    return replies


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
