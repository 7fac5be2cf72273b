"""The loop of reinforcement learning, from top to bottom.

For every prompt the policy writes a group of completions, the reward service scores them,
and each is pushed up or down by how much better than its group it did: `algorithms/` says
how, and where that departs from the papers. What is particular to the loop:

- Groups without spread are not computed: their advantages, and so their gradients, are zero.
  They still count in the number of tokens that the loss is divided by, so leaving them out
  changes nothing but the time.
- Completions that could not be scored are left out altogether.
- The old log-probabilities are those the sampler saw, not recomputed. They are the model's
  own to within rounding.

Every random draw depends on the seed, its purpose and the step, and on nothing else.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from trainer_client.client import RewardClient
from trainer_client.errors import RewardClientError
from trainer_client.train import checkpoint
from trainer_client.train.algorithms.advantages import advantages, has_spread
from trainer_client.train.algorithms.grpo import clipped_surrogate, held_back, k3
from trainer_client.train.config import Config, GrpoConfig, RewardConfig
from trainer_client.train.display import Display
from trainer_client.train.engines import sample
from trainer_client.train.engines.sampling import Completion, Sampling, generator_for
from trainer_client.train.evaluate import measure
from trainer_client.train.monitoring import GoldWatch
from trainer_client.train.optimizer import adamw, learning_rate, take_step
from trainer_client.train.packing import (
    completion_logits,
    log_probs_of,
    micro_batches,
    packed,
    plain,
)
from trainer_client.train.policy import Policy
from trainer_client.train.rollouts import Group, Laps, Rollout, describe, in_short, sample_rows
from trainer_client.train.run_folder import Row, RunFolder, read_rows
from trainer_client.train.stopping import OverOptimised, Stopped, StopSignals, TooManyUnscored
from trainer_client.train.tasks import problems_of
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import Score

SEND_AT = 128
"""Completions that are sent together for scoring while the rest is still being written."""

LOGGED_GROUPS = 2
"""Groups of every step whose completions are kept in samples.jsonl."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a run works with, from its start or its resumption on."""

    config: Config
    policy: Policy
    reference: Policy
    """The policy at the start, which the KL is measured to."""
    folder: RunFolder
    client: RewardClient
    display: Display
    signals: StopSignals

    def submit(self, samples: Sequence[Mapping[str, Any]]) -> Future[list[Score]]:
        return self.client.submit(samples, self.config.reward.scorer, run=self.folder.name)

    def score(self, samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        return self.signals.result_of(self.submit(samples))


Pending = tuple[list[Rollout], Future[list[Score]]]
"""Rollouts, and their scores to come."""


def train(session: Session, resume_from: checkpoint.State | None = None) -> None:
    """Trains the policy, from its first step or from where a checkpoint left it.

    Raises:
        Stopped, TooManyUnscored, OverOptimised, RewardClientError: after writing a checkpoint.
    """
    settings, folder = session.config.grpo, session.folder
    problems = problems_of(session.config)
    splits = problems.splits()
    optimizer = adamw(session.policy.model.parameters())
    done = 0
    if resume_from is not None:
        optimizer.load_state_dict(resume_from.optimizer)
        done = resume_from.step
    folder.rewind(done)
    rows = read_rows(folder.metrics)
    watch = UnscoredWatch(session.config.reward, rows)
    gold_watch = GoldWatch(
        session.client, session.signals, session.config.monitor, session.config.seed, folder.name
    )
    try:
        gold_watch.remind(rows)
        with session.display.bar("GRPO", settings.steps, done) as bar:
            while True:
                if alarm := gold_watch.check():
                    session.display.say(alarm)
                evaluate(session, splits, done)
                if done >= settings.steps:
                    break
                batch = problems.batch(done, settings.prompts_per_step)
                row, groups = take_one_step(session, optimizer, watch, gold_watch, batch, done)
                done += 1
                folder.log_step(row, sample_rows(done, groups[:LOGGED_GROUPS]))
                bar.update(done, in_short(row))
                if done % settings.checkpoint_every == 0 or done == settings.steps:
                    save(session, optimizer, done, gold_watch.best)
    except (Stopped, TooManyUnscored, OverOptimised, RewardClientError):
        save(session, optimizer, done, gold_watch.best)
        raise


def save(session: Session, optimizer: torch.optim.Optimizer, done: int, best: int | None) -> None:
    keep = session.config.grpo.keep_checkpoints
    checkpoint.save(session.folder.checkpoints, done, session.policy, optimizer, keep, best)


def evaluate(session: Session, splits: Mapping[str, Sequence[Problem]], done: int) -> None:
    """Measures now and then: on every split before and after training, on one in between."""
    if done in (0, session.config.grpo.steps):
        measure_on(session, splits, done)
    elif done % session.config.evaluation.every == 0:
        measure_on(session, {"held_out": splits["held_out"]}, done)


def measure_on(session: Session, splits: Mapping[str, Sequence[Problem]], done: int) -> None:
    for name in splits:
        result = measure(session.policy, splits[name], session.score, session.config)
        session.folder.log_evaluation({"step": done, "split": name} | result.to_json())
        session.display.say(f"step {done:4d}  {name:9}  {result}")


def take_one_step(
    session: Session,
    optimizer: torch.optim.Optimizer,
    watch: UnscoredWatch,
    gold_watch: GoldWatch,
    problems: Sequence[Problem],
    step: int,
) -> tuple[Row, list[Group]]:
    """One batch of rollouts and the updates made from it. `step` counts from 0."""
    settings, laps = session.config.grpo, Laps()
    prompts = session.policy.encode([problem.prompt for problem in problems])
    groups = [Group(problem, ids) for problem, ids in zip(problems, prompts, strict=True)]

    # 1. The policy writes. Groups that are done are on their way to the service meanwhile.
    pending = roll_out(session, groups, step, laps)

    # 2. While the last scores are on their way: what would the policy have done at the start?
    look = gold_watch.looks_at(step)
    if settings.kl_beta or look or step % session.config.evaluation.every == 0:
        read_with_reference(session.reference, groups, settings)
        laps.lap("reference")

    # 3. The service's verdicts, and how each completion compares with its group.
    for rollouts, future in pending:
        scores = session.signals.result_of(future)
        for rollout, score in zip(rollouts, scores, strict=True):
            rollout.score = score
    laps.lap("score")
    watch.check(groups)
    for group in groups:
        values = advantages(group.rewards, settings.advantage)
        for rollout, value in zip(group.rollouts, values, strict=True):
            rollout.advantage = value
    asked = gold_watch.ask(groups, step)

    # 4. The policy learns.
    rate = learning_rate(step, settings)
    shuffled = random.Random(f"{session.config.seed}/minibatches/{step}").sample(
        groups, len(groups)
    )
    learned = update(session.policy, optimizer, shuffled, settings, rate)
    laps.lap("update")
    row = {"step": step + 1} | describe(groups) | {"learning_rate": rate} | learned

    # 5. Is it the better for it? Gold has scored some of the completions meanwhile.
    if asked is not None:
        row |= gold_watch.hear(groups, asked, step)
        laps.lap("gold")
    return row | {"seconds": laps.seconds}, groups


# --- 1. rollouts ------------------------------------------------------------------------


def roll_out(session: Session, groups: Sequence[Group], step: int, laps: Laps) -> list[Pending]:
    """Fills `groups` with rollouts, and asks for scores as soon as whole groups are written."""
    settings, policy = session.config.grpo, session.policy
    sampling = Sampling(
        group_size=settings.group_size,
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        end_ids=policy.end_ids,
        pad_id=policy.pad_id,
        batch_size=settings.sampling_batch,
    )
    generator = generator_for(policy.model.device, session.config.seed, "rollout", step)
    prompts = [group.prompt_ids for group in groups]
    pending, waiting = list[Pending](), list[Completion]()
    for ended in sample(policy.model, prompts, sampling, generator):
        laps.lap("generate")
        waiting += ended
        if len(waiting) >= SEND_AT:
            pending.append(send(session, groups, waiting))
            waiting = []
        laps.lap("score")
    laps.lap("generate")
    if waiting:
        pending.append(send(session, groups, waiting))
    return pending


def send(session: Session, groups: Sequence[Group], completions: Sequence[Completion]) -> Pending:
    """Files completions under their groups and asks for their scores."""
    texts = session.policy.decode([completion.token_ids for completion in completions])
    rollouts, samples = [], []
    for completion, text in zip(completions, texts, strict=True):
        group = groups[completion.prompt]
        rollouts.append(Rollout(completion, text))
        own = {"id": f"{completion.prompt}/{len(group.rollouts)}", "group": str(completion.prompt)}
        samples.append(group.problem.sample(text) | own)
        group.rollouts.append(rollouts[-1])
    return rollouts, session.submit(samples)


# --- 2. the reference -------------------------------------------------------------------


@torch.no_grad()
def read_with_reference(reference: Policy, groups: Sequence[Group], settings: GrpoConfig) -> None:
    """Fills in each token's log-probability under the policy at the start."""
    for batch in micro_batches(groups, settings.micro_batch_tokens):
        values = iter(log_probs(reference, batch, settings).tolist())
        for rollout in (rollout for group in batch for rollout in group.rollouts):
            count = len(rollout.completion.token_ids)
            rollout.reference_log_probs = list(islice(values, count))


# --- 3. what could not be scored --------------------------------------------------------


class UnscoredWatch:
    """Ends a run whose share of unscored completions, over a window of steps, is too large.

    Steps before the first count as fully scored, so that a single bad one does not end a run
    that has only begun.
    """

    def __init__(self, settings: RewardConfig, rows: Sequence[Row]) -> None:
        self.settings = settings
        self.shares = deque[float](
            (row["unscored"] / row["completions"] for row in rows), settings.unscored_window
        )

    def check(self, groups: Sequence[Group]) -> None:
        scores = [r.score for group in groups for r in group.rollouts if r.score is not None]
        errors = Counter(score.error.code for score in scores if score.error)
        self.shares.append(errors.total() / len(scores))
        share = sum(self.shares) / self.settings.unscored_window
        if share <= self.settings.max_unscored_share:
            return
        example = next(score.error for score in scores if score.error)
        raise TooManyUnscored(
            f"{share:.0%} of the completions of the last {self.settings.unscored_window} steps "
            f"could not be scored (allowed: {self.settings.max_unscored_share:.0%}). In the last "
            f"step: {', '.join(f'{count} {code}' for code, count in errors.most_common())}; "
            f"for example {example.code}: {example.message}"
        )


# --- 4. the update ----------------------------------------------------------------------


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    groups: Sequence[Group],
    settings: GrpoConfig,
    rate: float,
) -> Row:
    """One step of the optimizer for each minibatch. Returns what there is to know about it."""
    norms, clipped, updated = list[float](), Counter[str](), 0
    for start in range(settings.minibatches):
        minibatch = [group.scored() for group in groups[start :: settings.minibatches]]
        tokens = sum(len(ids) for group in minibatch for ids in group.completion_ids)
        # Without spread the advantages are zero, and so is the gradient but for that of the KL.
        learnable = [
            group
            for group in minibatch
            if has_spread(group.rewards) or (settings.kl_beta and group.rollouts)
        ]
        for batch in micro_batches(learnable, settings.micro_batch_tokens):
            losses, counts = token_losses(policy, batch, settings)
            (losses.sum() / tokens).backward()
            clipped += counts
            updated += len(losses)
        if learnable:
            norms.append(take_step([optimizer], rate, settings.max_grad_norm))
    return {
        "grad_norm": fmean(norms) if norms else 0.0,
        "clipped_low": clipped["low"] / max(1, updated),
        "clipped_high": clipped["high"] / max(1, updated),
        "updated_tokens": updated,
    }


def token_losses(
    policy: Policy, groups: Sequence[Group], settings: GrpoConfig
) -> tuple[Tensor, Counter[str]]:
    """The loss of every completion token, (tokens,), and how many the clip range holds back."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    new = log_probs(policy, groups, settings)
    old = new.new_tensor([x for rollout in rollouts for x in rollout.completion.log_probs])
    advantage = new.new_tensor([r.advantage for r in rollouts for _ in r.completion.token_ids])
    clip = settings.clip_low, settings.clip_high
    losses = clipped_surrogate(new, old, advantage, *clip)
    if settings.kl_beta:
        reference = new.new_tensor([x for rollout in rollouts for x in rollout.reference_log_probs])
        losses = losses + settings.kl_beta * k3(new, reference)
    return losses, held_back(new, old, advantage, *clip)


def log_probs(policy: Policy, groups: Sequence[Group], settings: GrpoConfig) -> Tensor:
    """The log-probability of every completion token, (tokens,), group after group."""
    layout = (packed if settings.packed else plain)(groups, policy.pad_id)
    logits = completion_logits(policy.model, layout) / settings.temperature
    return log_probs_of(logits, layout.targets)
