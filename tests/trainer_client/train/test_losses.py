"""The loss of GRPO: by hand, against a slow version, and what it is divided by."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainer_client.train.tiny_models import (
    PAD,
    group_of,
    log_probs_with_gradient,
    tiny_model,
)
from trainer_client.train.algorithms.advantages import advantages
from trainer_client.train.config import GrpoConfig
from trainer_client.train.loop import token_losses, update
from trainer_client.train.policy import Policy, character_tokenizer
from trainer_client.train.rollouts import Group

# --- against a slow version -------------------------------------------------------------


def some_groups() -> list[Group]:
    """Three groups with lessons in them, one where all did the same, one without scores."""
    return with_advantages(
        [
            group_of([5, 6, 7], [[8, 9, 1], [8, 1], [10, 11, 12, 13]], [1.0, 0.0, 0.25]),
            group_of([4], [[3, 1], [1]], [0.0, 1.0]),
            group_of([5, 5], [[6, 6, 1], [7, 1]], [0.5, 0.5]),
            group_of([9, 8, 7, 6], [[5, 1], [4, 3, 1], [2, 1]], [None, 1.0, 0.0]),
            group_of([3, 3], [[2, 1], [1]], [None, None]),
        ]
    )


def with_advantages(groups: list[Group]) -> list[Group]:
    for group in groups:
        values = advantages(group.rewards, "grpo")
        for index, (rollout, value) in enumerate(zip(group.rollouts, values, strict=True)):
            rollout.advantage = value
            count = len(rollout.completion.token_ids)
            old = [(-6.0, -2.5, -1.0)[(i + index) % 3] for i in range(count)]
            rollout.completion.log_probs[:] = old
            rollout.reference_log_probs = [-2.0 - 0.25 * i for i in range(count)]
    return groups


def slow_losses(policy: Policy, groups: Sequence[Group], settings: GrpoConfig) -> list[Tensor]:
    """One token at a time, from the definition."""
    losses = []
    for group in groups:
        for rollout in group.rollouts:
            sampled = rollout.completion
            values = log_probs_with_gradient(
                policy.model, group.prompt_ids, sampled.token_ids, settings.temperature
            )
            for new, old, start in zip(
                values, sampled.log_probs, rollout.reference_log_probs, strict=True
            ):
                ratio, gain = torch.exp(new - old), rollout.advantage
                if gain > 0 and ratio > 1 + settings.clip_high:
                    loss = -(1 + settings.clip_high) * gain + 0 * new
                elif gain < 0 and ratio < 1 - settings.clip_low:
                    loss = -(1 - settings.clip_low) * gain + 0 * new
                else:
                    loss = -ratio * gain
                drift = start - new
                losses.append(loss + settings.kl_beta * (torch.exp(drift) - 1 - drift))
    return losses


@pytest.fixture
def policy() -> Policy:
    tokenizer = character_tokenizer()
    assert tokenizer.pad_token_id == PAD
    return Policy(tiny_model("qwen3"), tokenizer)


def gradients_of(policy: Policy, loss: Tensor) -> Tensor:
    """(parameters,) all in one vector."""
    weights = list(policy.model.parameters())
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("kl_beta", "temperature"), [(0.0, 1.0), (0.3, 1.0), (0.1, 0.7)])
def test_token_losses_and_their_gradient_are_those_of_the_definition(
    policy: Policy, packed: bool, kl_beta: float, temperature: float
) -> None:
    settings = GrpoConfig(packed=packed, kl_beta=kl_beta, temperature=temperature)
    groups = some_groups()
    losses, held_back = token_losses(policy, groups, settings)
    expected = torch.stack(slow_losses(policy, groups, settings))
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        gradients_of(policy, losses.sum()),
        gradients_of(policy, expected.sum()),
        rtol=1e-3,
        atol=1e-4,
    )
    assert held_back["low"] > 0
    assert held_back["high"] > 0


def test_held_back_tokens_are_counted_on_the_side_that_holds_them(policy: Policy) -> None:
    group = group_of([5], [[8, 9], [10]], [1.0, 0.0])
    better, worse = group.rollouts
    better.advantage, worse.advantage = 1.0, -1.0
    settings = GrpoConfig()
    for rollout, shift in ((better, log(1.5)), (worse, log(0.5))):
        new = log_probs_with_gradient(policy.model, [5], rollout.completion.token_ids)
        rollout.completion.log_probs[:] = (new - shift).tolist()
    losses, held_back = token_losses(policy, [group], settings)
    assert losses.tolist() == pytest.approx([-1.28, -1.28, 0.8], rel=1e-4)
    assert held_back == {"high": 2, "low": 1}


# --- the update -------------------------------------------------------------------------


def updated(groups: list[Group], **settings: Any) -> tuple[Tensor, dict[str, Any]]:
    """How far one update at rate 1 moves the weights, which is minus the gradient."""
    policy = Policy(tiny_model("qwen3"), character_tokenizer())
    before = torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach().clone()
    optimizer = torch.optim.SGD(policy.model.parameters())
    config = GrpoConfig(**{"minibatches": 1, "max_grad_norm": 1e9} | settings)
    row = update(policy, optimizer, groups, config, 1.0)
    after = torch.nn.utils.parameters_to_vector(policy.model.parameters()).detach()
    return before - after, row


def mean_loss_gradient(policy: Policy, groups: list[Group], **settings: Any) -> Tensor:
    """The gradient of the mean loss of every scored token, with no group left out."""
    losses = slow_losses(policy, [group.scored() for group in groups], GrpoConfig(**settings))
    return gradients_of(policy, torch.stack(losses).mean())


@pytest.mark.parametrize("kl_beta", [0.0, 0.2])
def test_the_loss_is_the_mean_over_all_scored_tokens_of_the_minibatch(
    policy: Policy, kl_beta: float
) -> None:
    moved, row = updated(some_groups(), kl_beta=kl_beta)
    expected = mean_loss_gradient(policy, some_groups(), kl_beta=kl_beta)
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-5)
    assert row["grad_norm"] == pytest.approx(expected.norm().item(), rel=1e-4)


def test_leaving_out_groups_without_spread_changes_nothing_but_the_time(policy: Policy) -> None:
    groups = some_groups()
    moved, row = updated(groups)
    computed = [group.scored() for group in groups]
    losses, _ = token_losses(policy, [group for group in computed if group.rollouts], GrpoConfig())
    everything = gradients_of(policy, losses.mean())
    torch.testing.assert_close(moved, everything, rtol=1e-3, atol=1e-5)
    without_spread = 3 + 2
    assert row["updated_tokens"] == len(losses) - without_spread


def test_a_group_without_spread_weighs_in_the_number_of_tokens() -> None:
    lesson = [group_of([4], [[3, 1], [1, 2]], [0.0, 1.0])]
    same = group_of([5], [[6, 6], [7, 1]], [0.5, 0.5])
    alone, _ = updated(with_advantages(lesson))
    diluted, _ = updated(with_advantages([*lesson, same]))
    torch.testing.assert_close(2 * diluted, alone, rtol=1e-3, atol=1e-6)


def test_unscored_completions_are_as_if_they_had_not_been_written() -> None:
    prompt, right, wrong, unscored = [4, 5], [3, 1], [6, 7, 1], [8, 9, 10, 1]
    mixed = group_of(prompt, [right, wrong, unscored], [1.0, 0.0, None])
    clean = group_of(prompt, [right, wrong], [1.0, 0.0])
    with_it, _ = updated(with_advantages([mixed]))
    without, _ = updated(with_advantages([clean]))
    torch.testing.assert_close(with_it, without, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kl_beta", [0.0, 0.2])
def test_a_step_in_which_nothing_could_be_scored_moves_nothing(kl_beta: float) -> None:
    groups = with_advantages([group_of([3], [[2, 1], [1]], [None, None])])
    moved, row = updated(groups, kl_beta=kl_beta, minibatches=2)
    assert moved.abs().max() == 0
    assert row == {"grad_norm": 0.0, "clipped_low": 0, "clipped_high": 0, "updated_tokens": 0}


@pytest.mark.parametrize("settings", [{"micro_batch_tokens": 1}, {"packed": False}], ids=str)
def test_how_the_tokens_are_laid_out_does_not_change_the_update(settings: dict[str, Any]) -> None:
    reference, _ = updated(some_groups())
    moved, _ = updated(some_groups(), **settings)
    torch.testing.assert_close(moved, reference, rtol=1e-3, atol=1e-5)


def test_each_minibatch_makes_a_step_of_its_own() -> None:
    first, second = some_groups()[:2]
    policy = Policy(tiny_model("qwen3"), character_tokenizer())
    optimizer = torch.optim.SGD(policy.model.parameters())
    one_by_one = GrpoConfig(minibatches=1, max_grad_norm=1e9)
    for group in (first, second):
        update(policy, optimizer, [group], one_by_one, 0.01)
    expected = torch.nn.utils.parameters_to_vector(policy.model.parameters())
    together = Policy(tiny_model("qwen3"), character_tokenizer())
    optimizer = torch.optim.SGD(together.model.parameters())
    update(together, optimizer, [first, second], GrpoConfig(minibatches=2, max_grad_norm=1e9), 0.01)
    actual = torch.nn.utils.parameters_to_vector(together.model.parameters())
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_an_update_makes_the_better_completion_likelier_and_the_worse_one_less_likely(
    policy: Policy,
) -> None:
    right, wrong = [8, 1], [9, 1]
    group = group_of([4, 5], [right, wrong], [1.0, 0.0])
    for rollout, value in zip(group.rollouts, (1.0, -1.0), strict=True):
        ids = rollout.completion.token_ids
        old = log_probs_with_gradient(policy.model, [4, 5], ids).tolist()
        rollout.completion.log_probs[:], rollout.advantage = old, value
    optimizer = torch.optim.SGD(policy.model.parameters())
    update(policy, optimizer, [group], GrpoConfig(minibatches=1), 0.01)
    odds = [
        exp(log_probs_with_gradient(policy.model, [4, 5], r.completion.token_ids).sum().item())
        / exp(sum(r.completion.log_probs))
        for r in group.rollouts
    ]
    assert odds[0] > 1 > odds[1]
