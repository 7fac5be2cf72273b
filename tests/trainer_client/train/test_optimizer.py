"""The learning rate over a run, one step of the optimizer, and Muon."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer_client.train.tiny_models import tiny_model
from trainer_client.train.config import GrpoConfig
from trainer_client.train.optimizer import (
    Muon,
    adamw,
    for_scratch,
    learning_rate,
    orthogonal,
    take_step,
)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0), (50, 1.0), (75, 0.6), (100, 0.2)],
)
def test_the_rate_rises_stays_and_falls(step: int, expected: float) -> None:
    settings = GrpoConfig(steps=100, learning_rate=1.0, warmup_steps=3, final_learning_rate=0.2)
    assert learning_rate(step, settings, decay_from=0.5) == pytest.approx(expected)


@given(
    steps=st.integers(1, 200),
    warmup=st.integers(0, 50),
    decay_from=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_no_step_has_a_rate_above_the_peak_or_of_zero(
    steps: int, warmup: int, decay_from: float, final: float
) -> None:
    settings = GrpoConfig(
        steps=steps, learning_rate=2.0, warmup_steps=warmup, final_learning_rate=final
    )
    for step in range(steps):
        assert 0 < learning_rate(step, settings, decay_from) <= 2.0


def test_a_step_clips_the_gradient_tells_its_norm_and_clears_it() -> None:
    weights = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weights])
    weights.grad = torch.tensor([3.0, 4.0])
    assert take_step([optimizer], rate=0.5, max_norm=1.0) == pytest.approx(5.0)
    assert weights.tolist() == pytest.approx([-0.3, -0.4], rel=1e-4)
    assert weights.grad is None


def test_the_rate_of_a_step_is_the_one_it_is_given() -> None:
    """The first step of Adam moves every weight by the rate, whatever its gradient."""
    model = tiny_model("qwen3")
    before = [weights.detach().clone() for weights in model.parameters()]
    for weights in model.parameters():
        weights.grad = torch.ones_like(weights)
    take_step([adamw(model.parameters())], rate=0.01, max_norm=1e9)
    for weights, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(old - weights, torch.full_like(old, 0.01), rtol=1e-3, atol=1e-6)


# --- Muon -------------------------------------------------------------------------------

SHAPES = [(24, 24), (48, 16), (16, 48), (24, 24)]


@pytest.mark.parametrize("shape", sorted(set(SHAPES)))
def test_updates_are_nearly_orthogonal_and_keep_their_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, values, right = torch.linalg.svd(torch.randn(3, *shape), full_matrices=False)
    values.clamp_min_(0.1 * values.max())  # smaller ones are lifted, but not all the way
    made = orthogonal(left * values[:, None] @ right)
    inside = left.mT @ made @ right.mT
    assert inside.diagonal(dim1=1, dim2=2).sub(1).abs().max() < 0.4
    off_diagonal = inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))
    assert off_diagonal.abs().max() < 1e-4


def test_muon_steps_as_torchs_own_does_up_to_its_half_precision() -> None:
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    before = [p.detach().clone() for p in ours]
    muon, reference = Muon(ours), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.0)
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for group in muon.param_groups:
            group["lr"] = 0.02
        muon.step()
        reference.step()
    for mine, other, start in zip(ours, theirs, before, strict=True):
        moved = (other - start).norm()
        assert (mine - other).norm() < 0.03 * moved


def test_every_weight_of_a_new_policy_is_trained_by_exactly_one_optimizer() -> None:
    model = tiny_model("qwen3")
    held = [
        id(parameter)
        for optimizer in for_scratch(model)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
