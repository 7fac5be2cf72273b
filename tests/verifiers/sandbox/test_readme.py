"""The sandbox's README promises nothing without a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.verifiers.code_execution.programs import FOLDER, listed
from tests.verifiers.sandbox import test_time
from verifiers.sandbox import probe
from verifiers.sandbox.languages import LANGUAGES

README = (Path(probe.__file__).parent / "README.md").read_text()
COVERED = README.partition("## Covered")[2].partition("## Not covered")[0]


def test_the_deeds_that_it_names_are_among_the_programs() -> None:
    names = [program.name for program in listed("deeds")]
    rows = re.findall(r"deeds: (.+?) \|", COVERED)
    named = [name for row in rows for name in re.split(r", | … ", row)]
    assert len(named) > 20
    assert set(named) <= set(names)


def test_the_files_that_it_names_exist() -> None:
    package = Path(probe.__file__).parent
    for name in re.findall(r"`(\w+\.py)`", README.partition("## Covered")[0]):
        assert (package / name).exists(), name
    for name in re.findall(r"`(\w+\.md)`", COVERED):
        assert (FOLDER / name).exists(), name


def test_the_tests_of_its_rules_of_time_exist() -> None:
    rules = README.partition("## Time")[2].partition("\n## ")[0]
    tests = Path(test_time.__file__).read_text()
    named = {
        name for row in re.findall(r"\| ([^|]+) \|\n", rules) for name in re.split(r", | … ", row)
    }
    programs = {program.name for program in listed("other_languages")}
    of_tests = {name for name in named if f"def {name}(" in tests}
    assert len(of_tests) > 3
    assert named - {"tests", "---"} <= programs | of_tests


def test_its_table_of_languages_is_the_registry() -> None:
    table = README.partition("## Languages")[2].partition("\n## ")[0]
    rows = [re.split(r" *\| *", row)[1:-1] for row in table.splitlines() if row.startswith("|")]
    for (name, compiled_by, run_by, may_fork), language in zip(
        rows[2:], LANGUAGES.values(), strict=True
    ):
        assert name == language.name
        assert compiled_by == (language.compile[0] if language.compile else "")
        assert run_by in (language.run[:1] or ("the zygotes",)) or language.compile
        assert may_fork == ("yes" if language.may_fork else "no")


def test_the_mandatory_layers_are_in_its_table() -> None:
    for layer in probe.MANDATORY:
        assert layer.lower() in README.lower()
