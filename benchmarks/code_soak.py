"""Whether running programs for long leaves anything behind, and what overload does.

Ten thousand submissions of every kind, then a minute of ten times more than the service can do.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.processes import assay_service
from benchmarks.results import Row, write
from tests.processes import children, memory_bytes

SUBMISSIONS = 10_000
WARM_UP = 1_000
BATCH = 50
OVERLOAD_S = 60
CLIENTS = 40
TESTS = [{"stdin": f"{n}\n", "stdout": f"{n * n}\n"} for n in range(5)]
ADD = "assert f(1) == 1\nassert f(3) == 9"

KINDS: list[tuple[str, dict[str, Any], float]] = [
    ("print(int(input()) ** 2)", {"tests": TESTS}, 1.0),
    ("print(int(input()) + 1)", {"tests": TESTS}, 0.0),
    ("1 / 0", {"tests": TESTS}, 0.0),
    ("import os; os.fork()", {"tests": TESTS}, 0.0),
    ("print('x' * 10**6)", {"tests": TESTS}, 0.0),
    ("def f(x): return x * x", {"test_code": ADD}, 1.0),
    ("import os\ndef f(x): os._exit(0)", {"test_code": ADD}, 0.0),
    ("def f(x): return x * x", {"entry_point": "f", "cases": [{"args": [3], "expected": 9}]}, 1.0),
    ("open('/tmp/assay-soak', 'w')", {"tests": TESTS}, 0.0),
    ("import threading\nthreading.Thread(target=print).start()\n1/0", {"tests": TESTS}, 0.0),
]


def main() -> None:
    with assay_service() as (url, pid):
        rows = soak(url, pid)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as settings:
        settings.write("queue_samples = 64\n")  # overload is soon reached
        settings.flush()
        with assay_service("--config", settings.name) as (url, _):
            rows += overload(url)
    write("code_soak", "Running programs for long, and too many", rows)


def soak(url: str, pid: int) -> list[Row]:
    wrong = submit(url, WARM_UP)
    time.sleep(1)
    before = state(pid)
    wrong += submit(url, SUBMISSIONS)
    time.sleep(1)
    after = state(pid)
    growth_mb = (after["memory"] - before["memory"]) / 1e6
    left = {name: after[name] - before[name] for name in ("processes", "descriptors", "files")}
    return [
        Row("wrong scores of 11,000 submissions of ten kinds", "0", str(wrong), wrong == 0),
        Row("memory growth over 10,000", "under 5 MB", f"{growth_mb:+.1f} MB", growth_mb < 5),
        Row(
            "processes, descriptors, files left behind",
            "none",
            ", ".join(f"{count:+d} {name}" for name, count in left.items()),
            not any(left.values()),
        ),
    ]


def submit(url: str, count: int) -> int:
    """How many scores were not what they should be."""
    rng = random.Random(count)
    wrong = 0
    with httpx.Client(timeout=300) as client:
        for _ in range(count // BATCH):
            kinds = rng.choices(KINDS, k=BATCH)
            samples = [{"completion": source, "reference": ref} for source, ref, _ in kinds]
            body = {"scorer": "code", "samples": samples}
            scores = client.post(f"{url}/v1/score", json=body).raise_for_status().json()["scores"]
            wrong += sum(s["reward"] != k[2] for s, k in zip(scores, kinds, strict=True))
    return wrong


def state(pid: int) -> dict[str, int]:
    tree = [pid]
    for process in tree:
        tree += children(process)
    return {
        "memory": memory_bytes(pid),
        "processes": len(tree),
        "descriptors": sum(len(os.listdir(f"/proc/{process}/fd")) for process in tree),
        "files": len(list(Path("/tmp").glob("assay*"))),
    }


def overload(url: str) -> list[Row]:
    """Ten times the service's capacity: every client always has a request under way."""
    source, reference, _ = KINDS[0]
    body = {"scorer": "code", "samples": [{"completion": source, "reference": reference}] * 16}
    statuses: Counter[int] = Counter()
    wrong = 0
    lock = threading.Lock()
    ends = time.monotonic() + OVERLOAD_S

    def client(_: int) -> None:
        nonlocal wrong
        with httpx.Client(timeout=120) as http:
            while time.monotonic() < ends:
                reply = http.post(f"{url}/v1/score", json=body)
                bad = 0
                if reply.status_code == 200:
                    bad = sum(score["reward"] != 1.0 for score in reply.json()["scores"])
                else:
                    time.sleep(0.05)
                with lock:
                    statuses[reply.status_code] += 1
                    wrong += bad

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(client, range(CLIENTS)))
    started = time.monotonic()
    reply = httpx.post(f"{url}/v1/score", json=body, timeout=60)
    recovered_s = time.monotonic() - started
    fine = reply.status_code == 200 and all(s["reward"] == 1.0 for s in reply.json()["scores"])
    only = set(statuses) <= {200, 429, 503}
    seen = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    return [
        Row("wrong verdicts under overload for 60 s", "0", str(wrong), wrong == 0),
        Row("statuses under overload", "200, 429, 503", seen, only),
        Row(
            "normal again",
            "within 5 s",
            f"{recovered_s:.1f} s" if fine else "no",
            fine and recovered_s < 5,
        ),
    ]
