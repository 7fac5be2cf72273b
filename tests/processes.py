"""What the kernel says of processes and their children: tests count them, benchmarks weigh them."""

from __future__ import annotations

from pathlib import Path


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def memory_bytes(pid: int) -> int:
    """Proportional set size of a process and its children, as /proc counts it."""
    own = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    )
    return own + sum(map(memory_bytes, children(pid)))


def processor_ns(pid: int) -> int:
    """Processor time that the threads of a process and its children have had."""
    own = sum(
        int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    )
    return own + sum(map(processor_ns, children(pid)))
