"""Programs that are not Python: compiled and started inside the same layers.

They are executed, so the list of system calls is longer by that, for compilers also by what
makes processes and files, for shells by what makes processes. Landlock says what they may
execute, read and, for compilers in their folder alone, write.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any, NamedTuple

from verifiers.sandbox import confine, landlock, memory_file, seccomp, supervisor
from verifiers.sandbox.artefacts import MAX_FILE_BYTES, Artefacts
from verifiers.sandbox.confine import Layers, Limits, Streams

MAX_PROCESSES_OF_A_SHARED_UID = 64
"""Of a compiler or a shell where it has none, beside those that are there already: others may
start some meanwhile."""

COMPILER_LIMITS = Limits(
    cpu_s=20.0,
    wall_s=60.0,
    memory_bytes=1 << 30,
    output_bytes=MAX_FILE_BYTES,
    counts_reserved=False,
)

EXECUTABLE = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/lib", "/lib", "/lib64", "/usr/libexec")
LIBRARIES = ("/usr/lib", "/lib", "/lib64", "/usr/lib64")
HEADERS = ("/usr/include", "/usr/local/include", "/etc/alternatives", "/usr/share/zoneinfo")

ENVIRONMENT = {"TMPDIR": ".", "OPENSSL_CONF": "/dev/null"}
"""Compilers write beside the source; Node wants to read a configuration, which may be none."""

READ_AND_EXECUTE = landlock.READ | landlock.EXECUTE


class Foreign(NamedTuple):
    """One program in another language. `language` is as `languages.Language` has it."""

    language: dict[str, Any]
    source: bytes
    limits: Limits
    layers: Layers
    artefacts: Artefacts
    service: int

    def prepare(self) -> tuple[str, str | None]:
        """The folder to run the program in, and why it could not be compiled."""
        return self.artefacts.of(self.language, self.source, self.layers.uid, self.compile)

    def compile(self, folder: str) -> str | None:
        command = self.language["compile"]
        if not command:
            return None
        rules = [(path, READ_AND_EXECUTE) for path in EXECUTABLE]
        rules += [(path, landlock.READ) for path in HEADERS]
        rules += [(folder, landlock.EVERYTHING)]
        errors = memory_file.create()
        child = self.start(command, folder, rules, "compiler", COMPILER_LIMITS, errors, errors)
        _, timed_out = supervisor.watch([child], COMPILER_LIMITS, self.service)
        usage = child.reap(timed_out)
        outcome = supervisor.verdict(usage, COMPILER_LIMITS, 0)
        said = memory_file.tail(errors, supervisor.MAX_STDERR_BYTES).decode(errors="replace")
        os.close(errors)
        if outcome == "ok":
            return None
        return said.replace(folder, "") or f"the compiler ends with {outcome}"

    def run(self, folder: str, stdin: int, stdout: int, stderr: int) -> supervisor.Child:
        may_fork = self.language["may_fork"]
        executable = EXECUTABLE if may_fork else self.runtime()
        rules = [(path, READ_AND_EXECUTE) for path in (*executable, folder)]
        limits = self.limits._replace(counts_reserved=False)
        purpose: seccomp.Purpose = "shell" if may_fork else "program"
        return self.start(
            self.language["run"], folder, rules, purpose, limits, stdout, stderr, stdin
        )

    def runtime(self) -> Sequence[str]:
        """The interpreter, where there is one, and the dynamic linker with its libraries."""
        command = found(self.language["run"][0])
        return (*LIBRARIES, os.path.realpath(command), command)

    def start(
        self,
        command: Sequence[str],
        folder: str,
        rules: Sequence[tuple[str, int]],
        purpose: seccomp.Purpose,
        limits: Limits,
        stdout: int,
        stderr: int,
        stdin: int | None = None,
    ) -> supervisor.Child:
        ruleset = None
        if self.layers.ruleset is not None:
            ruleset = landlock.ruleset([*confine.readable_paths(()), *rules])
        os.chdir(folder)  # here, since a confined child may not
        given = stdin if stdin is not None else memory_file.sealed(b"")
        layers = self.layers._replace(
            ruleset=ruleset,
            system_calls=seccomp.programs(purpose) if self.layers.system_calls else None,
            reads_as_root=False,
            max_threads=self.max_threads(purpose),
        )

        def body() -> int:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            os.execve(found(command[0]), list(command), {**os.environ, **ENVIRONMENT})

        try:
            streams = Streams(given, stdout, stderr)
            return supervisor.spawn(
                layers, streams, limits, body, executes=True, may_fork=purpose != "program"
            )
        finally:
            if ruleset is not None:
                os.close(ruleset)

    def max_threads(self, purpose: seccomp.Purpose) -> int:
        """A uid of its own is nobody else's; a shared one has other processes already."""
        if purpose == "program":
            return self.layers.max_threads
        if self.layers.uid is not None:
            return confine.MAX_PROCESSES
        return MAX_PROCESSES_OF_A_SHARED_UID + tasks_of(os.getuid())


def found(command: str) -> str:
    """Where a command is: beside us, or in one of the folders of PATH."""
    if command.startswith("./"):
        return command
    places = [os.path.join(place, command) for place in os.environ["PATH"].split(":")]
    return next(filter(os.path.exists, places), command)


def tasks_of(uid: int) -> int:
    """How many processes and threads a user has, as RLIMIT_NPROC counts them."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"{entry.path}/task"))
            except OSError:  # it has just ended
                continue
    return count
