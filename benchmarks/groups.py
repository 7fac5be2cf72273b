"""What scoring groups costs beside scoring the same completions one by one.

64 groups of 16 completions a request, a third of them wrong in different ways, scored by
`math`: `POST /v1/groups` also computes advantages, selects, compares the answers of each group
and counts. And `majority` on the same completions, which compares instead of verifying. All in
turn over one connection, in one run.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import httpx

from benchmarks.processes import assay_service
from benchmarks.results import Row, write

GROUPS, SIZE = 64, 16
ROUNDS = 20
WARM_UP = 3

Requests = dict[str, tuple[str, dict[str, Any]]]


def main() -> None:
    with (
        assay_service("--log-level", "warning") as (url, _),
        httpx.Client(base_url=url, timeout=120) as client,
    ):
        times = measure(client, requests())
    score, groups, majority = (statistics.median(times[name]) * 1e3 for name in times)
    rows = [
        Row(
            "groups against single samples",
            "",
            f"{groups / score:.2f}× ({groups:.0f} ms against {score:.0f} ms)",
        ),
        Row(
            "majority against math, as single samples",
            "",
            f"{majority / score:.2f}× ({majority:.0f} ms)",
        ),
        Row("completions a second in groups", "", f"{GROUPS * SIZE / groups * 1e3:,.0f}"),
    ]
    write("groups", "Scoring groups", rows, f"{GROUPS} groups of {SIZE} completions a request.")


def measure(client: httpx.Client, bodies: Requests) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in bodies}
    for number in range(WARM_UP + ROUNDS):
        for name, (path, body) in bodies.items():
            started = time.perf_counter()
            client.post(path, json=body).raise_for_status()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - started)
    return times


def requests() -> Requests:
    dice = random.Random(0)
    groups = [group(dice) for _ in range(GROUPS)]
    samples = [
        {"completion": completion, "reference": each["reference"], "group": str(index)}
        for index, each in enumerate(groups)
        for completion in each["completions"]
    ]
    return {
        "score": ("/v1/score", {"scorer": "math", "samples": samples}),
        "groups": ("/v1/groups", {"scorer": "math", "groups": groups, "ks": [1, 4, 16]}),
        "majority": ("/v1/score", {"scorer": "majority", "samples": samples}),
    }


def group(dice: random.Random) -> dict[str, Any]:
    """Half of an odd number, spelled in four ways, and some near misses."""
    n = dice.randrange(1, 199, 2)
    right = [f"{n}/2", f"{n / 2}", f"\\frac{{{n}}}{{2}}", f"\\frac{{{3 * n}}}{{6}}"]
    wrong = [f"{n}", f"\\sqrt{{{n}}}", f"{n}/3", f"x + {n}"]
    answers = [dice.choice(right if dice.random() < 2 / 3 else wrong) for _ in range(SIZE)]
    return {
        "reference": f"{n}/2",
        "completions": [f"So the answer is \\boxed{{{answer}}}." for answer in answers],
    }


if __name__ == "__main__":
    main()
