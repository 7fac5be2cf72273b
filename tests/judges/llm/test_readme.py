"""The README of the calls names what there is."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "judges" / "llm"
README = (FOLDER / "README.md").read_text()


def test_it_names_every_module_and_no_other() -> None:
    table = README.partition("| file | what |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+\.py)`", table)
    assert sorted(named) == sorted(path.name for path in FOLDER.glob("[a-z]*.py"))


def test_every_promise_names_tests_that_exist() -> None:
    promises = README.partition("| promise | tests |")[2].partition("\n\n")[0]
    for line in promises.splitlines()[2:]:
        tests = re.findall(r"`(test_\w+\.py)`", line)
        assert tests, line
        assert all((Path(__file__).parent / test).exists() for test in tests), line


def test_it_names_every_kind_of_judge() -> None:
    table = README.partition("| `kind` | asks | replies |")[2].partition("\n\n")[0]
    kinds = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert sorted(kinds) == ["chat", "decisions", "local", "replay", "systemone"]
