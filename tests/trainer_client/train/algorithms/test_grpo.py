"""The loss of a token and the estimate of the divergence, by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from trainer_client.train.algorithms.grpo import clipped_surrogate, k3

LOW, HIGH = 0.2, 0.28


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.0, -2.0, 2.0, 2.0),
        (1.25, 1.0, -1.25, -1.25),  # a good token within the range grows on
        (1.5, 1.0, -1.28, 0.0),  # beyond it there is nothing more to gain
        (0.5, 1.0, -0.5, -0.5),  # a good token that shrank is brought back from anywhere
        (0.9, -1.0, 0.9, 0.9),  # a bad token within the range shrinks on
        (0.5, -1.0, 0.8, 0.0),  # below it there is nothing more to gain
        (1.5, -1.0, 1.5, 1.5),  # a bad token that grew is brought back from anywhere
        (1.5, 0.0, 0.0, 0.0),
    ],
)
def test_the_surrogate_is_clipped_on_the_side_where_the_policy_has_gone_far_enough(
    ratio: float, advantage: float, loss: float, gradient: float
) -> None:
    old = torch.tensor([-1.3], dtype=torch.float64)
    new = (old + log(ratio)).requires_grad_()
    value = clipped_surrogate(new, old, torch.tensor([advantage]).double(), LOW, HIGH)
    value.sum().backward()
    assert value.item() == pytest.approx(loss)
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(gradient)


@pytest.mark.parametrize(
    ("new", "reference", "expected"),
    [
        (-1.0, -1.0, 0.0),
        (-1.0, -1.0 + log(2), 2 - 1 - log(2)),
        (-1.0, -1.0 - log(2), 0.5 - 1 + log(2)),
    ],
)
def test_k3_by_hand(new: float, reference: float, expected: float) -> None:
    value = k3(torch.tensor([new]).double(), torch.tensor([reference]).double())
    assert value.item() == pytest.approx(expected, abs=1e-7)


def test_the_expectation_of_k3_is_the_divergence() -> None:
    torch.manual_seed(0)
    new, reference = torch.randn(2, 9, dtype=torch.float64).log_softmax(-1)
    divergence = (new.exp() * (new - reference)).sum()
    torch.testing.assert_close((new.exp() * k3(new, reference)).sum(), divergence)
