"""A scorer is a file and a line, and so is a whole family: shown in a copy of the tree.

What belongs to it beside that is documentation and proof: rows of cases, a row in the README.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, blocks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

COPIED = ("app", "judges", "verifiers", "tests", "docs", "benchmarks")
SINGLE_FILES = ("README.md", "CONTRIBUTING.md", "pyproject.toml")

REGISTRY = "verifiers/registry.py"

LAST_LINE = '    "majority:Majority",\n'
LAST_ROW = "| `string_check` |"

HOW_TO = {block.title: block.text for block in blocks(DOCS / "how-to" / "scorer.md")}

FAMILY = '''"""Small puzzles with words."""

from verifiers.puzzles.anagram import Anagram
from verifiers.puzzles.alphabetical import Alphabetical

SCORERS = (Anagram, Alphabetical)
'''

MEMBER = '''"""Rewards {rewards}."""

from typing import Any, ClassVar

from verifiers.base import Parameters, Sample, Score, Verifier


class {type}(Verifier[Parameters]):
    """Rewards {rewards}."""

    name = "{name}"
    version = "1"
    parameters_type = Parameters
    reference_type = str
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {{
        "completion": "{completion}",
        "reference": "{reference}",
        "scorer": {{"type": "{name}"}},
    }}

    def score_one(self, sample: Sample) -> Score:
        said, given = sample.text, self.reference_of(sample)
        if {rule}:
            return Score(reward=1.0, outcome="correct")
        return self.lowest("incorrect")
'''

ANAGRAM = {
    "name": "anagram",
    "type": "Anagram",
    "rewards": "another order of the reference's letters",
    "completion": "silent",
    "reference": "listen",
    "rule": "sorted(said) == sorted(given) and said != given",
}
ALPHABETICAL = {
    "name": "alphabetical",
    "type": "Alphabetical",
    "rewards": "the reference's words in the order of the alphabet",
    "completion": "a b c",
    "reference": "c a b",
    "rule": "said.split() == sorted(given.split())",
}


@dataclass(frozen=True)
class PlugIn:
    """What is written, and the names of the scorers that then exist."""

    files: dict[str, str]
    line: str
    rows: dict[str, list[tuple[str, str | None, float, str]]]
    """Completion, reference, reward and tag, by scorer."""


SCORER = PlugIn(
    files={"verifiers/palindrome.py": HOW_TO["verifiers/palindrome.py"]},
    line='    "palindrome:Palindrome",\n',
    rows={
        "palindrome": [
            ("noon", None, 1.0, "gold"),
            ("level", None, 1.0, "accept"),
            ("lever", None, 0.0, "reject"),
            ("", None, 0.0, "hack"),
        ]
    },
)
PUZZLES = PlugIn(
    files={
        "verifiers/puzzles/__init__.py": FAMILY,
        "verifiers/puzzles/anagram.py": MEMBER.format(**ANAGRAM),
        "verifiers/puzzles/alphabetical.py": MEMBER.format(**ALPHABETICAL),
    },
    line='    "puzzles:SCORERS",\n',
    rows={
        "anagram": [
            ("silent", "listen", 1.0, "gold"),
            ("enlist", "listen", 1.0, "accept"),
            ("listens", "listen", 0.0, "reject"),
            ("listen", "listen", 0.0, "hack"),
        ],
        "alphabetical": [
            ("a b c", "c a b", 1.0, "gold"),
            ("a  b", "b a", 1.0, "accept"),
            ("b a", "b a", 0.0, "reject"),
            ("a a b b", "b a", 0.0, "hack"),
        ],
    },
)


def with_plug_in(plug_in: PlugIn, folder: Path) -> None:
    """A copy of the tree, and in it the files, the line, the cases and the rows of the README."""
    for package in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for name in SINGLE_FILES:
        shutil.copy(ROOT / name, folder / name)
    for path, text in plug_in.files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    for name, rows in plug_in.rows.items():
        (folder / "tests" / "cases" / f"{name}.jsonl").write_text("".join(map(written, rows)))
    listed = "".join(f"| `{name}` | what its docstring says |\n" for name in plug_in.rows)
    insert(folder / REGISTRY, LAST_LINE, plug_in.line + LAST_LINE)
    insert(folder / "README.md", LAST_ROW, listed + LAST_ROW)


def written(row: tuple[str, str | None, float, str]) -> str:
    completion, reference, reward, tag = row
    outcome = "correct" if reward else "incorrect"
    case = {"completion": completion, "reference": reference, "reward": reward, "outcome": outcome}
    return json.dumps({"id": f"{tag}-row", **case, "tag": tag, "why": "as its rule says"}) + "\n"


def insert(path: Path, mark: str, text: str) -> None:
    whole = path.read_text()
    assert whole.count(mark) == 1
    path.write_text(whole.replace(mark, text))


@pytest.mark.parametrize("plug_in", [SCORER, PUZZLES], ids=["scorer", "family"])
def test_one_line_outside_its_own_files_and_the_contract_holds(
    plug_in: PlugIn, tmp_path: Path
) -> None:
    with_plug_in(plug_in, tmp_path)
    tested = subprocess.run(
        [
            sys.executable,
            *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-k", " or ".join([*plug_in.rows, "readme_lists_exactly"])),
            *("tests/verifiers/test_contract.py", "tests/verifiers/test_cases.py"),
            "tests/test_documentation.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout[-4_000:]
    ran = int(tested.stdout.rpartition(" passed")[0].rpartition("\n")[2])
    assert ran > 15 * len(plug_in.rows), "the contract, the rows and the README"
