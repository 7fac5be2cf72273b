"""What the code scorer decides on public tasks.

The folder holds HumanEval.jsonl.gz (openai/human-eval), humaneval_llm_labelled.jsonl (programs
that language models wrote for it, with evalplus's verdicts) and mbpp_200.jsonl (MBPP).
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Row
from verifiers.base import Sample
from verifiers.code_execution.scorer import CodeExecution, CodeParameters
from verifiers.sandbox.pool import Sandbox


async def real_tasks(folder: Path, workers: int) -> list[Row]:
    sandbox = Sandbox(workers=workers)
    try:
        return [*await human_eval(folder, sandbox), await mbpp(folder, sandbox)]
    finally:
        await sandbox.stop()


async def human_eval(folder: Path, sandbox: Sandbox) -> list[Row]:
    with gzip.open(folder / "HumanEval.jsonl.gz", "rt") as lines:
        tasks = {task["task_id"]: task for task in map(json.loads, lines)}
    solutions = [task["prompt"] + task["canonical_solution"] for task in tasks.values()]
    references = [reference(task, task["test"]) for task in tasks.values()]
    others = [*references[1:], references[0]]
    labelled = read_jsonl(folder / "humaneval_llm_labelled.jsonl")
    of_labelled = [reference(tasks[row["id"]], row["test_code"]) for row in labelled]
    right = await rewards(sandbox, solutions, references)
    crossed = await rewards(sandbox, solutions, others)
    judged = await rewards(sandbox, [row["completion"] for row in labelled], of_labelled)
    agreed = sum((a == 1.0) == row["correct"] for a, row in zip(judged, labelled, strict=True))
    wrongly = crossed.count(1.0)
    return [
        share("HumanEval: canonical solutions accepted", right.count(1.0), len(tasks), 1.0),
        Row(
            "HumanEval: solutions accepted by another task's tests",
            "0",
            f"{wrongly} of {len(tasks)}, {crossed.count(None)} unscored",
            wrongly == 0,
        ),
        share("programs of language models: agreement", agreed, len(labelled), 1.0),
    ]


async def mbpp(folder: Path, sandbox: Sandbox) -> Row:
    tasks = read_jsonl(folder / "mbpp_200.jsonl")
    tests = ["\n".join([task["test_setup_code"], *task["test_list"]]) for task in tasks]
    accepted = await rewards(
        sandbox, [task["code"] for task in tasks], [{"test_code": test} for test in tests]
    )
    return share("MBPP: canonical solutions accepted", accepted.count(1.0), len(tasks), 0.995)


def reference(task: dict[str, Any], test_code: str) -> dict[str, Any]:
    return {
        "test_code": test_code,
        "entry_point": task["entry_point"],
        "preamble": task["prompt"],
    }


def read_jsonl(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def rewards(
    sandbox: Sandbox, programs: Sequence[str], references: Sequence[Any]
) -> list[float | None]:
    scorer = CodeExecution(CodeParameters())
    samples = [
        Sample(completion=f"`````python\n{program}\n`````", reference=reference)
        for program, reference in zip(programs, references, strict=True)
    ]
    scores = await asyncio.gather(*(scorer.attempt(sample, sandbox) for sample in samples))
    return [score.reward for score in scores]


def share(what: str, count: int, total: int, target: float) -> Row:
    figures = f"{count} of {total} ({count / total:.1%})"
    return Row(what, f"at least {target:.1%}", figures, count >= target * total)
