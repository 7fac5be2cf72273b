"""What the service could not score teaches nothing, and too much of it ends the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer_client.scripted_server import Act, ScriptedServer, failed
from tests.trainer_client.train.runs import (
    STEPS,
    assay_trainer,
    assert_same_run,
    checkpoints,
    forward,
    options,
    rows_of,
    same_weights,
)
from trainer_client.train.algorithms.advantages import advantages

pytestmark = pytest.mark.slow

RUN_STOPPED_ITSELF = 4

GROUP = 4

COMPLETIONS = 16

BY_CODE = {"internal": 4, "timeout": 2}
"""How `failing` leaves the completions of a step unscored."""


def failing(scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of every four is unscored, and the second of every eight."""
    return [
        failed(score, "internal", retryable=False)
        if index % 4 == 0
        else failed(score, "timeout", retryable=False)
        if index % 8 == 1
        else score
        for index, score in enumerate(scores)
    ]


def failing_all(scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [failed(score, "internal", retryable=False) for score in scores]


def result_with(act: Act, folder: Path, *settings: str) -> Any:
    with ScriptedServer(lambda _: act) as server:
        url = f"reward.url={server.url}"
        return assay_trainer("grpo", *options(url, *settings), "--output", str(folder))


@pytest.fixture(scope="module")
def tolerated(service_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that does not mind a part of its completions being unscored."""
    folder = tmp_path_factory.mktemp("unscored") / "tolerated"
    # Two prompts a step, so that samples.jsonl holds every completion.
    settings = ("reward.max_unscored_share=0.5", "grpo.prompts_per_step=2")
    result = result_with(forward(service_url, failing), folder, *settings)
    assert result.exit_code == 0, result.stderr
    return folder


def test_metrics_count_what_is_unscored_by_its_code(tolerated: Path) -> None:
    rows, samples = rows_of(tolerated / "metrics.jsonl"), rows_of(tolerated / "samples.jsonl")
    assert len(rows) == STEPS
    for row in rows:
        assert row["unscored_by_code"] == {"internal": 2, "timeout": 1}
        assert row["unscored"] == 3
        rewards = [s["reward"] for s in samples if s["step"] == row["step"]]
        known = [reward for reward in rewards if reward is not None]
        assert len(rewards) == row["completions"] == 2 * GROUP
        assert len(known) == len(rewards) - row["unscored"]
        assert row["reward"] == pytest.approx(sum(known) / len(known))


def test_what_is_unscored_has_no_advantage_and_does_not_sway_its_neighbours(
    tolerated: Path,
) -> None:
    samples = rows_of(tolerated / "samples.jsonl")
    unscored = [sample for sample in samples if sample["error"]]
    assert len(unscored) == 3 * STEPS
    for sample in unscored:
        assert (sample["reward"], sample["outcome"], sample["advantage"]) == (None, None, 0)
    groups = [samples[start : start + GROUP] for start in range(0, len(samples), GROUP)]
    assert any(sample["advantage"] for sample in samples)
    for group in groups:
        scored = [sample for sample in group if not sample["error"]]
        assert [sample["advantage"] for sample in scored] == pytest.approx(
            advantages([sample["reward"] for sample in scored], "grpo")
        )


def test_the_report_says_what_was_left_out(tolerated: Path) -> None:
    report = (tolerated / "report.md").read_text(encoding="utf-8")
    assert "Of 64 completions, 24 could not be scored (16 internal, 8 timeout)." in report


def test_a_policy_of_which_nothing_was_scored_does_not_change(
    service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "nothing"
    act = forward(service_url, failing_all)
    assert result_with(act, folder, "reward.max_unscored_share=1").exit_code == 0
    assert same_weights(folder / "policy", folder / "start")
    for row in rows_of(folder / "metrics.jsonl"):
        assert (row["reward"], row["exact"], row["updated_tokens"]) == (None, None, 0)
        assert row["unscored"] == row["completions"] == COMPLETIONS


def test_too_many_unscored_end_the_run_which_can_go_on_once_they_are_scored(
    service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    result = result_with(
        forward(service_url, failing), folder,
        "reward.max_unscored_share=0.2", "reward.unscored_window=5",
    )  # fmt: skip
    assert result.exit_code == RUN_STOPPED_ITSELF
    # Six of sixteen in each of three steps of five: the first share over a fifth.
    assert "22% of the completions of the last 5 steps could not be scored" in result.stderr
    assert "(allowed: 20%). In the last step: 4 internal, 2 timeout" in result.stderr
    assert "not today" in result.stderr
    assert f"--resume {folder}" in result.stderr
    assert checkpoints(folder)[-1] == "step-000002"
    assert [row["unscored_by_code"] for row in rows_of(folder / "metrics.jsonl")] == [BY_CODE] * 2

    assert assay_trainer("grpo", "--resume", str(folder), "--url", service_url).exit_code == 0
    rows = rows_of(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["unscored"] for row in rows] == [6, 6] + [0] * (STEPS - 2)


def test_a_run_that_tolerates_nothing_unscored_ends_only_where_something_is(
    undisturbed: Path, service_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "strict"
    strict = "reward.max_unscored_share=0"
    assert result_with(forward(service_url), folder, strict).exit_code == 0
    assert_same_run(folder, undisturbed)
