"""What running programs costs: against a subprocess a test, and against no isolation.

With `--data FOLDER`, also what it decides on public tasks: see `code_tasks.py`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.code_tasks import real_tasks
from benchmarks.processes import assay_service
from benchmarks.results import Row, write
from verifiers.sandbox import pool
from verifiers.sandbox.pool import Program, Sandbox

CORES = 2
TESTS = 10
ROUNDS = 5
PROGRAM = """
import sys
def main():
    n = int(sys.stdin.readline())
    values = list(map(int, sys.stdin.readline().split()))
    seen = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    best = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    print(n, best[0][0], sum(v * v for v in values))
main()
"""
INPUTS = [f"{n}\n{' '.join(str(i * n % 7) for i in range(n))}\n" for n in range(1, TESTS + 1)]

BARE = pool.START.replace(
    "zygote.main",
    "from verifiers.sandbox import confine\n"
    "confine.apply_limits = lambda *_: None\n"
    "zygote.find_layers = lambda *_: (confine.Layers(None, None, None, False, 0, None, ()), {})\n"
    "zygote.main",
)
"""The same engine without its layers. It exists for this comparison alone."""


def main(data: Path | None) -> None:
    outputs = [run_plainly(given) for given in INPUTS]
    tests = [{"stdin": a, "stdout": b} for a, b in zip(INPUTS, outputs, strict=True)]
    sample = {"completion": f"```python{PROGRAM}```", "reference": {"tests": tests}}
    with assay_service() as (url, _):
        rows = [*throughput(url, sample), *latency(url, sample)]
    rows.append(asyncio.run(cost_of_layers()))
    if data is not None:
        rows += asyncio.run(real_tasks(data / "code", CORES))
    notes = (
        f"A submission is one program with {TESTS} tests on standard input. The contestants "
        "take turns in one run; the figures are medians of the rounds."
    )
    write("code", "Running programs", rows, notes)


def throughput(url: str, sample: dict[str, Any]) -> list[Row]:
    """Submissions a second on two cores, client and service together."""
    contestants: dict[str, Callable[[], float]] = {
        "subprocess": lambda: rate(20, lambda: in_subprocesses(20)),
        "separate": lambda: rate(80, lambda: over_http(url, sample, 80, process_per_test=True)),
        "shared": lambda: rate(400, lambda: over_http(url, sample, 400, process_per_test=False)),
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(ROUNDS + 1):
        for name, contestant in contestants.items():
            measured = contestant()
            if turn:  # the first one warms up
                rates[name].append(measured)
    median = {name: statistics.median(values) for name, values in rates.items()}
    rows = [Row("a subprocess a test, no isolation", "", f"{median['subprocess']:.1f}/s")]
    for name, what, target in (
        ("separate", "over HTTP, a sandboxed process a test", 3),
        ("shared", "over HTTP, fast path", 15),
    ):
        ratio = median[name] / median["subprocess"]
        figures = f"{ratio:.1f}× ({median[name]:.0f}/s)"
        rows.append(Row(what, f"at least {target}×", figures, ratio >= target))
    return rows


def rate(count: int, work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def in_subprocesses(submissions: int) -> None:
    def one(_: int) -> None:
        for given in INPUTS:
            run_plainly(given)

    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(one, range(submissions)))


def run_plainly(given: str) -> str:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def over_http(url: str, sample: dict[str, Any], submissions: int, process_per_test: bool) -> None:
    scorer = {"type": "code", "process_per_test": process_per_test}
    body = {"scorer": scorer, "samples": [sample] * (submissions // CORES)}
    with httpx.Client(timeout=120) as client, ThreadPoolExecutor(CORES) as threads:
        for reply in threads.map(lambda _: client.post(f"{url}/v1/score", json=body), range(CORES)):
            scores = reply.raise_for_status().json()["scores"]
            assert all(score["reward"] == 1.0 for score in scores)


def latency(url: str, sample: dict[str, Any]) -> list[Row]:
    rows = []
    with httpx.Client(timeout=60) as client:
        for per_test, what, target in ((True, "a process a test", 60), (False, "fast path", 15)):
            scorer = {"type": "code", "process_per_test": per_test}
            body = {"scorer": scorer, "samples": [sample]}
            times = []
            for _ in range(200):
                started = time.perf_counter()
                client.post(f"{url}/v1/score", json=body).raise_for_status()
                times.append((time.perf_counter() - started) * 1e3)
            p95 = statistics.quantiles(times, n=20)[-1]
            measured = f"{p95:.1f} ms (median {statistics.median(times):.1f} ms)"
            what = f"p95 of one request at a time, {what}"
            rows.append(Row(what, f"at most {target} ms", measured, p95 <= target))
    return rows


async def cost_of_layers() -> Row:
    """CPU of a process a test, with every layer and with none."""
    costs: dict[str, list[float]] = {"layers": [], "bare": []}
    sandboxes = {"layers": Sandbox(), "bare": Sandbox()}
    program = Program(PROGRAM.encode(), inputs=[given.encode() for given in INPUTS])
    starts = {"layers": pool.START, "bare": BARE}
    for _ in range(ROUNDS):
        for name, sandbox in sandboxes.items():
            pool.START = starts[name]
            await run_submissions(sandbox, program, 5)
            before = zygote_cpu_s(sandbox)
            await run_submissions(sandbox, program, 40)
            costs[name].append((zygote_cpu_s(sandbox) - before) / 40 * 1e3)
    for sandbox in sandboxes.values():
        await sandbox.stop()
    layered, bare = (statistics.median(costs[name]) for name in ("layers", "bare"))
    more = layered / bare - 1
    measured = f"{more:+.0%} ({layered:.1f} ms against {bare:.1f} ms a submission)"
    return Row("CPU of the layers, a process a test", "at most +30%", measured, more <= 0.3)


async def run_submissions(sandbox: Sandbox, program: Program, count: int) -> None:
    for _ in range(count):
        async with sandbox.session(program) as session:
            for index in range(TESTS):
                assert (await session.run([index])).verdict == "ok"


def zygote_cpu_s(sandbox: Sandbox) -> float:
    """CPU time of a sandbox's only zygote and of all its descendants that have ended."""
    fields = Path(f"/proc/{sandbox.pids()[0]}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
