"""Runs a command as if on another machine: `python elsewhere.py PLACE CMD…`.

    old-kernel          no Landlock
    user                another uid, without capabilities
    container           what a container engine denies by default, and the capabilities it leaves
    container-user      the same, and another uid

The filters follow Docker's default seccomp profile as far as it bears on the sandbox: no
namespaces, no mounts, ENOSYS for clone3. They hold for all that the command starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from verifiers.sandbox import kernel, seccomp

UID = 10_001
NUMBERS = {
    # name: (x86_64, aarch64)
    "landlock_create_ruleset": (444, 444),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
}
CLONE = {"x86_64": 56, "aarch64": 220}
NEW_NAMESPACES = 0x7E020000

DEFAULT_CAPABILITIES = 0x00000000A80425FB
"""What Docker leaves to a container's root."""

PR_CAPBSET_DROP = 24


def deny(error: int, *names: str) -> list[seccomp.Instruction]:
    column = kernel.MACHINES.index(kernel.MACHINE)
    refusal = (0x06, 0, 0, 0x00050000 | error)
    return [line for n in names for line in ((0x15, 0, 1, NUMBERS[n][column]), refusal)]


def install(rules: list[seccomp.Instruction]) -> None:
    code = [(0x20, 0, 0, 0), *rules, seccomp.PASSED]
    packed = b"".join(struct.pack("=HBBI", *line) for line in code)
    program = seccomp.Program(len(code), packed)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.byref(program))


def enter_container() -> None:
    if os.geteuid() == 0:
        for capability in range(41):
            if not DEFAULT_CAPABILITIES >> capability & 1:
                kernel.prctl(PR_CAPBSET_DROP, capability)
    new_namespaces = [
        (0x15, 0, 4, CLONE[kernel.MACHINE]),
        (0x20, 0, 0, 16),
        (0x45, 0, 1, NEW_NAMESPACES),
        (0x06, 0, 0, 0x00050000 | errno.EPERM),
        seccomp.PASSED,
    ]
    allowed = ("landlock_create_ruleset", "clone3")
    denied = [name for name in NUMBERS if name not in allowed]
    install([*deny(errno.EPERM, *denied), *deny(errno.ENOSYS, "clone3"), *new_namespaces])


def become_user() -> None:
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)


def main() -> None:
    place, *command = sys.argv[1:]
    if place == "old-kernel":
        install(deny(errno.ENOSYS, "landlock_create_ruleset"))
    if place.startswith("container"):
        enter_container()
    if place.endswith("user"):
        become_user()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
