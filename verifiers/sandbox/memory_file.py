"""Anonymous files: what programs read as standard input and write as standard output."""

from __future__ import annotations

import fcntl
import os

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def create() -> int:
    """An empty one."""
    return os.memfd_create("output", os.MFD_CLOEXEC)


def sealed(content: bytes) -> int:
    """One that nobody can change, at its beginning."""
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    return descriptor


def size(descriptor: int) -> int:
    return os.fstat(descriptor).st_size


def read(descriptor: int, limit: int) -> bytes:
    """The first `limit` bytes."""
    return os.pread(descriptor, limit, 0)


def tail(descriptor: int, limit: int) -> bytes:
    """The last `limit` bytes."""
    return os.pread(descriptor, limit, max(0, size(descriptor) - limit))
