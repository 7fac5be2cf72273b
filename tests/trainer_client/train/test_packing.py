"""Packed and plain rows: the same numbers, whichever way the tokens are laid out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from tests.trainer_client.train.tiny_models import PAD, VOCABULARY, log_probs_alone, tiny_model
from trainer_client.train.packing import (
    Layout,
    completion_logits,
    log_probs_of,
    micro_batches,
    packed,
    plain,
    row_length,
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Tokens:
    prompt_ids: list[int]
    completion_ids: list[list[int]]


token_lists = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=6)
groups_of_tokens = st.lists(
    st.builds(Tokens, token_lists, st.lists(token_lists, min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)

MODELS = {name: tiny_model(name).double() for name in ("qwen3", "qwen2")}


def read(model: PreTrainedModel, layout: Layout) -> tuple[Tensor, Tensor]:
    """Log-probabilities (tokens,), and the gradient of an uneven sum of them (parameters,)."""
    logits = completion_logits(model, layout)
    values = logits.log_softmax(-1)[torch.arange(len(layout.targets)), layout.targets]
    weights = torch.linspace(-1, 2, len(values), dtype=values.dtype)
    gradients = torch.autograd.grad((values * weights).sum(), list(model.parameters()))
    return values.detach(), torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("architecture", MODELS)
@given(groups=groups_of_tokens)
def test_packed_and_plain_give_the_same_log_probs_and_gradients(
    architecture: str, groups: list[Tokens]
) -> None:
    model = MODELS[architecture]
    values, gradient = read(model, packed(groups, PAD))
    expected_values, expected_gradient = read(model, plain(groups, PAD))
    torch.testing.assert_close(values, expected_values, rtol=0, atol=1e-5)
    scale = max(1.0, float(expected_gradient.abs().max()))
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("lay", [packed, plain])
@pytest.mark.parametrize("architecture", MODELS)
@given(groups=groups_of_tokens)
def test_every_completion_is_read_as_if_it_were_alone(
    lay: Callable[..., Layout], architecture: str, groups: list[Tokens]
) -> None:
    model, layout = MODELS[architecture], lay(groups, PAD)
    with torch.no_grad():
        values = log_probs_of(completion_logits(model, layout), layout.targets)
    alone = [
        log_probs_alone(model, group.prompt_ids, ids)
        for group in groups
        for ids in group.completion_ids
    ]
    torch.testing.assert_close(values, torch.cat(alone).float(), rtol=0, atol=1e-5)


@given(groups=groups_of_tokens)
def test_both_list_the_completion_tokens_in_order(groups: list[Tokens]) -> None:
    tokens = [token for group in groups for ids in group.completion_ids for token in ids]
    assert packed(groups, PAD).targets.tolist() == tokens
    assert plain(groups, PAD).targets.tolist() == tokens


def test_a_packed_row_by_hand() -> None:
    layout = packed([Tokens([7, 8], [[3, 4], [5]]), Tokens([9], [[6]])], PAD)
    assert layout.input_ids.tolist() == [[7, 8, 3, 4, 5], [9, 6, PAD, PAD, PAD]]
    assert layout.position_ids.tolist() == [[0, 1, 2, 3, 2], [0, 1, 0, 0, 0]]
    assert layout.predictors.tolist() == [1, 2, 1, 5]
    assert layout.mask is not None
    assert layout.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],  # the second completion does not see the first
    ]
    assert bool(layout.mask.any(-1).all()), "attention to nothing at all would be NaN"


@given(groups=groups_of_tokens, tokens=st.integers(1, 60))
def test_micro_batches_hold_every_group_once_and_keep_to_their_size(
    groups: list[Tokens], tokens: int
) -> None:
    batches = list(micro_batches(groups, tokens))
    assert sorted(id(group) for batch in batches for group in batch) == sorted(map(id, groups))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(map(row_length, batch)) <= tokens


def test_no_groups_make_no_micro_batches() -> None:
    assert list(micro_batches([], 100)) == []
