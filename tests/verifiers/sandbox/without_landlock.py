"""Runs a command on a kernel that seems to have no Landlock: `python without_landlock.py CMD…`.

A seccomp filter answers ENOSYS to landlock_create_ruleset, as old kernels and strict
container profiles do. The fault is real to everything that the command starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from verifiers.sandbox import kernel, seccomp

LANDLOCK_CREATE_RULESET = 444


def main() -> None:
    code = [
        (0x20, 0, 0, 0),  # load the number
        (0x15, 0, 1, LANDLOCK_CREATE_RULESET),
        (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
        seccomp.PASSED,
    ]
    program = b"".join(struct.pack("=HBBI", *line) for line in code)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    filter_ = seccomp.Program(len(code), program)
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.byref(filter_))
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
