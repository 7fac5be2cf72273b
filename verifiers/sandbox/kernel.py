"""System calls that Python's standard library does not offer, through ctypes."""

from __future__ import annotations

import ctypes
import os
import platform

MACHINES = ("x86_64", "aarch64")
"""Processor families whose system call numbers are in the tables of this package."""

MACHINE = platform.machine()

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWUSER = 0x10000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000

_CAPSET = {"x86_64": 126, "aarch64": 91}.get(MACHINE, -1)
_CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """`result` of a libc function.

    Raises:
        OSError: it says that the call failed.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number: int, *arguments: object) -> int:
    return check(libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *arguments: object) -> int:
    """`prctl` with all five arguments: some options insist that the unused ones are zero."""
    values = [a if not isinstance(a, int) else ctypes.c_ulong(a) for a in arguments]
    padding = [ctypes.c_ulong(0)] * (4 - len(values))
    return check(libc.prctl(ctypes.c_int(option), *values, *padding))


def unshare(flags: int) -> None:
    check(libc.unshare(ctypes.c_int(flags)))


def drop_capabilities() -> None:
    """Gives up every capability: what is left of root is a uid."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    syscall(_CAPSET, header, nothing)
