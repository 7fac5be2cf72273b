"""A process of the `cpu` lane: scores what may hang, and is killed when it does.

Requests and replies are JSON lines on its standard input and output. A request is
`{"turn_s": 0.25, "spec": {...}, "samples": [...]}`; the reply is one score a line, in order,
each written as soon as it is there, so that the parent knows at which sample a worker died.
Once its turn has lasted `turn_s`, it writes `TURN_OVER` instead of the rest.

The time limit is CPU time, counted by the kernel, whose signal ends the process: a loop
in C code cannot put it off, and a busy machine does not make an honest sample late.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter

from app.http import exact_json
from app.lanes.well_formed import well_formed
from verifiers.base import Sample, Score, Verifier
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
    write_all(replies, b"ready\n")
    for line in sys.stdin.buffer:
        request = exact_json.loads(line)
        scorer = registry.build(request["spec"])
        assert isinstance(scorer, Verifier)
        ends = time.monotonic() + request["turn_s"]
        for position, sample in enumerate(SAMPLES.validate_python(request["samples"])):
            if position and time.monotonic() > ends:
                write_all(replies, TURN_OVER + b"\n")
                break
            score = score_within(cpu_limit_s, scorer, sample)
            write_all(replies, to_json(well_formed(score)) + b"\n")


def score_within(cpu_limit_s: float, scorer: Verifier[Any], sample: Sample) -> Score:
    """Scores one sample; past either limit, the kernel ends this process."""
    with ended_after(signal.ITIMER_VIRTUAL, cpu_limit_s):
        refusal = scorer.refusal(sample)
    if refusal is not None:
        return refusal
    with ended_after(signal.ITIMER_PROF, cpu_limit_s):
        return scorer.attempt(sample, memory_is_capped=True)


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
