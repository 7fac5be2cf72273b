"""What a step learns from: scored completions that differ from their group, and nothing else."""

from __future__ import annotations

import copy
import math
import random
from dataclasses import replace

import pytest
import torch

from tests.trainer_client.train.tiny import tiny_policy
from trainer_client.train.algorithms.advantages import advantages
from trainer_client.train.config import GrpoConfig, RewardConfig
from trainer_client.train.engines.sampling import Completion
from trainer_client.train.loop import UnscoredWatch, update
from trainer_client.train.optimizer import adamw
from trainer_client.train.policy import Policy
from trainer_client.train.rollouts import Group, Rollout, describe, in_short, sample_rows
from trainer_client.train.stopping import TooManyUnscored
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import Score, ScoreError

RATE = 1e-2

Rewards = list[float | None]


def score_of(reward: float | None) -> Score:
    if reward is None:
        return Score(id="0", error=ScoreError("sandbox_unavailable", "no slot", True))
    return Score(id="0", reward=reward, outcome="correct" if reward == 1 else "incorrect")


def group_of(rewards: Rewards, seed: int) -> Group:
    """A group of made-up completions with these rewards, and their GRPO advantages."""
    rng = random.Random(seed)
    group = Group(Problem("prompt", "reference"), rng.choices(range(5, 100), k=4))
    for reward, advantage in zip(rewards, advantages(rewards, "grpo"), strict=True):
        ids = rng.choices(range(5, 100), k=rng.randint(1, 6))
        log_probs = [rng.uniform(-5, -4) for _ in ids]
        completion = Completion(seed, ids, log_probs, "stop")
        reference = [rng.uniform(-5, -4) for _ in ids]
        group.rollouts.append(Rollout(completion, "text", score_of(reward), advantage, reference))
    return group


def groups_of(*rewards: Rewards) -> list[Group]:
    return [group_of(each, seed) for seed, each in enumerate(rewards)]


def trained(groups: list[Group], **settings: object) -> tuple[torch.Tensor, dict[str, object]]:
    """The weights after one update of the same policy each time, and what it reports."""
    policy = Policy(copy.deepcopy(tiny_policy().model), tiny_policy().tokenizer)
    config = GrpoConfig.model_validate({"minibatches": 1} | settings)
    report = update(policy, adamw(policy.model.parameters()), groups, config, RATE)
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()]), report


def untrained() -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in tiny_policy().model.parameters()])


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Equal up to rounding, which Adam's first step of fixed length makes larger than it was."""
    return (first - second).abs().mean().item() < RATE * 1e-2


def test_groups_without_spread_teach_nothing() -> None:
    weights, report = trained(groups_of([1.0, 1.0], [0.0, 0.0, 0.0]))
    assert torch.equal(weights, untrained())
    assert report["updated_tokens"] == 0


def test_groups_with_spread_do() -> None:
    weights, report = trained(groups_of([1.0, 0.0]))
    assert not same(weights, untrained())
    assert report["updated_tokens"] > 0  # type: ignore[operator]


def test_completions_that_could_not_be_scored_teach_nothing() -> None:
    with_failures = groups_of([1.0, None, 0.0, None])
    without = groups_of([1.0, None, 0.0, None])
    without[0].rollouts = [rollout for rollout in without[0].rollouts if rollout.reward is not None]
    assert torch.equal(trained(with_failures)[0], trained(without)[0])


def test_a_failure_turned_into_a_zero_would_teach_something() -> None:
    zeroed = groups_of([1.0, 0.0, 1.0, 0.0])
    masked = groups_of([1.0, None, 1.0, None])
    assert not same(trained(zeroed)[0], untrained())
    assert torch.equal(trained(masked)[0], untrained())


def test_a_group_of_which_nothing_was_scored_is_left_out() -> None:
    weights, _ = trained(groups_of([None, None]), kl_beta=0.1)
    assert torch.equal(weights, untrained())


def test_leaving_groups_without_spread_out_changes_nothing_but_the_time() -> None:
    groups = groups_of([1.0, 0.0], [1.0, 1.0, 1.0])
    tokens = sum(len(ids) for group in groups for ids in group.completion_ids)
    policy = Policy(copy.deepcopy(tiny_policy().model), tiny_policy().tokenizer)
    for group in groups:  # the same by the book: every group computed, slowly
        for rollout in group.rollouts:
            ids = rollout.completion.token_ids
            logits = policy.model(torch.tensor([group.prompt_ids + ids])).logits[0]
            log_probs = logits[len(group.prompt_ids) - 1 : -1].log_softmax(-1)
            for place, (token, old) in enumerate(
                zip(ids, rollout.completion.log_probs, strict=True)
            ):
                ratio = (log_probs[place, token] - old).exp()
                held = ratio.clamp(0.8, 1.28)
                loss = -torch.minimum(ratio * rollout.advantage, held * rollout.advantage)
                (loss / tokens).backward(retain_graph=True)
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in policy.model.parameters()))  # type: ignore[union-attr]
    _, report = trained(groups)
    assert report["grad_norm"] == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("settings", [{"packed": False}, {"micro_batch_tokens": 1}])
def test_how_rows_are_laid_out_does_not_change_what_is_learned(settings: dict[str, object]) -> None:
    groups = groups_of([1.0, 0.0, 0.5], [0.0, 1.0], [None, 0.0, 1.0])
    expected, report = trained(groups)
    weights, other = trained(groups, **settings)
    assert same(weights, expected)
    assert other["grad_norm"] == pytest.approx(report["grad_norm"], rel=1e-4)


def test_the_kl_penalty_pulls_even_groups_without_spread() -> None:
    weights, _ = trained(groups_of([1.0, 1.0]), kl_beta=0.1)
    assert not same(weights, untrained())


def test_minibatches_are_steps_of_their_own() -> None:
    groups = groups_of([1.0, 0.0], [0.0, 1.0])
    assert not same(trained(groups, minibatches=2)[0], trained(groups, minibatches=1)[0])


@torch.no_grad()
def log_probs(policy: Policy, group: Group) -> list[list[float]]:
    """What `policy` thinks of each completion, token by token."""
    found = []
    for ids in group.completion_ids:
        logits = policy.model(torch.tensor([group.prompt_ids + ids])).logits[0]
        own = logits[len(group.prompt_ids) - 1 : -1].log_softmax(-1)
        found.append(own.gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist())
    return found


def test_learning_makes_good_completions_likelier_and_bad_ones_less_so() -> None:
    policy = Policy(copy.deepcopy(tiny_policy().model), tiny_policy().tokenizer)
    group = group_of([1.0, 0.0], seed=1)
    before = log_probs(policy, group)
    for rollout, values in zip(group.rollouts, before, strict=True):
        rollout.completion = replace(rollout.completion, log_probs=values)
    update(policy, adamw(policy.model.parameters()), [group], GrpoConfig(minibatches=1), 1e-3)
    after = log_probs(policy, group)
    assert sum(after[0]) > sum(before[0])
    assert sum(after[1]) < sum(before[1])


# --- too many failures ------------------------------------------------------------------


def watch(rows: list[dict[str, object]] | None = None) -> UnscoredWatch:
    settings = RewardConfig(max_unscored_share=0.2, unscored_window=5)
    return UnscoredWatch(settings, rows or [])


ALL_FAIL = [None] * 10
HALF_FAIL: Rewards = [None, 1.0] * 5
ALL_WELL: Rewards = [0.0, 1.0] * 5


def test_a_single_bad_step_does_not_end_a_run() -> None:
    watched = watch()
    for rewards in (ALL_FAIL, ALL_WELL, ALL_WELL, ALL_WELL):
        watched.check(groups_of(list(rewards)))


def test_a_second_one_does_and_the_reason_is_given() -> None:
    watched = watch()
    watched.check(groups_of(list(ALL_FAIL)))
    with pytest.raises(TooManyUnscored, match=r"40% .* 10 sandbox_unavailable.* no slot"):
        watched.check(groups_of(list(ALL_FAIL)))


def test_failures_that_go_on_end_a_run_though_each_step_has_few() -> None:
    watched = watch()
    watched.check(groups_of(HALF_FAIL))
    watched.check(groups_of(HALF_FAIL))
    with pytest.raises(TooManyUnscored, match="30%"):
        watched.check(groups_of(HALF_FAIL))


def test_steps_long_ago_are_forgiven() -> None:
    watched = watch()
    watched.check(groups_of(list(ALL_FAIL)))
    for _ in range(5):
        watched.check(groups_of(ALL_WELL))
    watched.check(groups_of(list(ALL_FAIL)))


def test_a_resumed_run_remembers_its_last_steps() -> None:
    watched = watch([{"unscored": 10, "completions": 10}])
    with pytest.raises(TooManyUnscored):
        watched.check(groups_of(list(ALL_FAIL)))


# --- numbers ----------------------------------------------------------------------------


def test_the_numbers_of_a_step_are_over_what_was_scored() -> None:
    groups = groups_of([1.0, 0.0, None], [1.0, 1.0, 1.0])
    row = describe(groups)
    assert row["reward"] == pytest.approx(0.8)
    assert row["exact"] == pytest.approx(0.8)
    assert row["unscored"] == 1
    assert row["unscored_by_code"] == {"sandbox_unavailable": 1}
    assert row["groups_without_spread"] == 0.5
    assert row["tokens"] == sum(len(ids) for group in groups for ids in group.completion_ids)
    assert 4 < row["entropy"] < 5


def test_a_step_of_which_nothing_was_scored_has_no_reward() -> None:
    row = describe(groups_of([None, None]))
    assert row["reward"] is None
    assert row["exact"] is None
    assert "none scored" in in_short(row | {"seconds": {"generate": 1.0}})


def test_the_kl_is_that_of_k3_at_each_token() -> None:
    [group] = groups_of([1.0, 0.0])
    expected = [
        math.exp(reference - sampled) - 1 - (reference - sampled)
        for rollout in group.rollouts
        for reference, sampled in zip(
            rollout.reference_log_probs, rollout.completion.log_probs, strict=True
        )
    ]
    assert describe([group])["kl"] == pytest.approx(sum(expected) / len(expected))


def test_samples_keep_the_failure_beside_what_was_written() -> None:
    rows = list(sample_rows(3, groups_of([1.0, None])))
    assert [row["reward"] for row in rows] == [1.0, None]
    assert [row["error"] for row in rows] == [None, "sandbox_unavailable"]
    assert {row["step"] for row in rows} == {3}
