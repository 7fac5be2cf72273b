"""The loss of GRPO: values worked out by hand, gradients against a slow version of its own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.grpo import clipped_surrogate, k3

LOW, HIGH = 0.2, 0.28

# ratio, advantage, the loss by hand, its derivative by the new log-probability, why
BY_HAND = [
    (1.0, 1.0, -1.0, -1.0, "on policy: minus the advantage"),
    (1.0, -2.0, 2.0, 2.0, "the same for a bad one"),
    (1.2, 1.0, -1.2, -1.2, "within the range"),
    (1.5, 1.0, -1.28, 0.0, "a good one that has grown enough"),
    (1.5, -1.0, 1.5, 1.5, "a bad one that has grown: no bound on undoing it"),
    (0.5, -1.0, 0.8, 0.0, "a bad one that has shrunk enough"),
    (0.5, 1.0, -0.5, -0.5, "a good one that has shrunk: no bound on undoing it"),
    (0.9, -1.0, 0.9, 0.9, "within the range from below"),
    (3.0, 0.0, 0.0, 0.0, "no advantage, nothing to learn"),
]


@pytest.mark.parametrize(("ratio", "advantage", "loss", "slope"), [row[:4] for row in BY_HAND],
                         ids=[row[4] for row in BY_HAND])  # fmt: skip
def test_the_clipped_surrogate_by_hand(
    ratio: float, advantage: float, loss: float, slope: float
) -> None:
    new = torch.tensor([-1.0 + math.log(ratio)], dtype=torch.double, requires_grad=True)
    old = torch.tensor([-1.0], dtype=torch.double)
    found = clipped_surrogate(new, old, torch.tensor([advantage], dtype=torch.double), LOW, HIGH)
    found.sum().backward()
    assert found.tolist() == pytest.approx([loss])
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([slope])


def slow_surrogate(new: float, old: float, advantage: float) -> float:
    """The same from the words of the paper, in plain Python."""
    ratio = math.exp(new) / math.exp(old)
    held = 1 - LOW if ratio < 1 - LOW else 1 + HIGH if ratio > 1 + HIGH else ratio
    return -min(ratio * advantage, held * advantage)


TOKENS = st.lists(
    st.tuples(st.floats(-4, -0.01), st.floats(-4, -0.01), st.floats(-3, 3)), min_size=1, max_size=9
)


@given(tokens=TOKENS)
def test_the_surrogate_and_its_gradient_equal_those_of_the_slow_version(
    tokens: list[tuple[float, float, float]],
) -> None:
    ratios = [math.exp(new - old) for new, old, _ in tokens]
    if any(abs(ratio - edge) < 1e-3 for ratio in ratios for edge in (1 - LOW, 1 + HIGH)):
        return  # there the slope jumps
    new, old, advantage = (torch.tensor(x, dtype=torch.double) for x in zip(*tokens, strict=True))
    new.requires_grad_()
    losses = clipped_surrogate(new, old, advantage, LOW, HIGH)
    assert losses.tolist() == pytest.approx([slow_surrogate(*token) for token in tokens])
    losses.sum().backward()
    step = 1e-6
    slopes = [
        (slow_surrogate(n + step, o, a) - slow_surrogate(n - step, o, a)) / (2 * step)
        for n, o, a in tokens
    ]
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx(slopes, abs=1e-4)


def test_k3_by_hand() -> None:
    new = torch.tensor([math.log(0.5), math.log(0.2), math.log(0.2)])
    reference = torch.tensor([math.log(0.5), math.log(0.4), math.log(0.1)])
    expected = [0.0, 2 - 1 - math.log(2), 0.5 - 1 - math.log(0.5)]
    assert k3(new, reference).tolist() == pytest.approx(expected)


def test_the_mean_of_k3_over_samples_is_the_divergence() -> None:
    policy, reference = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.2, 0.5, 0.3])
    divergence = (policy * (policy / reference).log()).sum()
    mean = (policy * k3(policy.log(), reference.log())).sum()
    assert mean.item() == pytest.approx(divergence.item())


@given(new=st.floats(-20, 0), reference=st.floats(-20, 0))
def test_k3_is_never_negative(new: float, reference: float) -> None:
    assert k3(torch.tensor(new), torch.tensor(reference)).item() >= -1e-6
