"""Seccomp: which system calls a process may still make, as a list of what is allowed.

The filter is a classic BPF program over `struct seccomp_data` (see `seccomp(2)`). Any call
that is not listed fails with EPERM, so that an honest program that tries gets an ordinary
error; one made through a foreign calling convention ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from verifiers.sandbox import kernel
from verifiers.sandbox.syscalls import (
    ALLOWED,
    EXECUTION,
    FILES,
    FORKING,
    NUMBERS,
    OWN_PID,
    Condition,
)

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
"""x86-64's second calling convention: its numbers have this bit."""

_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_MODE_FILTER = 2

_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_PID_PLACEHOLDER = 0x7FFFFFFE
"""Stands for the process's own pid; no pid is so large (the kernel's limit is 4 Mi)."""

Purpose = Literal["program", "shell", "compiler"]

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, constant)"""

DENIED: Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
PASSED: Instruction = (_RETURN, 0, 0, _ALLOW)


class Program(ctypes.Structure):
    """`struct sock_fprog`: how many instructions, and where."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class Filter(NamedTuple):
    """An assembled filter. The pid of the process it guards is filled in at installation."""

    template: bytes
    pid_offsets: tuple[int, ...]

    def install(self) -> None:
        """Confines this thread and all it starts, for good. Needs no_new_privs."""
        program = bytearray(self.template)
        for offset in self.pid_offsets:
            struct.pack_into("=I", program, offset, os.getpid())
        content = Program(len(program) // 8, bytes(program))
        kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(content))


def threads_only() -> Filter:
    """For code inside this interpreter: threads, but no process and no other program."""
    return assemble(ALLOWED)


def programs(purpose: Purpose) -> Filter:
    """For other programs, which must be executed; Landlock says which."""
    more = {"program": {}, "shell": FORKING, "compiler": {**FORKING, **FILES}}[purpose]
    return assemble({**ALLOWED, **EXECUTION, **more})


def assemble(allowed: Mapping[str, tuple[Condition, ...]]) -> Filter:
    """The conditional rules, then those without conditions as ranges of numbers.

    Few steps matter: at installation the kernel runs the program once for every system call
    it knows, to remember which need no filtering at all.
    """
    column = kernel.MACHINES.index(kernel.MACHINE)
    numbers = {name: number for name in allowed if (number := NUMBERS[name][column]) is not None}
    enosys = NUMBERS["clone3"][column]  # so that libc falls back to clone, which is filtered
    assert enosys is not None
    rules = [_rule(number, allowed[name]) for name, number in numbers.items() if allowed[name]]
    plain = sorted(number for name, number in numbers.items() if not allowed[name])
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURE[kernel.MACHINE]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL_PROCESS),
        *((_EQUAL, 0, 1, enosys), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)),
        *(line for rule in rules for line in rule),
        *_search(_ranges(plain)),
    ]
    offsets = (8 * index + 4 for index, line in enumerate(code) if line[3] == _PID_PLACEHOLDER)
    return Filter(b"".join(struct.pack("=HBBI", *line) for line in code), tuple(offsets))


def _search(ranges: Sequence[tuple[int, int]]) -> list[Instruction]:
    """Allows the numbers in `ranges`, which are sorted, by bisection."""
    if len(ranges) <= 2:
        return [*(line for first, last in ranges for line in _range(first, last)), DENIED]
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    return [(_AT_LEAST, len(below), 0, ranges[middle][0]), *below, *above]


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, as (first, last)."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _range(first: int, last: int) -> list[Instruction]:
    if first == last:
        return [(_EQUAL, 0, 1, first), PASSED]
    return [(_AT_LEAST, 0, 2, first), (_AT_LEAST, 1, 0, last + 1), PASSED]


def _rule(number: int, conditions: tuple[Condition, ...]) -> list[Instruction]:
    """Allows a system call where every condition on its arguments holds."""
    tests = [line for condition in conditions for line in _test(condition)]
    return [(_EQUAL, 0, len(tests) + 1, number), *tests, PASSED]


def _test(condition: Condition) -> list[Instruction]:
    """Falls through where the condition holds, and denies where it does not."""
    low = _ARGUMENTS_AT + 8 * condition.argument
    if condition.is_null:
        return [
            *((_LOAD, 0, 0, low), (_EQUAL, 1, 0, 0), DENIED),
            *((_LOAD, 0, 0, low + 4), (_EQUAL, 1, 0, 0), DENIED),
        ]
    if condition.values:
        values = [_PID_PLACEHOLDER if v == OWN_PID else v for v in condition.values]
        jumps = [(_EQUAL, len(values) - i, 0, v) for i, v in enumerate(values)]
        return [(_LOAD, 0, 0, low), *jumps, DENIED]
    lines = [(_LOAD, 0, 0, low)]
    if condition.all_bits:
        lines += [(_ANY_BIT, 1, 0, condition.all_bits), DENIED]
    if condition.no_bits:
        lines += [(_ANY_BIT, 0, 1, condition.no_bits), DENIED]
    return lines
