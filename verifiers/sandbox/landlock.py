"""Landlock: which files a process and its descendants may still open.

See `landlock(7)`. A ruleset is built once, by the zygote; every child then only restricts
itself by its descriptor, which costs one system call.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from verifiers.sandbox.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_GET_VERSION = 1
_RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
READ = READ_FILE | READ_DIR
EVERYTHING = (1 << 16) - 1
"""All file rights there are so far; what an older kernel does not know is left out."""

_RIGHTS_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15
"""What may be granted on something that is no directory: truncating and ioctl are there too."""

_FILE_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_RIGHTS = 0b11  # bind and connect, of TCP; everything else needs socket(), which is denied
_SCOPES = 0b11  # abstract unix sockets, signals


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """The version of Landlock that this kernel has; 0 where there is none."""
    try:
        return syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION))
    except OSError:
        return 0


def handled_file_rights(version: int) -> int:
    """All rights that `version` knows: whatever is handled and not granted is denied."""
    return _FILE_RIGHTS_BY_ABI[max(known for known in _FILE_RIGHTS_BY_ABI if known <= version)]


def ruleset(rules: Iterable[tuple[str, int]]) -> int:
    """A descriptor of a ruleset that grants (path, rights) pairs and nothing else.

    Paths that do not exist are left out. The descriptor is inherited by forks.

    Raises:
        OSError: this kernel has no Landlock, or refuses.
    """
    version = abi()
    if version == 0:
        raise OSError("this kernel has no Landlock")
    handled = handled_file_rights(version)
    attributes = _RulesetAttr(
        handled, _NETWORK_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0
    )
    size = 8 if version < 4 else 16 if version < 6 else 24
    descriptor = syscall(
        _CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    for path, rights in rules:
        if os.path.exists(path):
            _grant(descriptor, path, rights & handled)
    return descriptor


def _grant(descriptor: int, path: str, rights: int) -> None:
    if not os.path.isdir(path):
        rights &= _RIGHTS_OF_FILES
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneathAttr(rights, parent)
        syscall(
            _ADD_RULE,
            *(ctypes.c_int(descriptor), ctypes.c_int(_RULE_PATH_BENEATH)),
            *(ctypes.byref(rule), ctypes.c_uint32(0)),
        )
    finally:
        os.close(parent)


def restrict_self(descriptor: int) -> None:
    """Applies a ruleset to this thread, for good. Needs no_new_privs."""
    syscall(_RESTRICT_SELF, ctypes.c_int(descriptor), ctypes.c_uint32(0))
