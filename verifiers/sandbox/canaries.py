"""Tries what the sandbox must prevent, and prints what it could do. Run inside, by the probe.

This is a program like any submission: it is read as text and never imported.
"""

import ctypes
import json
import os
import resource
import socket
from collections.abc import Callable

SYS_PTRACE, SYS_UNSHARE = {"x86_64": (101, 272), "aarch64": (117, 97)}[os.uname().machine]
CLONE_NEWUSER = 0x10000000


def system_call(number: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "denied")


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "read a file of the system": lambda: read("/etc/passwd"),
    "list the root directory": lambda: os.listdir("/"),
    "write a file": lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR),
    "read an environment": lambda: read("/proc/self/environ"),
    "read the parent's memory": lambda: read(f"/proc/{os.getppid()}/mem"),
    "open a tcp socket": lambda: socket.socket(),
    "open a udp socket": lambda: socket.socket(type=socket.SOCK_DGRAM),
    "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
    "start a process": fork,
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "trace the parent": lambda: system_call(SYS_PTRACE, 16, os.getppid(), 0, 0),
    "make a namespace": lambda: system_call(SYS_UNSHARE, CLONE_NEWUSER),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
}

done = []
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        done.append(name)
    except (OSError, ValueError):
        pass
print(json.dumps({"tried": len(ATTEMPTS), "done": done}))
