"""What the code scorer decides on public tasks.

The folder holds HumanEval.jsonl.gz (openai/human-eval), humaneval_llm_labelled.jsonl (programs
that language models wrote for it, with evalplus's verdicts) and mbpp_200.jsonl (MBPP).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Row
from verifiers.base import Place, Sample, Score
from verifiers.code_execution.scorer import CodeExecution, CodeParameters
from verifiers.here import Here


async def real_tasks(folder: Path, workers: int) -> list[Row]:
    async with Here(sandbox_workers=workers) as place:
        return [*await human_eval(folder, place), await mbpp(folder, place)]


async def human_eval(folder: Path, place: Place) -> list[Row]:
    with gzip.open(folder / "HumanEval.jsonl.gz", "rt") as lines:
        tasks = {task["task_id"]: task for task in map(json.loads, lines)}
    solutions = [task["prompt"] + task["canonical_solution"] for task in tasks.values()]
    references = [reference(task, task["test"]) for task in tasks.values()]
    others = [*references[1:], references[0]]
    labelled = read_jsonl(folder / "humaneval_llm_labelled.jsonl")
    of_labelled = [reference(tasks[row["id"]], row["test_code"]) for row in labelled]
    right = await rewards(place, solutions, references)
    crossed = await rewards(place, solutions, others)
    judged = await rewards(place, [row["completion"] for row in labelled], of_labelled)
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


async def mbpp(folder: Path, place: Place) -> Row:
    tasks = read_jsonl(folder / "mbpp_200.jsonl")
    tests = ["\n".join([task["test_setup_code"], *task["test_list"]]) for task in tasks]
    accepted = await rewards(
        place, [task["code"] for task in tasks], [{"test_code": test} for test in tests]
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
    place: Place, programs: Sequence[str], references: Sequence[Any]
) -> list[float | None]:
    scorer = CodeExecution(CodeParameters())
    samples = [
        Sample(completion=f"`````python\n{program}\n`````", reference=reference)
        for program, reference in zip(programs, references, strict=True)
    ]
    scores: dict[int, Score] = {}
    await scorer.score_each(samples, scores.__setitem__, place)
    return [scores[position].reward for position in range(len(samples))]


def share(what: str, count: int, total: int, target: float) -> Row:
    figures = f"{count} of {total} ({count / total:.1%})"
    return Row(what, f"at least {target:.1%}", figures, count >= target * total)
