"""What a run leaves behind: every file that is promised, with the numbers that belong there."""

from __future__ import annotations

import itertools
import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.trainer_client.train.runs import (
    EVALUATE_EVERY,
    STEPS,
    checkpoints,
    rows_of,
    same_weights,
)
from trainer_client.train.run_folder import RunFolder

PNG = b"\x89PNG\r\n\x1a\n"

ALWAYS = {
    "step", "completions", "reward", "reward_std", "exact", "unscored", "unscored_by_code",
    "groups_without_spread", "entropy", "length", "length_max", "truncated", "tokens",
    "learning_rate", "grad_norm", "clipped_low", "clipped_high", "updated_tokens", "seconds",
}  # fmt: skip

MEASURED = {
    "step", "split", "problems", "greedy", "sampled", "pass_at_k", "k", "reward", "unscored",
    "examples",
}  # fmt: skip

SAMPLED = {
    "step", "prompt", "reference", "completion", "reward", "outcome", "error", "advantage",
    "finish_reason",
}  # fmt: skip

SHARES = ("reward", "exact", "groups_without_spread", "truncated", "clipped_low", "clipped_high")

SPLITS = ("held_out", "harder", "longer")


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from numbers(member)
    elif isinstance(value, int | float):
        yield value


def test_everything_promised_is_there_and_nothing_else(undisturbed: Path) -> None:
    assert sorted(path.name for path in undisturbed.iterdir()) == [
        "checkpoints", "cold_start.json", "config.toml", "curves.png", "evaluations.jsonl",
        "metrics.jsonl", "policy", "report.md", "samples.jsonl", "start", "tensorboard",
    ]  # fmt: skip
    assert checkpoints(undisturbed) == [f"step-{STEPS - 2:06d}", f"step-{STEPS:06d}"]


def test_every_step_has_a_row_of_finite_numbers(undisturbed: Path) -> None:
    rows = metrics(undisturbed)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        kl = {"kl"} if (row["step"] - 1) % EVALUATE_EVERY == 0 else set()
        assert row.keys() == ALWAYS | kl
        assert row["seconds"].keys() >= {"generate", "score", "update"}
        assert all(math.isfinite(number) for number in numbers(row))
        assert all(0 <= row[share] <= 1 for share in SHARES)
        assert row["length"] <= row["length_max"] <= 8
        assert row["updated_tokens"] <= row["tokens"] <= row["completions"] * row["length_max"]


def test_the_policy_was_trained(undisturbed: Path) -> None:
    assert any(row["updated_tokens"] and row["grad_norm"] > 0 for row in metrics(undisturbed))
    assert not same_weights(undisturbed / "start", undisturbed / "policy")
    assert same_weights(checkpoint_of(undisturbed, STEPS), undisturbed / "policy")


def checkpoint_of(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:06d}"


def test_every_split_is_measured_at_both_ends_and_one_of_them_in_between(
    undisturbed: Path,
) -> None:
    rows = rows_of(undisturbed / "evaluations.jsonl")
    between = range(EVALUATE_EVERY, STEPS, EVALUATE_EVERY)
    assert [(row["step"], row["split"]) for row in rows] == [
        *itertools.product([0], SPLITS),
        *itertools.product(between, ["held_out"]),
        *itertools.product([STEPS], SPLITS),
    ]
    for row in rows:
        assert row.keys() == MEASURED
        assert (row["problems"], row["k"], row["unscored"]) == (8, 2, 0)
        assert len(row["examples"]) == 8
        assert all(0 <= row[name] <= 1 for name in ("greedy", "sampled", "pass_at_k", "reward"))


def test_samples_show_completions_of_every_step(undisturbed: Path) -> None:
    rows = rows_of(undisturbed / "samples.jsonl")
    assert {row["step"] for row in rows} == set(range(1, STEPS + 1))
    for row in rows:
        assert row.keys() == SAMPLED
        assert row["error"] is None
        assert 0 <= row["reward"] <= 1
        assert row["finish_reason"] in ("stop", "length")


def test_the_policy_loads_with_nothing_but_transformers(undisturbed: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(undisturbed / "policy")
    tokenizer = AutoTokenizer.from_pretrained(undisturbed / "policy")
    chat = [{"role": "user", "content": "stressed"}]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert written.shape[1] > prompt["input_ids"].shape[1]


def test_the_curves_are_a_picture_and_the_events_hold_every_step(undisturbed: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert (undisturbed / "curves.png").read_bytes().startswith(PNG)
    events = EventAccumulator(str(undisturbed / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("reward")] == list(range(1, STEPS + 1))
    assert [event.step for event in events.Scalars("held_out/greedy")] == [0, 3, 6, STEPS]


def test_the_report_has_each_split_before_and_after(undisturbed: Path) -> None:
    report = (undisturbed / "report.md").read_text(encoding="utf-8")
    rows = rows_of(undisturbed / "evaluations.jsonl")
    assert report.startswith("# undisturbed\n")
    assert f"{STEPS} steps of GRPO" in report
    for split in SPLITS:
        first, *_, last = [row for row in rows if row["split"] == split]
        cells = [f"{row[name]:.1%}" for name in ("greedy", "sampled") for row in (first, last)]
        assert f"| {split} | 8 | {' | '.join(cells)} |" in report
    assert "could not be scored" not in report


def test_the_configuration_is_saved_whole(undisturbed: Path, service_url: str) -> None:
    saved = tomllib.loads(RunFolder(undisturbed).config.read_text())
    assert saved["reward"]["url"] == service_url
    assert saved["grpo"]["steps"] == STEPS
    assert saved["threads"] == 1
