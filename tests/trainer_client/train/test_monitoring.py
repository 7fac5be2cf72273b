"""A run watched by gold: what it reports, when it stops, and that it learns nothing from it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import served
from tests.trainer_client.scripted_server import Act, Received, ScriptedServer, failed
from tests.trainer_client.test_client_with_app import with_app
from tests.trainer_client.train.runs import (
    STEPS,
    Gate,
    assay_trainer,
    assert_same_run,
    checkpoints,
    forward,
    options,
    rows_of,
    same_weights,
    trainer,
)
from trainer_client import AsyncRewardClient, RequestRefused, Score
from trainer_client.train.config import ConfigError, load_config
from trainer_client.train.engines.sampling import Completion
from trainer_client.train.monitoring import flagged, report_of, spread
from trainer_client.train.rollouts import Group, Rollout
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import ScoreError

pytestmark = pytest.mark.slow

RUN_STOPPED_ITSELF = 4

WATCHED = ("monitor.gold=string_reversal", "monitor.rollouts=6")

WATCH = {"gold", "gold_unscored", "monitor"}

Scores = list[dict[str, Any]]


# --- what gold sees, and what is reported -----------------------------------------------


def rollout(reward: float | None, tokens: int = 2, **details: Any) -> Rollout:
    error = None if reward is not None else ScoreError("internal", "", False)
    completion = Completion(0, [1] * tokens, [-1.0] * tokens, "stop")
    made = Rollout(completion, "x", Score(id="", reward=reward, error=error, details=details))
    made.reference_log_probs = [-1.0] * tokens
    return made


def group(*rewards: float | None) -> Group:
    return Group(Problem("p", "r"), [1], [rollout(reward) for reward in rewards])


@pytest.mark.parametrize("count", [1, 3, 5, 6, 100])
def test_gold_sees_as_many_prompts_as_it_can_and_only_what_is_scored(count: int) -> None:
    groups = [group(1, 2, 3), group(4, None, 5), group(None, None, None), group(6, 7, 8)]
    chosen = spread(groups, count, random.Random(0))
    assert len(chosen) == min(count, 8)
    assert len({id(each) for _, each in chosen}) == len(chosen)
    assert all(each.reward is not None and each in groups[at].rollouts for at, each in chosen)
    assert {at for at, _ in chosen[:3]} == ({0, 1, 3} if count >= 3 else {chosen[0][0]})


def test_the_sample_depends_on_its_draws_alone() -> None:
    groups = [group(1, 2, 3), group(4, 5, 6)]
    first, again, other = (spread(groups, 4, random.Random(seed)) for seed in (0, 0, 1))
    assert [id(each) for _, each in first] == [id(each) for _, each in again]
    assert [id(each) for _, each in first] != [id(each) for _, each in other]


def test_a_report_is_of_means_over_the_step() -> None:
    groups = [group(1.0, 3.0), group(None, 5.0)]
    groups[0].rollouts[0].reference_log_probs = [-2.0, -1.0]
    report = report_of(groups, [0.25, 0.75], 7)
    assert report == {
        "step": 7, "kl": pytest.approx(1 / 4), "proxy": [3.0],
        "gold": [0.25, 0.75], "length": 2.0, "flagged": None,
    }  # fmt: skip


def test_a_flag_counts_where_there_are_guards() -> None:
    found = [rollout(1, flags=["echo"]), rollout(1, flags=[]), rollout(1), rollout(None)]
    assert flagged(each.score for each in found) == 0.5
    assert flagged([rollout(1).score]) is None


def test_a_watch_needs_two_prompts_a_step() -> None:
    with pytest.raises(ConfigError, match=r"monitor.gold needs grpo.prompts_per_step"):
        load_config(None, [*WATCHED, "grpo.prompts_per_step=1"])


# --- the client -------------------------------------------------------------------------


def report(step: int, gold: Sequence[float]) -> dict[str, Any]:
    return {"step": step, "kl": step / 2, "proxy": [float(step)], "gold": gold}


def test_the_client_tells_the_monitor_and_hears_its_verdict() -> None:
    async def use(client: AsyncRewardClient) -> Any:
        golds = [0.0, 0.3, 0.5, 0.6, 0.5, 0.4]
        return [
            await client.report("a b", report(step, [gold - 0.01, gold, gold + 0.01]))
            for step, gold in enumerate(golds)
        ]

    *before, last = with_app(use)
    assert [verdict.alarm for verdict in before] == [False] * 5
    assert [verdict.best_step for verdict in before] == [0, 1, 2, 3, 3]
    assert (last.alarm, last.best_step, last.observations) == (True, 3, 6)
    assert 1 < last.turnover_kl < 2
    assert "since step 3 the proxy rose" in last.reason


def test_a_report_that_says_nothing_is_refused() -> None:
    async def use(client: AsyncRewardClient) -> None:
        await client.report("r", report(0, [1.0]))

    with pytest.raises(RequestRefused, match="422"):
        with_app(use)


# --- whole runs -------------------------------------------------------------------------


def is_gold(request: Received) -> bool:
    return bool(request.document.get("scorer") == "string_reversal")


def watched_run(url: str, folder: Path, *settings: str) -> Any:
    return assay_trainer(
        "grpo", *options(f"reward.url={url}", *WATCHED, *settings), "--output", str(folder)
    )


@pytest.fixture(scope="module")
def watched(service_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched") / "run"
    assert watched_run(service_url, folder).exit_code == 0
    return folder


def without_watch(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in WATCH | {"kl"}} for row in rows]


def test_nothing_is_learned_from_gold(watched: Path, undisturbed: Path) -> None:
    rows, others = (rows_of(folder / "metrics.jsonl") for folder in (watched, undisturbed))
    assert without_watch(rows) == without_watch(others)
    assert same_weights(watched / "policy", undisturbed / "policy")


def test_every_step_tells_what_was_reported_and_what_came_back(watched: Path) -> None:
    rows = rows_of(watched / "metrics.jsonl")
    for row in rows:
        sent = row["monitor"]["report"]
        assert sent["step"] == row["step"]
        assert sent["proxy"] == [pytest.approx(row["reward"])]
        assert row["gold"] == pytest.approx(sum(sent["gold"]) / len(sent["gold"]))
        assert (row["gold_unscored"], len(sent["gold"])) == (0, 4), "one mean a prompt"
        assert row["monitor"]["alarm"] is False
    assert rows[0]["monitor"]["report"]["kl"] == pytest.approx(0, abs=1e-6)
    text = (watched / "report.md").read_text()
    assert "No alarm: gold has not turned." in text
    assert "`string_reversal`, scored up to 6 completions" in text


def test_a_look_now_and_then_is_enough(service_url: str, tmp_path: Path) -> None:
    assert watched_run(service_url, tmp_path / "run", "monitor.every=3").exit_code == 0
    rows = rows_of(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows if "monitor" in row] == [1, 4, 7]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_watched_run_resumed_is_the_very_same(
    watched: Path, service_url: str, tmp_path: Path, restarted: bool
) -> None:
    """Also where the service has lost its memory, or knows a step that is made again."""
    folder = tmp_path / "run"
    gate = Gate(service_url, 5)
    with ScriptedServer(gate) as server:
        url = f"reward.url={server.url}"
        process = trainer("grpo", *options(url, *WATCHED), "--output", str(folder))
        try:
            assert gate.reached.wait(60), process.poll()
        finally:
            process.kill()
            process.communicate()
    assert len(rows_of(folder / "metrics.jsonl")) == 5
    with served("--log-level", "warning") as second:
        url = second.url if restarted else service_url
        assert assay_trainer("grpo", "--resume", str(folder), "--url", url).exit_code == 0
    assert_same_run(folder, watched)


def unscored(scores: Scores) -> Scores:
    return [failed(score, "judge_failed", retryable=False) for score in scores]


def all_but_one(scores: Scores) -> Scores:
    return [*unscored(scores[:-1]), scores[-1]]


@pytest.mark.parametrize("change", [unscored, all_but_one])
def test_a_gold_that_fails_is_left_out_and_harms_nothing(
    service_url: str, undisturbed: Path, tmp_path: Path, change: Callable[[Scores], Scores]
) -> None:
    def act(request: Received) -> Act:
        return forward(
            service_url,
            change
            if is_gold(request)
            and "run" in request.document
            and request.document["run"].endswith("-gold")
            else None,
        )

    folder = tmp_path / "run"
    with ScriptedServer(act) as server:
        assert watched_run(server.url, folder).exit_code == 0
    rows = rows_of(folder / "metrics.jsonl")
    missing = {unscored: 6, all_but_one: 5}[change]
    assert [row["gold_unscored"] for row in rows] == [missing] * STEPS
    assert not any("monitor" in row for row in rows)
    assert same_weights(folder / "policy", undisturbed / "policy")
    text = (folder / "report.md").read_text()
    assert "scored too little to tell" in text
    assert f"{missing * STEPS} of the completions could not be scored by gold" in text


class Turning:
    """A service whose proxy rises step by step, while gold turns after the third."""

    GOLD = (0.1, 0.3, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

    def __init__(self, url: str) -> None:
        self.url = url
        self.step = 0

    def __call__(self, request: Received) -> Act:
        run = request.document.get("run", "")
        if run.endswith("-gold"):
            self.step += 1
            return forward(self.url, self.gold)
        is_training = "group" in request.document.get("samples", [{}])[0]
        return forward(self.url, self.proxy if is_training else None)

    def gold(self, scores: Scores) -> Scores:
        level = self.GOLD[self.step - 1]
        return [s | {"reward": level + i / 1000} for i, s in enumerate(scores)]

    def proxy(self, scores: Scores) -> Scores:
        return [s | {"reward": self.step + (s["reward"] or 0) / 100} for s in scores]


@pytest.fixture(scope="module")
def stopped(service_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("stopped") / "turning"
    with ScriptedServer(Turning(service_url)) as server:
        result = watched_run(server.url, folder, "grpo.keep_checkpoints=1")
    return folder, result


def test_an_alarm_ends_the_run_with_the_policy_from_where_gold_was_best(
    stopped: tuple[Path, Any],
) -> None:
    folder, result = stopped
    assert result.exit_code == RUN_STOPPED_ITSELF
    assert "over-optimised: since step 3 the proxy rose" in result.stderr
    assert re.search(r"while gold fell from 0\.60\d+ to 0\.30\d+\.", result.stderr)
    assert f"--resume {folder} --set monitor.stop=false" in result.stderr
    rows = rows_of(folder / "metrics.jsonl")
    assert [row["monitor"]["alarm"] for row in rows] == [False] * 5 + [True]
    # The third step looked at the policy after two, whose checkpoint is kept beside the last.
    assert checkpoints(folder) == ["step-000002", "step-000006"]
    assert same_weights(folder / "policy", folder / "checkpoints" / "step-000002")


def test_the_report_tells_of_the_alarm(stopped: tuple[Path, Any]) -> None:
    folder, _ = stopped
    text = " ".join((folder / "report.md").read_text().split())
    assert "It was best at step 3: gold 0.60" in text
    assert "**Alarm**: since step 3 the proxy rose" in text
    assert "`policy/` is the checkpoint from about that step" in text
    measured = rows_of(folder / "evaluations.jsonl")[-3:]
    assert [(row["step"], row["split"]) for row in measured] == [
        (2, "held_out"), (2, "harder"), (2, "longer"),
    ]  # fmt: skip


def test_a_stopped_run_resumed_stops_again_unless_told_to_go_on(
    stopped: tuple[Path, Any], service_url: str
) -> None:
    folder, _ = stopped
    again = assay_trainer("grpo", "--resume", str(folder), "--url", service_url)
    assert again.exit_code == RUN_STOPPED_ITSELF
    assert len(rows_of(folder / "metrics.jsonl")) == 6, "not one step more"
    on = ("--set", "monitor.stop=false")
    going_on = assay_trainer("grpo", "--resume", str(folder), "--url", service_url, *on)
    assert going_on.exit_code == 0
    assert "going on all the same" in going_on.stderr
    rows = rows_of(folder / "metrics.jsonl")
    assert len(rows) == STEPS
    assert all(row["monitor"]["alarm"] for row in rows[5:]), "an alarm stays"
    assert same_weights(folder / "policy", folder / "checkpoints" / f"step-{STEPS:06d}")
