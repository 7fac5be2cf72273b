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
"""How often it is looked at what a running program has used, at least."""

MAX_STDERR_BYTES = 4096
"""Of standard error, the end is kept for the report."""

OWN_MEMORY = (b"RssAnon:", b"RssShmem:")
"""Lines of a thread's status, in KiB, the same in all of its process; a zombie has none."""

PATIENCE = 20
"""A program that waits for a processor is waited for, so many times its wall limit."""

TICKS = os.sysconf("SC_CLK_TCK")
OF_CHILDREN = slice(13, 15)
"""In a process's stat, behind its name: the user and system time of children waited for."""


class Starved(Exception):
    """The machine ran a program so little that nothing can be said of it: our failure."""


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
    waited_s: float = 0.0
    """Of `wall_s`, how long it was ready to run and had no processor."""
    was_crowded: bool = False
    """It has been seen with as many processes as it may have."""


class Child:
    """A forked process, with all that it forks, and what is needed to watch it.

    `executes` and `may_fork` as for `spawn`: the memory of a program that is executed is looked
    at, since its address space has no limit.
    """

    def __init__(
        self, pid: int, ready: int, group: Group | None, *, executes: bool, may_fork: bool
    ) -> None:
        self.pid = pid
        self.peak_bytes = 0
        self.cpu_s = 0.0
        self.waited_s = 0.0
        self.pidfd = os.pidfd_open(pid)
        self.started = time.monotonic()
        self._ready = ready
        self._group = group
        self._kills_before = group.kills() if group else 0
        self._executes = executes
        self._may_fork = may_fork
        self._seen_s: dict[int, float] = {}
        self._orphans_s = 0.0
        self._was_crowded = False

    def wall_s(self) -> float:
        return time.monotonic() - self.started

    def look(self) -> list[int]:
        """Looks at what it has used by now, all processes together, which are returned."""
        members = [self.pid]
        if self._may_fork:
            members = members_of(self.pid)
            self._was_crowded |= len(members) >= confine.MAX_PROCESSES
            members = [pid for pid in members if pid == self.pid or not self._is_collected(pid)]
        if self._executes:
            self.peak_bytes = max(self.peak_bytes, sum(map(own_bytes, members)))
        self._seen_s |= {pid: clock_s(pid) for pid in members}
        cpu_s = sum(self._seen_s[pid] for pid in members)
        if self._may_fork:
            cpu_s += sum(map(children_s, members)) + self._orphans_s
        self.cpu_s = max(self.cpu_s, cpu_s, sum(self._seen_s.values()))
        return members

    def is_over(self, limits: Limits) -> bool:
        """
        Raises:
            Starved: it is over no limit, and has been waited for long enough.
        """
        if self.peak_bytes > limits.memory_bytes or self.cpu_s > limits.cpu_s:
            return True
        wall_s = self.wall_s()
        if wall_s - self.waited_s > limits.wall_s and wall_s - delay_s(self.pid) > limits.wall_s:
            return True
        if wall_s > limits.wall_s * PATIENCE:
            raise Starved(f"a program waited {wall_s:.0f} seconds for a processor")
        return False

    def _is_collected(self, pid: int) -> bool:
        """Whether a process was an orphan, and has ended: until we wait for it, it has a place."""
        with contextlib.suppress(ChildProcessError):  # its parent lives
            ended, _, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                self._orphans_s += usage.ru_utime + usage.ru_stime
                return True
        return False

    def kill(self) -> None:
        """Kills the whole group at once: a group cannot outrun its own killing by forks."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)

    def reap(self, timed_out: bool) -> Usage:
        wall_s = self.wall_s()
        waited_s = min(wall_s, max(self.waited_s, delay_s(self.pid)))
        self.kill()
        _, status, usage = os.wait4(self.pid, 0)
        ready = os.read(self._ready, 2) == READY
        os.close(self._ready)
        os.close(self.pidfd)
        cpu_s = usage.ru_utime + usage.ru_stime
        if self._may_fork:
            cpu_s = max(self.cpu_s, cpu_s + self._orphans_s + reap_orphans())
        peak_bytes = max(usage.ru_maxrss * 1024, self.peak_bytes)
        killed = self._group is not None and self._group.kills() > self._kills_before
        return Usage(
            status,
            cpu_s,
            wall_s,
            peak_bytes,
            timed_out,
            ready,
            was_killed_for_memory=killed,
            waited_s=waited_s,
            was_crowded=self._was_crowded,
        )


def members_of(group: int) -> list[int]:
    """The processes of a group, those included that have ended and were not waited for."""
    members = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):  # it has just ended
            if name.isdigit() and os.getpgid(int(name)) == group:
                members.append(int(name))
    return members


def clock_s(pid: int) -> float:
    """The processor time of a process's threads."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's name for a process's CPU clock
    except OSError:  # it has just ended
        return 0.0


def children_s(pid: int) -> float:
    """The processor time of a process's children that ended and were waited for."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            since_state = file.read().rpartition(b") ")[2].split()
        return sum(map(int, since_state[OF_CHILDREN])) / TICKS
    except OSError:
        return 0.0


def delay_s(pid: int) -> float:
    """How long a process's first thread was ready to run and had no processor."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def share_of_waiting(pids: Sequence[int]) -> float | None:
    """How much of their time the threads that are ready to run now waited for a processor.

    Their time is that in which each of them ran or waited. None where no thread is ready.
    """
    ran = waited = 0
    is_any_ready = are_told = False
    for pid in pids:
        for thread in threads(pid):
            with contextlib.suppress(OSError, ValueError):
                with open(f"{thread}/stat", "rb") as file:
                    if not file.read().rpartition(b") ")[2].startswith(b"R"):
                        continue
                is_any_ready = True
                with open(f"{thread}/schedstat") as file:
                    ran_ns, waited_ns, _ = map(int, file.read().split())
                ran, waited, are_told = ran + ran_ns, waited + waited_ns, True
    if not is_any_ready:
        return None
    if not are_told:
        return 0.0
    return waited / (ran + waited) if ran + waited else 1.0  # it was forked, and never ran


def threads(pid: int) -> list[str]:
    """Where the kernel tells of each thread of a process."""
    try:
        return [entry.path for entry in os.scandir(f"/proc/{pid}/task")]
    except OSError:  # it has just ended
        return []


def own_bytes(pid: int) -> int:
    """The memory of a process's own, whichever of its threads is left; files do not count."""
    for thread in threads(pid):
        with contextlib.suppress(OSError), open(f"{thread}/status", "rb") as file:
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
        return Child(pid, ready, layers.group, executes=executes, may_fork=may_fork)
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

    The clock does not count while they wait for a processor. They are taken to have waited since
    the last look where a thread of theirs is ready to run now, for that thread's share of waiting;
    and where all sleep, for as long as we were kept from looking.

    Returns:
        Which one, and whether it is over a limit.

    Raises:
        channel.Closed: the service hung up; the children are killed by then.
        Starved: so are they.
    """
    poll = select.poll()
    for child in children:
        poll.register(child.pidfd, select.POLLIN)
    poll.register(service, select.POLLRDHUP)
    pause_s = min(POLL_S, limits.cpu_s)
    looked_s = time.monotonic()
    try:
        while True:
            events = dict(poll.poll(pause_s * 1000))
            if service in events:
                raise channel.Closed
            for index, child in enumerate(children):
                if child.pidfd in events:
                    child.look()
                    return index, False
            before_s, looked_s = looked_s, time.monotonic()
            share = share_of_waiting([pid for child in children for pid in child.look()])
            since_s = looked_s - before_s
            waited_s = max(0.0, since_s - pause_s) if share is None else since_s * share
            for child in children:
                child.waited_s += waited_s
            for index, child in enumerate(children):
                if child.is_over(limits):
                    return index, True
    except (channel.Closed, Starved):
        for child in children:
            child.reap(timed_out=False)
        raise


def reap_orphans() -> float:
    """Ends and collects whatever the children left behind; we are their subreaper.

    Returns:
        The processor time of these, and of those that they waited for.
    """
    cpu_s = 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            usage = os.wait4(-1, 0)[2]
            cpu_s += usage.ru_utime + usage.ru_stime
    return cpu_s


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
        "waited_ms": round(usage.waited_s * 1e3, 3),
        "peak_kib": usage.peak_bytes // 1024,
        **members,
    }
