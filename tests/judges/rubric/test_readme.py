"""What the README says is covered has its test."""

from __future__ import annotations

import json
import re
from pathlib import Path

from judges.rubric.rubric import Rubric

ROOT = Path(__file__).parents[3]
README = (ROOT / "judges" / "rubric" / "README.md").read_text()
SOURCES = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


def test_every_line_of_covered_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \|$", README.partition("## Covered")[2], re.MULTILINE)[2:]
    assert len(rows) >= 10
    for threat, tests in rows:
        names = re.findall(r"`(test_\w+)`", tests)
        assert names, threat
        for name in names:
            assert f"def {name}(" in SOURCES, name


def test_the_example_is_a_rubric() -> None:
    spec = json.loads(README.partition("```json\n")[2].partition("```")[0])
    assert len(Rubric.model_validate(spec["rubric"]).criteria) == 5
