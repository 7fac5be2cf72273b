"""Puts the layers in force, in the process that is about to run an untrusted program.

The order matters: descriptors first, while they can still be moved; privileges before
no_new_privs would be too late to give them up; Landlock before seccomp, which denies it.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from verifiers.sandbox import kernel, landlock
from verifiers.sandbox.cgroup import Group
from verifiers.sandbox.seccomp import Filter

MAX_OPEN_FILES = 256
MAX_THREADS = 256
"""Of one program, where its slot has a uid of its own; the kernel counts by uid."""
MAX_THREADS_OF_A_SHARED_UID = 4096
"""Where programs run as the service's own user, whose other processes count too."""

MAX_PROCESSES = 16
"""Of a compiler or a shell, at a time, where its slot has a uid of its own."""

NEVER = resource.RLIM_INFINITY


class Limits(NamedTuple):
    """What one run of a program may use."""

    cpu_s: float
    wall_s: float
    memory_bytes: int
    output_bytes: int
    counts_reserved: bool = True
    """Memory that is only reserved counts. Runtimes such as Node's reserve without measure."""

    @property
    def address_space_bytes(self) -> int:
        """Thread stacks and arenas reserve much that they never touch."""
        return 2 * self.memory_bytes


class Layers(NamedTuple):
    """What this machine offers, found once by the zygote."""

    ruleset: int | None
    """A Landlock descriptor."""
    system_calls: Filter | None
    uid: int | None
    """The slot's own user; None where we may not change who we are."""
    reads_as_root: bool
    """Only root can read the interpreter's library: the slot's user is the real one, by which
    the kernel counts processes, and files are opened as root without capabilities."""
    max_threads: int
    group: Group | None
    names: tuple[str, ...]


class Streams(NamedTuple):
    """Descriptors that become 0, 1 and 2, and those that stay open where they are."""

    stdin: int
    stdout: int
    stderr: int
    others: Sequence[int] = ()


def enter(layers: Layers, streams: Streams, limits: Limits) -> None:
    """Confines this process, for good. Returns with every layer in force.

    Raises:
        OSError: a layer could not be put in force; nothing untrusted may run.
    """
    os.setpgid(0, 0)  # one group, which is killed as a whole
    keep_only(streams)
    become(layers.uid, layers.reads_as_root)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    apply_limits(limits, layers.max_threads)
    if layers.ruleset is not None:
        landlock.restrict_self(layers.ruleset)
        os.close(layers.ruleset)
    gc.enable()
    if layers.system_calls is not None:
        layers.system_calls.install()


def keep_only(streams: Streams) -> None:
    """Closes every other descriptor; the caller lists the ruleset's among the others."""
    for number, descriptor in enumerate(streams[:3]):
        os.dup2(descriptor, number)
    low = 3
    for descriptor in sorted(streams.others):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def become(uid: int | None, reads_as_root: bool) -> None:
    """Takes the slot's identity, and gives up every capability."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, *((-1, -1) if reads_as_root else (uid, uid)))
    kernel.drop_capabilities()


def apply_limits(limits: Limits, max_threads: int) -> None:
    """Hard limits equal to soft ones, so that none can be raised again.

    The CPU limit here is a backstop in whole seconds; the supervisor keeps the exact one.
    """
    counted = resource.RLIMIT_AS if limits.counts_reserved else resource.RLIMIT_DATA
    space = mapped_bytes() + limits.address_space_bytes
    whole_seconds = int(limits.cpu_s) + 2
    for which, value in (
        (counted, space),
        (resource.RLIMIT_CPU, whole_seconds),
        (resource.RLIMIT_FSIZE, limits.output_bytes + 1),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, MAX_OPEN_FILES),
        (resource.RLIMIT_NPROC, max_threads),
    ):
        resource.setrlimit(which, lower(which, value))


def lower(which: int, value: int) -> tuple[int, int]:
    """`value` as both limits, or the present hard limit where that is lower."""
    hard = resource.getrlimit(which)[1]
    limit = value if hard == NEVER else min(value, hard)
    return limit, limit


@cache
def mapped_bytes() -> int:
    """The address space in use before the program starts. Found by the supervisor, once."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def readable_paths(runtime: Iterable[str]) -> list[tuple[str, int]]:
    """What Landlock grants to every program: a runtime's own files, and harmless devices."""
    read = landlock.READ
    devices = ("/dev/zero", "/dev/random", "/dev/urandom")
    facts = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib/locale")
    return [
        *((path, read) for path in (*runtime, *devices, *facts)),
        ("/dev/null", landlock.READ_FILE | landlock.WRITE_FILE),
    ]
