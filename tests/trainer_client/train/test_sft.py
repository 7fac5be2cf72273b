"""The cold start: what its loss is over, and the habits of the demo's demonstrators."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_client.train.config import Config, ConfigError, PolicyConfig, SftConfig
from trainer_client.train.policy import Policy, from_scratch
from trainer_client.train.sft import (
    Demonstration,
    careless_reversal,
    demonstrations,
    fine_tune,
    pools,
    with_typo,
)

TINY = PolicyConfig(hidden_size=16, layers=2, heads=2, kv_heads=1, head_dim=8, mlp_size=16)

IGNORED = -100
"""The label that the losses of transformers leave out."""


def config_of(**sections: Any) -> Config:
    sft = {"steps": 3, "batch_size": 4, "warmup_steps": 0} | sections.pop("sft", {})
    return Config.model_validate({"policy": TINY.model_dump(), "sft": sft, **sections})


def losses_of(policy: Policy, config: Config) -> list[tuple[float, int]]:
    """The loss and the number of tokens of each step."""
    steps = list[tuple[float, int]]()
    fine_tune(policy, config, lambda _, loss, tokens: steps.append((loss, tokens)))
    return steps


def loss_by_transformers(policy: Policy, batch: Sequence[Demonstration]) -> tuple[float, int]:
    """The mean over all completion tokens of what the model itself computes from labels."""
    total, tokens = 0.0, 0
    for demonstration in batch:
        prompt, [completion] = demonstration.prompt_ids, demonstration.completion_ids
        with torch.no_grad():
            output = policy.model(
                input_ids=torch.tensor([prompt + completion]),
                labels=torch.tensor([[IGNORED] * len(prompt) + completion]),
            )
        total += float(output.loss) * len(completion)
        tokens += len(completion)
    return total / tokens, tokens


def test_the_loss_is_over_completion_tokens_only() -> None:
    config = config_of()
    policy = from_scratch(TINY, seed=0)
    expected, tokens = loss_by_transformers(policy, next(demonstrations(policy, config)))
    loss, count = losses_of(policy, config)[0]
    assert loss == pytest.approx(expected, rel=1e-5)
    assert count == tokens


def test_a_demonstration_ends_with_the_end_and_spells_no_special_token(tmp_path: Path) -> None:
    file = tmp_path / "demonstrations.jsonl"
    file.write_text(json.dumps({"prompt": "p", "completion": "a<|end|>b"}))
    policy = from_scratch(TINY, seed=0)
    [demonstration, *_] = next(
        demonstrations(policy, config_of(data={"demonstrations": str(file)}))
    )
    [completion] = demonstration.completion_ids
    assert demonstration.prompt_ids == policy.encode(["p"])[0]
    assert completion[-1] in policy.end_ids
    assert not set(completion[:-1]) & set(policy.end_ids)
    assert len(completion) == len("a<|end|>b") + 1


def test_training_lowers_the_loss_and_is_repeatable() -> None:
    config = config_of(sft={"steps": 30, "batch_size": 8})
    first = losses_of(from_scratch(TINY, seed=0), config)
    assert losses_of(from_scratch(TINY, seed=0), config) == first
    assert sum(loss for loss, _ in first[-5:]) < 0.9 * sum(loss for loss, _ in first[:5])


def test_what_on_step_raises_ends_the_training() -> None:
    def stop(step: int, loss: float, tokens: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(from_scratch(TINY, seed=0), config_of(), stop)


def test_listed_demonstrations_all_come_and_need_both_fields(tmp_path: Path) -> None:
    file = tmp_path / "demonstrations.jsonl"
    rows = [{"prompt": f"p{index}", "completion": f"c{index}"} for index in range(50)]
    file.write_text("\n".join(map(json.dumps, rows)))
    config = config_of(data={"demonstrations": str(file)})
    assert set(next(pools(config))) == {(row["prompt"], row["completion"]) for row in rows}
    file.write_text('{"prompt": "p", "completion": "c"}\n{"prompt": "p"}\n')
    with pytest.raises(ConfigError, match=r"demonstrations.jsonl:2: .*'completion'"):
        next(pools(config))


def test_batches_have_like_lengths_and_depend_on_the_seed() -> None:
    policy = from_scratch(TINY, seed=0)
    batches = list(islice(demonstrations(policy, config_of()), 16))
    assert batches == list(islice(demonstrations(policy, config_of()), 16))
    assert batches != list(islice(demonstrations(policy, config_of(seed=1)), 16))
    lengths = [[len(d.prompt_ids + d.completion_ids[0]) for d in batch] for batch in batches]
    ranges = sorted((min(batch), max(batch)) for batch in lengths)
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))


# --- the demonstrators ------------------------------------------------------------------

DRAWS = 6000
TOLERANCE = 0.03
"""Five standard deviations of a share of so many draws."""


def demonstrated(text: str, sft: SftConfig) -> list[str]:
    rng = random.Random(0)
    return [careless_reversal(text, rng, sft) for _ in range(DRAWS)]


def share(completions: Sequence[str], wanted: str) -> float:
    return sum(completion == wanted for completion in completions) / len(completions)


@pytest.mark.parametrize("text", ["ABCDEFGHIJK", "ABCDEFGHIJKL"], ids=["short", "long"])
def test_demonstrators_err_about_as_often_as_they_are_set_to(text: str) -> None:
    """At the last place, a swap changes nothing and two kinds of typo drop a character."""
    sft = SftConfig(careless=0.3, careless_long=0.65, long_from=12, typos=0.2)
    careless = 0.65 if len(text) >= 12 else 0.3
    completions = demonstrated(text, sft)
    at_the_end = sft.typos / len(text) / 5
    right = 1 - min(1.0, careless + sft.typos) + at_the_end
    assert share(completions, text[::-1]) == pytest.approx(right, abs=TOLERANCE)
    assert share(completions, text[:0:-1]) == pytest.approx(
        careless + 2 * at_the_end, abs=TOLERANCE
    )


def test_demonstrators_without_faults_are_always_right() -> None:
    faultless = SftConfig(careless=0, careless_long=0, typos=0)
    assert set(demonstrated("Hello, world!", faultless)) == {"!dlrow ,olleH"}


def test_there_are_five_kinds_of_typo() -> None:
    rng = random.Random(0)
    typos = {with_typo("ABCD", rng) for _ in range(4000)}
    assert {"BACD", "ACBD", "ABDC"} <= typos  # swapped
    assert {"BCD", "ACD", "ABD", "ABC"} <= typos  # dropped
    assert {"AABCD", "ABBCD", "ABCCD", "ABCDD"} <= typos  # doubled
    assert {"", "A", "AB", "ABC"} <= typos  # cut short
    replaced = {t for t in typos if len(t) == 4 and any(c.islower() for c in t)}
    assert len(replaced) == 4 * len("etaoinshrdlu")


def test_the_pools_of_generated_texts_hold_right_and_careless_reversals() -> None:
    pool = list(chain.from_iterable(islice(pools(config_of(sft={"batch_size": 32})), 4)))
    right = sum(completion == str(prompt)[::-1] for prompt, completion in pool) / len(pool)
    careless = sum(completion == str(prompt)[:0:-1] for prompt, completion in pool) / len(pool)
    assert 0.15 < right < 0.6
    assert 0.25 < careless < 0.7
