"""The numbers of system calls are those of the kernel's own headers, on both machines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.verifiers.sandbox import elsewhere
from verifiers.sandbox.syscalls import NUMBERS

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),  # the same on every machine
}
DEFINITION = re.compile(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", re.M)


@pytest.mark.parametrize(("column", "machine"), list(enumerate(HEADERS)))
def test_they_are_the_kernels(column: int, machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    defined = {
        name: int(number) for name, number in DEFINITION.findall(HEADERS[machine].read_text())
    }
    if machine == "aarch64":
        defined["newfstatat"] = defined["fstatat"]
    ours = {name: numbers[column] for name, numbers in (NUMBERS | elsewhere.NUMBERS).items()}
    assert ours == {name: defined.get(name) for name in ours}
