"""Rows with and without repeated prompts: the same numbers, and nothing sees what it must not."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from tests.trainer_client.tiny import TokenGroup, tiny_policy
from trainer_client.packing import (
    Lay,
    completion_logits,
    log_probs_of,
    micro_batches,
    packed,
    plain,
    row_length,
)

PAD = 0


def some_groups(count: int = 5, seed: int = 0) -> list[TokenGroup]:
    """Groups of many shapes; the last has a single completion."""
    rng = random.Random(seed)
    groups = [
        TokenGroup(
            rng.choices(range(5, 100), k=rng.randint(1, 9)),
            [rng.choices(range(5, 100), k=rng.randint(1, 7)) for _ in range(rng.randint(2, 5))],
        )
        for _ in range(count - 1)
    ]
    return [*groups, TokenGroup([7, 8], [[9]])]


def loss_and_gradients(lay: Lay, groups: list[TokenGroup]) -> tuple[Tensor, Tensor]:
    """Log-probabilities, and the gradient of a sum that weighs each of them differently."""
    policy = tiny_policy()
    policy.model.zero_grad()
    layout = lay(groups, PAD)
    values = log_probs_of(completion_logits(policy.model, layout), layout.targets)
    (values * torch.linspace(-1, 2, len(values))).sum().backward()
    gradients = [p.grad.flatten() for p in policy.model.parameters() if p.grad is not None]
    return values.detach(), torch.cat(gradients)


def test_packed_and_plain_rows_give_the_same_log_probs_and_gradients() -> None:
    values, gradients = loss_and_gradients(packed, some_groups())
    expected_values, expected_gradients = loss_and_gradients(plain, some_groups())
    assert (values - expected_values).abs().max() < 1e-4
    assert (gradients - expected_gradients).abs().max() < 1e-4
    assert expected_gradients.abs().max() > 1e-2


@torch.no_grad()
def test_each_completion_is_read_as_if_it_stood_alone() -> None:
    policy, groups = tiny_policy(), some_groups()
    layout = packed(groups, PAD)
    values = log_probs_of(completion_logits(policy.model, layout), layout.targets).tolist()
    for group in groups:
        for ids in group.completion_ids:
            logits = policy.model(torch.tensor([group.prompt_ids + ids])).logits[0]
            own = logits[len(group.prompt_ids) - 1 : -1].log_softmax(-1)
            expected = own.gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist()
            assert values[: len(ids)] == pytest.approx(expected, abs=1e-4)
            del values[: len(ids)]
    assert not values


@torch.no_grad()
@pytest.mark.parametrize("lay", [packed, plain])
def test_padding_is_never_predicted_nor_seen(lay: Lay) -> None:
    policy, groups = tiny_policy(), some_groups()
    with_zeros, with_sevens = lay(groups, 0), lay(groups, 7)
    assert not torch.equal(with_zeros.input_ids, with_sevens.input_ids)
    first, second = (completion_logits(policy.model, x) for x in (with_zeros, with_sevens))
    assert torch.allclose(first, second, atol=1e-6)


def test_the_mask_of_two_completions_after_a_prompt_of_two() -> None:
    layout = packed([TokenGroup([10, 11], [[20, 21], [30]])], PAD)
    assert layout.input_ids.tolist() == [[10, 11, 20, 21, 30]]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 2]]
    assert layout.predictors.tolist() == [1, 2, 1]
    assert layout.targets.tolist() == [20, 21, 30]
    assert layout.mask is not None
    assert layout.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_micro_batches_hold_every_group_once_and_stay_within_their_tokens() -> None:
    groups = some_groups(30)
    batches = list(micro_batches(groups, 100))
    held = sorted(id(group) for batch in batches for group in batch)
    assert held == sorted(map(id, groups))
    assert len(batches) > 3
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(map(row_length, batch)) <= 100


def test_a_group_longer_than_a_micro_batch_is_one_of_its_own() -> None:
    long, short = TokenGroup([5] * 50, [[6] * 60]), TokenGroup([5], [[6]])
    assert list(micro_batches([long, short], 20)) == [[short], [long]]
