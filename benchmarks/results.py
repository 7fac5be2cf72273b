"""Writes a table of results with what is needed to repeat it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, the target, what came out, and whether that reaches it."""

    what: str
    target: str
    measured: str
    reached: bool | None = None
    """None where there is no target."""


def write(name: str, title: str, rows: list[Row], notes: str = "") -> None:
    """Prints the table and writes it as `results/<name>.md` and `.json`."""
    facts = {
        "command": f"python -m benchmarks {name}",
        "commit": commit(),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    marks = {True: "yes", False: "**no**", None: ""}
    table = [
        f"# {title}",
        "",
        *(f"- {fact}: {value}" for fact, value in facts.items()),
        "",
        "| what | target | measured | reached |",
        "| --- | --- | --- | --- |",
        *(f"| {r.what} | {r.target} | {r.measured} | {marks[r.reached]} |" for r in rows),
    ]
    text = "\n".join([*table, "", notes]).rstrip() + "\n"
    print(text)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text)
    document = {**facts, "rows": [asdict(row) for row in rows]}
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", ":!benchmarks/results")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def machine() -> str:
    """Processor, cores in use, memory, system and Python; nothing that names the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor()}, {cores} cores, {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
