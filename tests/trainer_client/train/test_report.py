"""The report: hostile text stays in its cell, and the honest words are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer_client.train.config import Config, load_config, save_config
from trainer_client.train.report import code, percent, seconds_by_phase, write_report
from trainer_client.train.run_folder import Row, RunFolder, append


def step_row(step: int, **changes: Any) -> Row:
    usual: Row = {
        "step": step, "completions": 8, "reward": 0.5, "exact": 0.5, "unscored": 0,
        "unscored_by_code": {}, "groups_without_spread": 0.25, "entropy": 0.1, "length": 9.0,
        "tokens": 72, "seconds": {"generate": 1.0, "score": 0.5, "update": 0.5},
    }  # fmt: skip
    return usual | changes


def evaluation_row(step: int, completion: str, greedy: float | None) -> Row:
    example = {"prompt": "a|b`c", "completion": completion, "outcome": "correct"}
    return {
        "step": step, "split": "held_out", "problems": 8, "greedy": greedy, "sampled": greedy,
        "pass_at_k": greedy, "k": 4, "reward": greedy, "unscored": 0, "examples": [example],
        "seconds": {"evaluate": 1.0},
    }  # fmt: skip


def reported(folder: Path, config: Config, steps: list[Row], evaluations: list[Row]) -> str:
    run = RunFolder(folder)
    save_config(config, run.config)
    append(run.metrics, steps)
    append(run.evaluations, evaluations)
    write_report(run)
    assert run.curves.read_bytes().startswith(b"\x89PNG")
    return run.report.read_text()


def test_the_report_gives_the_figures_before_and_after(tmp_path: Path) -> None:
    evaluations = [evaluation_row(0, "x", 0.25), evaluation_row(2, "y", 1.0)]
    text = reported(tmp_path, Config(), [step_row(1), step_row(2)], evaluations)
    assert "25.0%" in text
    assert "100.0%" in text
    assert "generate: 2.0 s, 50.0%" in text


def test_the_report_of_a_demo_says_what_it_shows_and_what_not(tmp_path: Path) -> None:
    evaluations = [evaluation_row(0, "x", 0.2), evaluation_row(1, "y", 0.98)]
    flat = words_of(reported(tmp_path, Config(), [step_row(1)], evaluations))
    assert "careless on purpose" in flat
    assert "from 20.0% to 98.0% of the held-out texts" in flat
    assert "beats its demonstrators with only a verifier" in flat
    assert "supervised training on clean demonstrations" in flat


CLEAN = [f"sft.{name}=0" for name in ("careless", "careless_long", "typos")]
CLAIM = "beats its demonstrators"


@pytest.mark.parametrize(
    ("overrides", "before", "after", "said"),
    [
        (["sft.steps=20"], 0.0, 0.0, "hardly anything to reinforce"),
        ([], 0.3, 0.32, "did not improve on the start"),
        ([], 0.1, 0.3, "no better than its demonstrators, up to 50.0%"),
        (CLEAN, 0.3, 0.99, "no claim against supervised training"),
        (CLEAN, 0.0, 0.01, "did not improve on the start"),
    ],
)
def test_the_report_claims_only_what_the_figures_bear_out(
    overrides: list[str], before: float, after: float, said: str, tmp_path: Path
) -> None:
    evaluations = [evaluation_row(0, "x", before), evaluation_row(1, "y", after)]
    config = load_config(None, overrides)
    flat = words_of(reported(tmp_path, config, [step_row(1)], evaluations))
    assert said in flat
    assert CLAIM not in flat
    assert "mechanism" not in flat
    assert ("careless" in flat) == (overrides is not CLEAN)


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_the_report_of_a_model_that_had_no_cold_start_claims_nothing_about_one(
    tmp_path: Path,
) -> None:
    config = load_config(None, ["policy.name=some/model"])
    text = reported(tmp_path, config, [step_row(1)], [evaluation_row(0, "x", 0.2)])
    assert "careless" not in text


@pytest.mark.slow
def test_unscored_completions_are_reported_by_their_codes(tmp_path: Path) -> None:
    steps = [step_row(1, unscored=3, unscored_by_code={"judge_failed": 2, "internal": 1})]
    text = reported(tmp_path, Config(), steps, [evaluation_row(0, "x", None)])
    assert "3 could not be scored (2 judge_failed, 1 internal)" in text


HOSTILE = ["a|b", "`x`", "a\nb", "| --- |", "``` code", "<script>alert(1)</script>"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_completion_cannot_leave_its_cell(text: str) -> None:
    cell = code(text)
    assert cell.startswith("`")
    assert cell.endswith("`")
    assert not set("`|\n") & set(cell[1:-1])


def test_a_chat_prompt_is_shown_as_json() -> None:
    chat = [{"role": "user", "content": "hi"}]
    assert json.loads(code(chat)[1:-1]) == chat


def test_a_share_of_nothing_is_not_zero() -> None:
    assert percent(None) != percent(0.0) == "0.0%"


def test_the_seconds_of_all_steps_add_up() -> None:
    assert seconds_by_phase([step_row(1), step_row(2)])["generate"] == 2.0
