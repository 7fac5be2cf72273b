"""What the trainer spends its time on, beside the obvious way of doing the same.

Generation against `generate` of transformers, the update with prompts packed once a group
against a row a completion, and the shares of a GRPO step. The first two use a policy with
random weights, which seldom ends a text, so that both sides write the same lengths. The
shares are those of a run against a service on the same machine, cold start excluded.
"""

from __future__ import annotations

from trainer_client.train.cli import prepare_environment

prepare_environment()  # before anything imports torch

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.processes import assay_service
from benchmarks.results import Row, write
from trainer_client.train.algorithms.grpo import clipped_surrogate
from trainer_client.train.config import Config, GrpoConfig, PolicyConfig, load_config
from trainer_client.train.display import Display
from trainer_client.train.engines import sample
from trainer_client.train.engines.generated import generation_config
from trainer_client.train.engines.sampling import Completion, Sampling, generator_for, left_padded
from trainer_client.train.packing import (
    completion_logits,
    log_probs_of,
    micro_batches,
    packed,
    plain,
)
from trainer_client.train.policy import Policy, from_scratch
from trainer_client.train.report import seconds_by_phase
from trainer_client.train.run import run
from trainer_client.train.run_folder import read_rows
from trainer_client.train.tasks import problems_of

PROMPTS, GROUP_SIZE, NEW_TOKENS = 64, 8, 26
"""A step of the demo."""

LARGER = PolicyConfig(hidden_size=192, layers=4, heads=6, kv_heads=6, head_dim=32, mlp_size=576)

ROUNDS = 7
COLD_START_STEPS, GRPO_STEPS = 600, 40


def main() -> None:
    torch.set_num_threads(2)
    rows = [
        *generation_rows("the demo's policy", PolicyConfig()),
        *generation_rows("a larger one", LARGER),
        *update_rows(),
        *share_rows(),
    ]
    write("learning", "The trainer", rows, f"{PROMPTS} prompts in groups of {GROUP_SIZE}.")


def alternately(*ways: Callable[[], object]) -> list[float]:
    """The median seconds of each, run in turn."""
    seconds: list[list[float]] = [[] for _ in ways]
    for round_number in range(ROUNDS + 1):
        for taken, way in zip(seconds, ways, strict=True):
            started = time.perf_counter()
            way()
            if round_number:  # the first one warms up
                taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]


def prompts_of(policy: Policy) -> list[list[int]]:
    problems = problems_of(Config()).batch(0, PROMPTS)
    return policy.encode([problem.prompt for problem in problems])


def sampling_of(policy: Policy) -> Sampling:
    return Sampling(
        group_size=GROUP_SIZE,
        max_new_tokens=NEW_TOKENS,
        temperature=1.0,
        end_ids=policy.end_ids,
        pad_id=policy.pad_id,
    )


def write_completions(policy: Policy, prompts: Sequence[list[int]]) -> list[Completion]:
    generator = generator_for(policy.model.device, 0, "benchmark", 0)
    batches = sample(policy.model, prompts, sampling_of(policy), generator)
    return sorted((one for batch in batches for one in batch), key=lambda one: one.prompt)


# --- generation -------------------------------------------------------------------------


def generation_rows(name: str, sizes: PolicyConfig) -> list[Row]:
    policy = from_scratch(sizes, seed=0)
    prompts = prompts_of(policy)
    ours, theirs = alternately(
        lambda: write_completions(policy, prompts), lambda: generate(policy, prompts)
    )
    tokens = sum(len(one.token_ids) for one in write_completions(policy, prompts))
    written = int(generate(policy, prompts))
    ratio = (tokens / ours) / (written / theirs)
    difference = log_prob_difference(policy, prompts)
    size = f"{name}, {policy.model.num_parameters() / 1e6:.2f} M parameters"
    return [
        Row(
            f"tokens a second against `generate`: {size}",
            "at least 2×",
            f"{ratio:.2f}× ({tokens / ours:,.0f} against {written / theirs:,.0f})",
            ratio >= 2,
        ),
        Row(
            f"log-probabilities against the model's forward pass: {size}",
            "within 1e-4",
            f"{difference:.1e}",
            difference <= 1e-4,
        ),
    ]


@torch.no_grad()
def generate(policy: Policy, prompts: Sequence[list[int]]) -> int:
    """Writes as many completions with transformers. Returns the tokens up to each end."""
    ids, real = left_padded(prompts, policy.pad_id)
    output = policy.model.generate(
        input_ids=ids.repeat_interleave(GROUP_SIZE, 0),
        attention_mask=real.long().repeat_interleave(GROUP_SIZE, 0),
        generation_config=generation_config(sampling_of(policy)),
    )
    ends = torch.isin(output[:, ids.shape[1] :], torch.tensor(policy.end_ids))
    return int((ends.int().cumsum(1) - ends.int() == 0).sum())


@torch.no_grad()
def log_prob_difference(policy: Policy, prompts: Sequence[list[int]]) -> float:
    groups = grouped(prompts, write_completions(policy, prompts))
    layout = plain(groups, policy.pad_id)
    expected = log_probs_of(completion_logits(policy.model, layout), layout.targets)
    seen = torch.tensor([x for group in groups for x in group.log_probs])
    return float((expected - seen).abs().max())


# --- the update -------------------------------------------------------------------------


@dataclass(frozen=True)
class Rollouts:
    """A group as `packing` sees it, with what the sampler saw."""

    prompt_ids: list[int]
    completion_ids: list[list[int]]
    log_probs: list[float]


def grouped(prompts: Sequence[list[int]], completions: Sequence[Completion]) -> list[Rollouts]:
    groups = []
    for index, prompt in enumerate(prompts):
        own = [one for one in completions if one.prompt == index]
        seen = [x for one in own for x in one.log_probs]
        groups.append(Rollouts(prompt, [one.token_ids for one in own], seen))
    return groups


def update_rows() -> list[Row]:
    policy = from_scratch(PolicyConfig(), seed=0)
    prompts = prompts_of(policy)
    groups = grouped(prompts, write_completions(policy, prompts))
    gradients = [backward(policy, groups, layout) for layout in (packed, plain)]
    difference = float((gradients[0] - gradients[1]).abs().max())
    once, repeated = alternately(
        lambda: backward(policy, groups, packed), lambda: backward(policy, groups, plain)
    )
    return [
        Row(
            "the update with shared prompts packed once against repeated",
            "at least 1.5×",
            f"{repeated / once:.2f}× ({once * 1e3:.0f} ms against {repeated * 1e3:.0f} ms)",
            repeated / once >= 1.5,
        ),
        Row(
            "its gradients against the plain ones",
            "within 1e-4",
            f"{difference:.1e}",
            difference <= 1e-4,
        ),
    ]


def backward(policy: Policy, groups: Sequence[Rollouts], layout_of: Callable[..., Any]) -> Tensor:
    """One update's forward and backward pass. Returns the gradient, flat."""
    policy.model.zero_grad()
    tokens = sum(len(ids) for group in groups for ids in group.completion_ids)
    for batch in micro_batches(groups, GrpoConfig().micro_batch_tokens):
        layout = layout_of(batch, policy.pad_id)
        new = log_probs_of(completion_logits(policy.model, layout), layout.targets)
        old = new.new_tensor([x for group in batch for x in group.log_probs])
        # Alternating signs, as a group's advantages have: the values do not matter to the time.
        advantage = torch.ones_like(old)
        advantage[::2] = -1
        losses = clipped_surrogate(new, old, advantage, 0.2, 0.28)
        (losses.sum() / tokens).backward()
    return torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])


# --- a whole step -----------------------------------------------------------------------


def share_rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, assay_service("--log-level", "warning") as served:
        settings = [
            f"reward.url={served[0]}",
            f"sft.steps={COLD_START_STEPS}",
            f"grpo.steps={GRPO_STEPS}",
            "threads=2",
        ]
        done = run(load_config(None, settings), Path(folder) / "run", Display())
        phases = seconds_by_phase(read_rows(done.metrics))
    total = phases.total()
    rows = [
        Row(f"share of a GRPO step spent: {phase}", "", f"{seconds / total:.1%}")
        for phase, seconds in phases.most_common()
        if phase != "score"
    ]
    share = phases["score"] / total
    scoring = Row(
        "share of a GRPO step spent: scoring over HTTP",
        "at most 5 %",
        f"{share:.1%}",
        share <= 0.05,
    )
    return [*rows, scoring]
