"""`assay score` and `assay scorers`, as a shell user meets them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from app.cli.score import parts
from app.http import log
from tests.app.conftest import reversal
from tests.verifiers.test_sample import nested
from verifiers.base import Sample

pytestmark = pytest.mark.slow


def assay(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)


def jsonl(*samples: dict[str, Any]) -> str:
    return "".join(json.dumps(sample) + "\n" for sample in samples)


def test_the_version_is_the_distributions() -> None:
    assert assay("--version").stdout.strip() == version("assay-server")


def test_a_file_is_scored_in_order(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(jsonl(reversal("cba"), reversal("x", id="mine")) + "\n")
    done = assay("score", str(source), "--scorer", "string_reversal", "--output", str(target))
    assert done.returncode == 0, done.stderr
    scores = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(score["id"], score["reward"]) for score in scores] == [("0", 1.0), ("mine", 0.0)]
    assert "correct" in done.stderr
    assert "50.0%" in done.stderr


def test_standard_input_and_output_are_the_default() -> None:
    spec = json.dumps({"type": "string_reversal", "unit": "word"})
    done = assay("score", "-", "--scorer", spec, given=jsonl(reversal("b a", "a b")))
    assert json.loads(done.stdout)["reward"] == 1.0


def test_samples_may_name_their_own_scorers() -> None:
    done = assay("score", "-", given=jsonl(reversal("cba", scorer="string_reversal")))
    assert json.loads(done.stdout)["reward"] == 1.0


def test_a_sample_that_could_not_be_scored_makes_the_exit_status_1() -> None:
    given = jsonl(reversal("cba"), {"completion": "cba"})
    done = assay("score", "-", "--scorer", "string_reversal", given=given)
    assert done.returncode == 1
    assert [json.loads(line)["reward"] for line in done.stdout.splitlines()] == [1.0, None]
    assert "missing_field" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "given", "complaint"),
    [
        (["-", "--scorer", "nothing"], jsonl(reversal("a")), "known: "),
        (["-"], jsonl(reversal("a")), "pass --scorer"),
        (["-", "--scorer", "{"], jsonl(reversal("a")), "--scorer is not JSON"),
        (["-", "--scorer", '{"type": "string_reversal", "u": 1}'], jsonl(reversal("a")), "u: "),
        (["-", "--scorer", "string_reversal"], "{}\n", "line 1.completion"),
        (["-", "--scorer", "string_reversal"], "not json\n", "line 1"),
        (["no-such-file", "--scorer", "string_reversal"], "", "there is no file"),
        (["-", "--config", "no-such-file"], jsonl(reversal("a")), "there is no settings file"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(
    arguments: list[str], given: str, complaint: str
) -> None:
    done = assay("score", *arguments, given=given)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_the_samples_of_a_group_are_scored_together() -> None:
    answers = [f"\\boxed{{{1 if number % 3 else 2}}}" for number in range(600)]
    samples = [{"completion": answer, "group": "g"} for answer in answers]
    scores = assay("score", "-", "--scorer", "majority", given=jsonl(*samples)).stdout.splitlines()
    assert [json.loads(score)["reward"] for score in scores] == [
        float(number % 3 > 0) for number in range(600)
    ]
    assert {json.loads(score)["details"]["votes"] for score in scores} == {200, 400}


LONE = "\ud800"


def test_what_is_wrong_with_one_line_fails_that_line_alone() -> None:
    faults = [
        ({"completion": 5}, "unreadable", "completion"),
        ({"completion": f"cba{LONE}"}, "unreadable", "completion"),
        ({"reference": LONE}, "invalid_reference", "reference"),
        ({"reference": nested(140)}, "invalid_reference", "reference"),
        ({"scorer": "nope"}, "unknown_scorer", "scorer"),
        ({"scorer": {"type": "math", "x": 1}}, "invalid_scorer", "scorer.x"),
        ({"scorer": 5}, "invalid_scorer", "scorer"),
        ({"id": 5}, "unreadable", "id"),
    ]
    samples = [reversal("cba"), *({**reversal("cba"), **fault} for fault, _, _ in faults)]
    done = assay("score", "-", "--scorer", "string_reversal", given=jsonl(*samples))
    assert done.returncode == 1, done.stderr
    first, *others = map(json.loads, done.stdout.splitlines())
    assert first["reward"] == 1.0
    assert [score["id"] for score in others] == [str(n + 1) for n in range(len(faults))]
    for score, (_, code, field) in zip(others, faults, strict=True):
        assert (score["reward"], score["error"]["code"]) == (None, code)
        assert score["error"]["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"completion": NaN}', "line 2: not JSON"),
        ('{"completion": "\\ud800", "metadata": {"x": NaN}}', "line 2: not JSON"),
        ('{"completion": "a", "\\ud800": 1}', "line 2: not JSON"),
        ('"\\ud800"', "line 2: not JSON"),
        ('{"completion": "a", "scorers": 1}', "line 2.scorers: "),
        ('{"completion": 5, "scorers": 1}', "line 2"),
        ('{"reference": "\\ud800"}', "line 2.completion: "),
        ("5", "line 2: "),
        ('{"completion": 5, "id": "0"}', "line 2.id: another sample has this id"),
    ],
)
def test_what_is_wrong_with_the_file_names_the_line(line: str, complaint: str) -> None:
    given = f"{jsonl(reversal('cba'))}{line}\n"
    done = assay("score", "-", "--scorer", "string_reversal", given=given)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("groups", "sizes"),
    [
        ([None] * 5, [2, 2, 1]),
        (["a"] * 5, [5]),
        (["a", "b", "b", "b", None], [4, 1]),
        (["a", "a", "b", "b", "c"], [2, 2, 1]),
    ],
)
def test_parts_are_cut_between_groups(groups: list[str | None], sizes: list[int]) -> None:
    samples = [Sample(completion="", group=group) for group in groups]
    found = list(parts(samples, 2))
    assert [part.stop - part.start for part in found] == sizes
    assert [sample for part in found for sample in samples[part]] == samples


def test_scorers_are_listed_and_shown() -> None:
    listed = assay("scorers")
    assert "string_reversal" in listed.stdout
    shown = json.loads(assay("scorers", "string_reversal").stdout)
    assert shown["example"]["scorer"]["type"] == "string_reversal"
    unknown = assay("scorers", "nothing")
    assert unknown.returncode == 2
    assert "known: " in unknown.stderr


def test_help_names_every_command() -> None:
    for command in ("serve", "score", "scorers"):
        assert command in assay("--help").stdout
        assert assay(command, "--help").returncode == 0


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "httpcore.connection"])
def test_no_log_level_shows_what_endpoints_are_told_or_say(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for restored in ("httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, restored)
    caplog.set_level(logging.DEBUG)
    log.configure("debug")
    assert logging.getLogger("assay.access").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
