"""The commands of the service to a supervisor, and what it does on each.

program   a source and its inputs; forks the candidate at once where tests will call it
run       runs the program over some of its inputs, in one child
drive     runs test code against the candidate that waits
end       this submission is over
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from verifiers.sandbox import channel, confine, driver, imports, memory_file, runner
from verifiers.sandbox.artefacts import Artefacts
from verifiers.sandbox.confine import Layers, Limits, Streams
from verifiers.sandbox.foreign import Foreign
from verifiers.sandbox.supervisor import (
    MAX_STDERR_BYTES,
    Child,
    Usage,
    reap_orphans,
    report,
    spawn,
    verdict,
    watch,
)

MAX_REPORT_BYTES = 1 << 20
"""Of what the driver says about the tests it ran."""


class Submission:
    """One program, from its arrival to its end. Lives in a process of its own."""

    def __init__(
        self, service: int, layers: Layers, site_packages: str | None, artefacts: Artefacts
    ) -> None:
        header, payload = channel.receive(service)
        self.service = service
        self.layers = layers
        self.limits = Limits(**header["limits"])
        self.entry_point: str | None = header.get("entry_point")
        sizes: list[int] = header["sizes"]
        self.source, self.preamble, *inputs = split(payload, sizes)
        self.inputs = [memory_file.sealed(content) for content in inputs]
        self.empty = memory_file.sealed(b"")
        self.site_packages = site_packages
        self.foreign: Foreign | None = None
        if header["language"]["run"]:
            program = (header["language"], self.source, self.limits, layers, artefacts, service)
            self.foreign = Foreign(*program)
        else:
            imports.preload(self.preamble + b"\n" + self.source, site_packages)
        confine.mapped_bytes()  # remembered, so that no child has to look
        self.pipes: Sequence[int] = ()
        self.candidate = self.start_candidate() if header["driven"] else None

    def serve(self) -> None:
        """Obeys until the end of the submission.

        Raises:
            channel.Closed: the service is gone.
        """
        while True:
            header, payload = channel.receive(self.service)
            if header["do"] == "run":
                self.run(header["tests"]) if self.foreign is None else self.run_foreign(
                    self.foreign, header["tests"][0]
                )
            elif header["do"] == "drive":
                names = header["stubs"], header["values"]
                self.drive(payload, *names, header["stop_early"])
            else:
                break
        if self.candidate is not None:
            self.candidate.reap(timed_out=False)
        reap_orphans()

    def run(self, tests: Sequence[int]) -> None:
        """Runs the program over `tests` in one child, and reports how far it came."""
        stdout, stderr, progress = (memory_file.create() for _ in range(3))
        inputs = [self.inputs[index] for index in tests]
        for descriptor in inputs:
            os.lseek(descriptor, 0, os.SEEK_SET)
        scratch = memory_file.create() if self.entry_point else stdout
        streams = Streams(self.empty, scratch, stderr, [*inputs, stdout, progress])

        def body() -> int:
            if self.entry_point is None:
                return runner.run_tests(self.source, inputs, stdout, progress)
            return runner.run_calls(self.load, self.entry_point, inputs, stdout, progress)

        self.judge(self.start(streams, body), tests, stdout, stderr, progress)
        for descriptor in {stdout, scratch, stderr, progress}:
            os.close(descriptor)

    def run_foreign(self, foreign: Foreign, test: int) -> None:
        """Compiles the program, the first time, and runs it over one test."""
        folder, failure = foreign.prepare()
        if failure is not None:
            nothing = Usage(0, 0.0, 0.0, 0, timed_out=False, ready=True)
            members = {
                "verdict": "compile_error",
                "ends": [],
                "stderr": failure,
                "was_crowded": False,
            }
            channel.send(self.service, report(nothing, **members))
            return
        stdin = self.inputs[test]
        os.lseek(stdin, 0, os.SEEK_SET)
        stdout, stderr, progress = (memory_file.create() for _ in range(3))
        self.judge(foreign.run(folder, stdin, stdout, stderr), [test], stdout, stderr, progress)
        for descriptor in (stdout, stderr, progress):
            os.close(descriptor)

    def judge(
        self, child: Child, tests: Sequence[int], stdout: int, stderr: int, progress: int
    ) -> None:
        """Waits for the end of a run, and reports it."""
        _, timed_out = watch([child], self.limits, self.service)
        usage = child.reap(timed_out)
        reap_orphans()
        written = memory_file.size(stdout)
        outcome = verdict(usage, self.limits, written)
        # alone, a program may end as it likes: its output is all that it wrote
        is_one = len(tests) == 1 and outcome == "ok"
        members = {
            "verdict": outcome,
            "ends": [written] if is_one else ends(progress, len(tests), written),
            "was_crowded": usage.was_crowded and usage.cpu_s <= self.limits.cpu_s,
            "stderr": stderr_tail(stderr),
        }
        output = memory_file.read(stdout, self.limits.output_bytes)
        channel.send(self.service, report(usage, **members), output)

    def load(self) -> tuple[int, dict[str, Any]]:
        return runner.load(self.preamble, self.source)

    def start(self, streams: Streams, body: Callable[[], int]) -> Child:
        return spawn(self.layers, streams, self.limits, body)

    def start_candidate(self) -> Child:
        """Forks the candidate's process, before any test code has been read."""
        self.pipes = driver.pipes()
        requests, _, _, replies = self.pipes
        self.candidate_errors = memory_file.create()
        streams = Streams(
            self.empty, memory_file.create(), self.candidate_errors, [requests, replies]
        )
        return self.start(streams, lambda: driver.serve_calls(self.load, requests, replies))

    def drive(
        self, test_code: bytes, stubs: dict[str, str], values: Sequence[str], stop_early: bool
    ) -> None:
        """Runs test code in a second child, and reports both children's ends."""
        assert self.candidate is not None
        requests, calls, answers, replies = self.pipes
        results, noise = memory_file.create(), memory_file.create()
        imports.preload(test_code, self.site_packages)

        def body() -> int:
            joint = calls, answers
            outcome = driver.run_test_code(test_code, stubs, values, joint, stop_early)
            runner.write_all(results, json.dumps(outcome).encode())
            return 0

        streams = Streams(self.empty, noise, noise, [calls, answers, results])
        tests = self.start(streams, body)
        for descriptor in (requests, calls, answers, replies):
            os.close(descriptor)
        children = [tests, self.candidate]
        over, timed_out = watch(children, self.limits, self.service)
        if over == 1 and not timed_out:  # the driver notices by itself, and says what it saw
            _, timed_out = watch([tests], self.limits, self.service)
        # whichever was seen first, both are late: one waits for the other
        candidate_usage, tests_usage = (child.reap(timed_out) for child in reversed(children))
        self.candidate = None
        written = memory_file.read(results, MAX_REPORT_BYTES)
        members = {
            "candidate": verdict(candidate_usage, self.limits, 0),
            "candidate_ended": os.WIFEXITED(candidate_usage.status),
            "tests": verdict(tests_usage, self.limits, 0),
            "stderr": stderr_tail(self.candidate_errors),
            "tests_stderr": stderr_tail(noise),
        }
        channel.send(self.service, report(candidate_usage, **members), written)
        os.close(results)
        os.close(noise)


def split(payload: bytes, sizes: Sequence[int]) -> list[bytes]:
    parts, start = [], 0
    for size in sizes:
        parts.append(payload[start : start + size])
        start += size
    return parts


def ends(progress: int, count: int, written: int) -> list[int]:
    """Where the output of each finished test ends. What makes no sense ends the list."""
    data = memory_file.read(progress, count * runner.END.size)
    offsets: list[int] = []
    for (end,) in runner.END.iter_unpack(data[: len(data) // runner.END.size * runner.END.size]):
        if not (offsets[-1] if offsets else 0) <= end <= written:
            break
        offsets.append(end)
    return offsets


def stderr_tail(descriptor: int) -> str:
    """The end of what went to standard error, without saying where Python is installed."""
    text = memory_file.tail(descriptor, MAX_STDERR_BYTES).decode(errors="replace")
    return text.replace(sys.base_prefix, "")
