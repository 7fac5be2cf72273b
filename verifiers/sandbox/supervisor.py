"""Runs one submission: a process that forks a child for each run, and judges by the kernel.

Forked from the zygote, it holds the program and its inputs, never an expected output. It
reads commands from the service one frame at a time, so that what the candidate's process
must not know has not been read when that process is forked.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from verifiers.sandbox import channel, confine, runner
from verifiers.sandbox.cgroup import Group
from verifiers.sandbox.confine import Layers, Limits, Streams

SETUP_FAILED = 120
READY = b"R"
NOT_STARTED = b"X"
"""Follows READY where the program could not be executed: the pipe ends when it is."""
POLL_S = 0.05
"""How often a running program's CPU time is looked at, at least."""

MAX_STDERR_BYTES = 4096
"""Of standard error, the end is kept for the report."""

OWN_MEMORY = (b"RssAnon:", b"RssShmem:")
"""Lines of a thread's status, in KiB, the same in all of its process; a zombie has none."""

STARVATION_FACTOR = 20
"""A program that waits for a processor is not late, up to so many times its wall limit."""


class Usage(NamedTuple):
    """How a child ended and what it used."""

    status: int
    cpu_s: float
    wall_s: float
    peak_bytes: int
    timed_out: bool
    ready: bool
    """Every layer was in force before the program began."""
    was_killed_for_memory: bool = False
    """By the kernel, as one of its group."""


class Child:
    """A forked process and what is needed to watch it.

    `weigh_by` says what memory it has now, for those whose address space has no limit.
    """

    def __init__(
        self, pid: int, ready: int, weigh_by: Callable[[int], int] | None, group: Group | None
    ) -> None:
        self.pid = pid
        self._group = group
        self._kills_before = group.kills() if group else 0
        self.peak_bytes = 0
        self._weigh_by = weigh_by
        self.pidfd = os.pidfd_open(pid)
        self.started = time.monotonic()
        self._ready = ready
        self._clock = (~pid << 3) | 2  # the kernel's name for a process's CPU clock

    def cpu_s(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # it has just ended
            return 0.0

    def wall_s(self) -> float:
        return time.monotonic() - self.started

    def waited_s(self) -> float:
        """How long its main thread was ready to run and had no processor."""
        try:
            with open(f"/proc/{self.pid}/schedstat") as file:
                return int(file.read().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def weigh(self) -> None:
        """Looks at how much memory it has now."""
        if self._weigh_by is not None:
            self.peak_bytes = max(self.peak_bytes, self._weigh_by(self.pid))

    def is_over(self, limits: Limits) -> bool:
        if self.peak_bytes > limits.memory_bytes:
            return True
        wall_s = self.wall_s()
        if self.cpu_s() > limits.cpu_s or wall_s > limits.wall_s * STARVATION_FACTOR:
            return True
        return wall_s > limits.wall_s and wall_s - self.waited_s() > limits.wall_s

    def kill(self) -> None:
        """Kills the whole group at once: a group cannot outrun its own killing by forks."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)

    def reap(self, timed_out: bool) -> Usage:
        wall_s = self.wall_s()
        self.kill()
        _, status, usage = os.wait4(self.pid, 0)
        ready = os.read(self._ready, 2) == READY
        os.close(self._ready)
        os.close(self.pidfd)
        cpu_s = usage.ru_utime + usage.ru_stime
        peak_bytes = max(usage.ru_maxrss * 1024, self.peak_bytes)
        killed = self._group is not None and self._group.kills() > self._kills_before
        return Usage(status, cpu_s, wall_s, peak_bytes, timed_out, ready, killed)


def group_bytes(group: int) -> int:
    """What all processes of a group have."""
    total = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):  # it has just ended
            if name.isdigit() and os.getpgid(int(name)) == group:
                total += own_bytes(int(name))
    return total


def own_bytes(pid: int) -> int:
    """The memory of a process's own, whichever of its threads is left; files do not count."""
    with contextlib.suppress(OSError):  # it has just ended
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", "rb") as file:
                lines = [line for line in file.read().splitlines() if line.startswith(OWN_MEMORY)]
            if lines:
                return sum(int(line.split()[1]) * 1024 for line in lines)
    return 0


def spawn(
    layers: Layers,
    streams: Streams,
    limits: Limits,
    body: Callable[[], int],
    *,
    executes: bool = False,
    may_fork: bool = False,
) -> Child:
    """Forks a child that confines itself and then runs `body`.

    `executes`: the body becomes another program, or raises OSError, which is our failure.
    `may_fork`: that program may start others.
    """
    ready, ready_here = os.pipe()
    supervisor = os.getpid()
    if layers.group is not None:
        layers.group.make_room(limits.address_space_bytes, confine.MAX_THREADS)
    pid = os.fork()
    if pid:
        os.close(ready_here)
        weigh_by = group_bytes if may_fork else own_bytes if executes else None
        return Child(pid, ready, weigh_by, layers.group)
    status = SETUP_FAILED
    try:
        kept = [*streams.others, ready_here]
        kept += [] if layers.ruleset is None else [layers.ruleset]
        confine.enter(layers, streams._replace(others=kept), limits)
        if os.getppid() != supervisor:
            raise ProcessLookupError("the supervisor ended before its end would end us")
        os.write(ready_here, READY)
        if not executes:
            os.close(ready_here)  # nothing untrusted may hold it
        status = run_body(body)
    except OSError as error:  # before the body, or instead of it
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        if executes:
            os.write(ready_here, NOT_STARTED)
    finally:
        os._exit(status)


def run_body(body: Callable[[], int]) -> int:
    try:
        return body()
    except MemoryError:
        return runner.EXIT_MEMORY


def watch(children: Sequence[Child], limits: Limits, service: int) -> tuple[int, bool]:
    """Waits until one of `children` ends, or is over a limit, or the service is gone.

    Returns:
        Which one, and whether it is over a limit.

    Raises:
        channel.Closed: the service hung up; the children are killed by then.
    """
    poll = select.poll()
    for child in children:
        poll.register(child.pidfd, select.POLLIN)
    poll.register(service, select.POLLRDHUP)
    pause_s = min(POLL_S, limits.cpu_s)
    while True:
        events = dict(poll.poll(pause_s * 1000))
        if service in events:
            for child in children:
                child.reap(timed_out=False)
            raise channel.Closed
        for index, child in enumerate(children):
            child.weigh()
            if child.pidfd in events:
                return index, False
            if child.is_over(limits):
                return index, True


def reap_orphans() -> None:
    """Ends and collects whatever the children left behind; we are their subreaper."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def verdict(usage: Usage, limits: Limits, output_bytes: int) -> str:
    """What a run came to, from the kernel's account of it alone. "ok" is not yet a pass."""
    if not usage.ready:
        return "sandbox_error"
    code = os.waitstatus_to_exitcode(usage.status)
    too_much = usage.peak_bytes > limits.memory_bytes or usage.was_killed_for_memory
    if too_much or code == runner.EXIT_MEMORY:
        return "memory_limit"
    if usage.timed_out or usage.cpu_s > limits.cpu_s or code == -signal.SIGXCPU:
        return "time_limit"
    if output_bytes > limits.output_bytes or code == -signal.SIGXFSZ:
        return "output_limit"
    if code == runner.EXIT_COMPILE:
        return "compile_error"
    return "runtime_error" if code else "ok"


def report(usage: Usage, **members: Any) -> dict[str, Any]:
    return {
        "cpu_ms": round(usage.cpu_s * 1e3, 3),
        "wall_ms": round(usage.wall_s * 1e3, 3),
        "peak_kib": usage.peak_bytes // 1024,
        **members,
    }
