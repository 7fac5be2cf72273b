"""Whatever is registered is in the reference, and whatever is in the reference exists.

Each list is compared with another source than the one that it is written from, as far as there is
one: the service's routes, the help of the programs, the sources themselves.
"""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from app.main import create_app
from app.settings import Settings
from docs import reference
from tests.app.conftest import in_process
from tests.docs.pages import DOCS
from verifiers.score import Outcome

pytestmark = pytest.mark.slow

ROOT = DOCS.parent
SOURCES = [
    path for folder in ("app", "judges", "verifiers") for path in (ROOT / folder).rglob("*.py")
]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


def first_cells(page: str) -> list[str]:
    """The first column of all tables, without headings and back quotes."""
    return re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)


def test_scorers(pages: dict[str, str]) -> None:
    with in_process() as client:
        served = {scorer["name"] for scorer in client.get("/v1/scorers").json()["scorers"]}
    assert set(re.findall(r"^## (\w+)$", pages["scorers"], re.M)) == served | {"reward_model"}


def test_a_scorer_tells_parameters_details_outcomes_version_and_example(
    pages: dict[str, str],
) -> None:
    for name, of in reference.scorer_types().items():
        section = pages["scorers"].partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        parameters, _, rest = section.partition(f"### Details of {name}")
        fields = of.parameters_type.model_fields.items()
        expected = {info.alias or field for field, info in fields}
        listed = first_cells(parameters.partition(f"### Parameters of {name}")[2])
        assert expected <= set(listed), name
        details = set(of.details_type.__annotations__ if of.details_type else ())
        assert details < set(first_cells(rest)), name
        assert f"version {of.version}," in section
        assert '"scorer"' in rest.partition("### Example")[2]
        outcomes = re.search(r"^- outcomes: (.+)$", section, re.MULTILINE)
        assert outcomes is not None
        assert set(re.findall(r"`(\w+)`", outcomes[1])) <= set(get_args(Outcome))


def test_settings(pages: dict[str, str]) -> None:
    own = pages["settings"].partition("\n## ")[0]
    assert first_cells(own) == list(Settings.model_fields)
    example = (ROOT / "assay.example.toml").read_text()
    assert [name for name in Settings.model_fields if name not in example] == []


def test_codes_of_errors(pages: dict[str, str]) -> None:
    """By what the sources call a code."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    rows = re.findall(r"\bRow\(\s*\w+,\s*\"(\w+)\"", text)
    codes = re.findall(r"^    code(?:: ClassVar\[str\])? = \"(\w+)\"$", text, re.MULTILINE)
    listed = re.findall(r"\| `(\w+)` \|", pages["errors"])
    assert set(listed) == {*rows, *codes}
    assert {"invalid_request", "deadline_exceeded"} <= set(listed)


def test_metrics(pages: dict[str, str]) -> None:
    with in_process() as client:
        served = re.findall(r"^# TYPE (assay_\w+)", client.get("/metrics").text, re.MULTILINE)
    shown = [name for name in served if not name.endswith("_created")]
    assert sorted(first_cells(pages["metrics"])) == sorted(shown)


@cache
def helped(module: str, *command: str) -> set[str]:
    """The commands that `--help` lists, and those below them."""
    asked = [sys.executable, "-m", module, *command, "--help"]
    environment = {"COLUMNS": "200", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PATH": ""}
    told = subprocess.run(asked, capture_output=True, text=True, env=environment).stdout
    listed = told.partition("Commands")[2]
    names = re.findall(r"^\W{0,3}([a-z][a-z-]+)  ", listed, re.MULTILINE)
    below = {inner for name in names for inner in helped(module, *command, name)}
    return {" ".join((*command, name)) for name in names} | below


@pytest.mark.parametrize(
    ("program", "module"),
    [("assay", "app.cli"), ("assay-trainer", "trainer_client.train.cli")],
)
def test_commands(pages: dict[str, str], program: str, module: str) -> None:
    listed = re.findall(rf"^#+ `{program} ([\w -]+)`$", pages["command-line"], re.MULTILINE)
    assert set(listed) == helped(module)
    assert len(listed) > 4


def test_protocols(pages: dict[str, str]) -> None:
    switches = first_cells(pages["protocols"])
    listed = set(re.findall(r"`(/[^`]*)`", pages["protocols"]))
    assert not any(path.startswith("/compat") for path in routes(dict.fromkeys(switches, False)))
    assert listed <= routes(dict.fromkeys(switches, True))


def routes(switches: dict[str, bool]) -> set[str]:
    """Of the service with these protocols; a switch that there is not is refused."""
    settings = Settings.model_validate({"protocols": switches, "judge_store": ""})
    return set(create_app(settings).openapi()["paths"])


def test_outcomes_are_explained() -> None:
    page = (DOCS / "how-to" / "details.md").read_text()
    explained = re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE)
    assert {name for cell in explained for name in re.findall(r"`(\w+)`", cell)} >= set(
        get_args(Outcome)
    )


def test_keys_that_how_tos_name_exist(pages: dict[str, str]) -> None:
    page = (DOCS / "how-to" / "details.md").read_text().partition("| question | key |")[2]
    named = re.findall(
        r"`(\w+)`", "".join(line.split("|")[2] for line in page.splitlines() if "|" in line)
    )
    assert set(named) <= set(first_cells(pages["scorers"]))


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*(?:src|href)=[\"']?([^\"' >]+)", html)
        assert [address for address in loaded if "//" in address] == [], page
