"""Which faults in the pure modules the tests near them do not see: mutation testing, by mutmut.

Every function of a module is changed in one small way at a time (a sign, a comparison, an argument
left out …) and the tests near the module run until one fails. A change that none fails for has
survived: either no test would notice that fault, or it changes nothing.

`python -m benchmarks.mutants [MODULE …]`, or `make mutants MODULE=…`. Every module is tried in a
copy of the sources; results of modules that are not named stay as they were measured. mutmut leaves
alone what stands outside functions (tables, patterns, parameters of scorers) and decorated
functions.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.results import FOLDER, commit, machine

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "judges", "trainer_client", "verifiers")
COPIED = (*PACKAGES, "benchmarks", "tests", "pyproject.toml")

ALLOWANCE_S = 10.0
TIMEOUT_FACTOR = 4
"""A mutant is a hang after this many times the time of its tests and the allowance: loads of other
work on the machine must not look like one, since a hang counts as noticed."""

EQUIVALENT = Path(__file__).with_name("equivalent_mutants.jsonl")
"""Survivors that change nothing that anybody could see, each with the reason."""

CASES = "tests/verifiers/test_cases.py"


class Near(NamedTuple):
    """The tests that say what a module does. They run where none else does, so none of them may
    need a thread or a process that was started when it was imported."""

    tests: tuple[str, ...]
    keyword: str = ""
    """pytest's -k: of thousands of rows, those of the scorer."""


GROUPING = Near(("tests/app/grouping", "tests/app/test_groups.py"), "not deadline and not draining")
RUBRIC = "tests/judges/rubric"
NUMBERS = Near((CASES, "tests/verifiers/math_equivalence/test_equivalence.py"), "math")

NEAR = {
    "app/grouping/advantages.py": GROUPING,
    "app/grouping/distribution.py": GROUPING,
    "app/grouping/results.py": GROUPING,
    "app/grouping/selection.py": GROUPING,
    "judges/rubric/aggregate.py": Near((f"{RUBRIC}/test_rubric.py", f"{RUBRIC}/test_scorer.py")),
    "judges/rubric/agreement.py": Near((f"{RUBRIC}/test_calibration.py",)),
    "judges/rubric/parse.py": Near((f"{RUBRIC}/test_complaints.py", f"{RUBRIC}/test_parse.py")),
    "trainer_client/train/advantages.py": Near(("tests/trainer_client/train/test_advantages.py",)),
    "verifiers/boundary.py": Near(("tests/verifiers/test_boundary.py",)),
    "verifiers/exact_match.py": Near((CASES, "tests/verifiers/test_details.py"), "exact_match"),
    "verifiers/extract.py": Near((CASES, "tests/verifiers/test_extract.py"), "extract or exact"),
    "verifiers/format.py": Near((CASES, "tests/verifiers/test_details.py"), "format"),
    "verifiers/length.py": Near((CASES, "tests/verifiers/test_details.py"), "length"),
    "verifiers/repetition.py": Near((CASES, "tests/verifiers/test_details.py"), "repetition"),
    "verifiers/string_check.py": Near((CASES, "tests/verifiers/test_details.py"), "string_check"),
    "verifiers/string_reversal.py": Near(
        (CASES, "tests/verifiers/test_string_reversal.py"), "string_reversal"
    ),
    "verifiers/weighted.py": Near((CASES, "tests/verifiers/test_weighted.py"), "weighted"),
    "verifiers/math_equivalence/numbers/functions.py": NUMBERS,
    "verifiers/math_equivalence/numbers/values.py": NUMBERS,
}
"""Module -> its tests: the one place to edit when either moves."""


class Survivor(NamedTuple):
    line: int
    was: str
    now: str
    equivalent: str = ""
    """Why no test can tell, where none can."""


@dataclass(frozen=True)
class Result:
    """What became of the mutants of a module."""

    mutants: int
    killed: int
    survivors: list[Survivor]
    seconds: float
    commit: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("modules", nargs="*", default=list(NEAR), help="paths; all by default")
    modules = parser.parse_args().modules
    if unknown := [module for module in modules if module not in NEAR]:
        parser.error(f"no tests are near {', '.join(unknown)}; there are {', '.join(NEAR)}")
    results = written()
    for module in modules:
        results[module] = measured(module)
        write(results)
        print(table_row(module, results[module]), flush=True)


def measured(module: str) -> Result:
    """Tries every mutant of a module in a copy of the sources that ends with it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "results")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        with (copy / "pyproject.toml").open("a") as settings:
            settings.write(configuration(module))
        # With the output kept back: a line for every mutant.
        run = mutmut(copy, "run", "--max-children", "1")
        meta = copy / "mutants" / f"{module}.meta"
        if run.returncode or not meta.exists():
            sys.exit(f"{module}: mutmut failed\n{run.stdout[-4000:]}{run.stderr[-4000:]}")
        statuses = json.loads(meta.read_text())["exit_code_by_key"]
        alive = [key for key, status in statuses.items() if status in SURVIVED]
        if unclear := [key for key, status in statuses.items() if status in UNCLEAR]:
            sys.exit(f"{module}: mutmut did not finish {', '.join(unclear)}")
        survivors = [survivor(module, key, mutmut(copy, "show", key).stdout) for key in alive]
    return Result(
        mutants=len(statuses),
        killed=len(statuses) - len(alive),
        survivors=sorted(survivors),
        seconds=round(time.monotonic() - started, 1),
        commit=commit(),
    )


SURVIVED = frozenset({0, 5, 33})
"""mutmut's exit codes: pytest passed; no test was found; no test runs the function."""

UNCLEAR = frozenset({None, 2, 34})
"""Not tried, interrupted, skipped. Whatever else ended a run (a failure, a signal) is a kill."""


def configuration(module: str) -> str:
    tests, keyword = NEAR[module]
    arguments = ["-p", "no:cacheprovider", *(["-k", keyword] if keyword else [])]
    settings = {
        "source_paths": PACKAGES,
        "only_mutate": [module],
        "also_copy": ["benchmarks"],
        "pytest_add_cli_args": arguments,
        "pytest_add_cli_args_test_selection": tests,
        # A process that has run torch or started threads cannot be forked.
        "process_isolation": "forkserver",
        "timeout_constant": ALLOWANCE_S,
        "timeout_multiplier": TIMEOUT_FACTOR,
        "use_git_change_detection": False,
    }
    rows = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["", "[tool.mutmut]", *rows, ""])


def mutmut(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """mutmut, which imports the packages of the folder and not those of this checkout."""
    environment = {**os.environ, "PYTHONPATH": ""}
    return subprocess.run(
        [str(Path(sys.executable).with_name("mutmut")), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def survivor(module: str, key: str, difference: str) -> Survivor:
    """What was changed and where, of a difference that tells places within the function."""
    first = int(re.findall(r"^@@ -(\d+)", difference, re.MULTILINE)[0])
    body = difference[difference.index("\n@@") + 1 :].splitlines()[1:]
    offset = next(i for i, line in enumerate(body) if line[:1] in ("+", "-"))
    was, now = (
        " ".join(line[1:].strip() for line in body if line.startswith(sign)) for sign in "-+"
    )
    name = re.split("[ǁ.]", key.rpartition("__mutmut_")[0])[-1].removeprefix("x_")
    line = definition(module, key, name).lineno + first + offset - 1
    return Survivor(line, was, now, reasons().get((module, was, now), ""))


def definition(module: str, key: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The function that a mutant is of: a method where the key names a class before it."""
    body: list[ast.stmt] = ast.parse((ROOT / module).read_text()).body
    if "ǁ" in key:
        owner = key.split("ǁ")[1]
        [body] = [
            node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner
        ]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return next(node for node in body if isinstance(node, functions) and node.name == name)


@cache
def reasons() -> dict[tuple[str, str, str], str]:
    rows = map(json.loads, EQUIVALENT.read_text().splitlines())
    return {(row["module"], row["was"], row["now"]): row["why"] for row in rows}


def written() -> dict[str, Result]:
    """What was measured before, of modules that are still tried."""
    file = FOLDER / "mutants.json"
    if not file.exists():
        return {}
    modules = json.loads(file.read_text())["modules"]
    return {name: read(name, module) for name, module in modules.items() if name in NEAR}


def read(module: str, result: dict[str, Any]) -> Result:
    survivors = [Survivor(**row) for row in result.pop("survivors")]
    known = [s._replace(equivalent=reasons().get((module, s.was, s.now), "")) for s in survivors]
    return Result(**result, survivors=known)


def write(results: dict[str, Result]) -> None:
    """`results/mutants.md` and `.json`."""
    facts = {"command": "python -m benchmarks.mutants", "machine": machine()}
    rows = {module: results[module] for module in NEAR if module in results}
    text = [
        "# Mutants that no test notices",
        "",
        *(f"- {fact}: {value}" for fact, value in facts.items()),
        "",
        "| module | mutants | killed | survived | of them equivalent | seconds | commit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(table_row(module, result) for module, result in rows.items()),
        "",
        "A survivor that is equivalent changes nothing that a test could see.",
    ]
    for module, result in rows.items():
        if result.survivors:
            text += ["", f"## {module}", "", "| line | was | became | equivalent |"]
            text += ["| --- | --- | --- | --- |", *map(survivor_row, result.survivors)]
    (FOLDER / "mutants.md").write_text("\n".join(text) + "\n")
    modules = {
        module: asdict(result) | {"survivors": [s._asdict() for s in result.survivors]}
        for module, result in rows.items()
    }
    document = {**facts, "modules": modules}
    (FOLDER / "mutants.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def table_row(module: str, result: Result) -> str:
    equivalent = sum(bool(survivor.equivalent) for survivor in result.survivors)
    counts = [result.mutants, result.killed, len(result.survivors), equivalent]
    return (
        f"| {module} | "
        + " | ".join(map(str, counts))
        + f" | {result.seconds:.0f} | {result.commit} |"
    )


def survivor_row(survivor: Survivor) -> str:
    line, was, now, why = survivor
    code = [f"`{text.replace('|', chr(92) + '|')}`" if text else "" for text in (was, now)]
    return f"| {line} | {code[0]} | {code[1]} | {why} |"


if __name__ == "__main__":
    main()
