"""The training loop: one that serves whole networks and heads on fixed features alike.

Everything it does follows from the options, the pairs and the update's number, so a run that
goes on from a checkpoint ends in the very weights of one that was never interrupted.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from judges.reward_model.preferences import Pair, bootstrap_groups
from judges.reward_model.train.options import Options

MAX_GRADIENT_NORM = 1.0

Rewards = Callable[[Sequence[int]], Tensor]
"""Rewards of the texts with these indices: (texts, heads)."""

Watch = Callable[[int, int, float], None]
"""Told after every update: how many are done, of how many, and the best validation loss."""


class TrainingFailed(RuntimeError):
    """Training cannot go on. The message says what to do."""


def preference_loss(
    chosen: Tensor,
    rejected: Tensor,
    margin: Tensor,
    weight: Tensor,
    *,
    label_smoothing: float = 0.0,
    centering: float = 0.0,
) -> Tensor:
    """The weighted sum over pairs and heads of the loss of one comparison: a scalar.

    -(1 - s) log σ(Δ - m) - s log σ(-(Δ - m)) + c (r_chosen + r_rejected)²

    with Δ = r_chosen - r_rejected. The first term is Bradley and Terry (1952) as in Ouyang
    et al. 2022 (arXiv 2203.02155, equation 1), the margin m that of Llama 2 (2307.09288,
    equation 2), s the share of labels taken to be wrong, and the last term keeps rewards
    around zero, which comparisons leave free (Eisenstein et al. 2023, 2312.09244).

    Args:
        chosen, rejected: rewards, (pairs, heads).
        margin: (pairs, 1).
        weight: (pairs, heads); a head's bootstrap sample times the pair's own weight.
    """
    difference = chosen - rejected - margin
    loss = -(1 - label_smoothing) * logsigmoid(difference)
    loss = loss - label_smoothing * logsigmoid(-difference)
    return (weight * (loss + centering * (chosen + rejected) ** 2)).sum()


@dataclass
class Progress:
    """Where a run is."""

    update: int = 0
    best_update: int = 0
    best_loss: float = math.inf
    looks: list[tuple[int, float, float]] = field(default_factory=list)
    """(update, mean training loss since the look before, validation loss)"""
    losses: list[float] = field(default_factory=list)
    """Of the updates since the last look."""


@dataclass
class Run:
    """One training run.

    Args:
        rewards: pair i is the texts 2i (chosen) and 2i + 1 (rejected).
        groups: parameters as `torch.optim.AdamW` takes them.
        lengths: tokens of each pair's longer text, which decide how many are scored at a
            time; all at once without them.
        validation: indices of the pairs that decide when to stop, and are not trained on.
        checkpoint: a file to go on from, and to save progress in.
    """

    rewards: Rewards
    groups: list[dict[str, Any]]
    pairs: Sequence[Pair]
    validation: Sequence[int]
    options: Options
    lengths: Sequence[int] | None = None
    checkpoint: Path | None = None
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        apart = set(self.validation)
        self.trained = [index for index in range(len(self.pairs)) if index not in apart]
        if not self.trained:
            raise TrainingFailed(
                "no pairs are left to train on; lower --held-out-share or --validation-share"
            )
        self.margin = torch.tensor([[pair.margin] for pair in self.pairs])
        self.weight = torch.tensor([[pair.weight] for pair in self.pairs])
        self.drawn = self.weight * bootstrap_counts(self.pairs, self.options)
        self.updates = update_count(len(self.trained), self.options)
        self.optimizer = torch.optim.AdamW(self.groups)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.parameters = [p for group in self.groups for p in group["params"]]
        self.best = self._copies()

    def go(self, watch: Watch | None = None) -> Progress:
        """Updates the parameters, and leaves them as they were at their best.

        Raises:
            TrainingFailed: the loss became NaN, or the checkpoint is another run's.
        """
        self._resume()
        if self.validation and not self.progress.update:
            self.progress.best_loss = self._validation_loss()
        batches = self._batches()
        while self.progress.update < self.updates and not self._is_over():
            self._update(next(batches))
            if self._is_time_to_look():
                self._look()
                self._save()
            if watch:
                watch(self.progress.update, self.updates, self.progress.best_loss)
        self._restore(self.best)
        return self.progress

    # --- one update ---------------------------------------------------------------------

    def _update(self, batch: Sequence[int]) -> None:
        loss = self._mean_loss(batch, self.drawn, learn=True)
        if not math.isfinite(loss):
            raise TrainingFailed("the loss is no longer a number; lower the learning rate")
        nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.progress.update += 1
        self.progress.losses.append(loss)

    def _mean_loss(self, indices: Sequence[int], weight: Tensor, *, learn: bool) -> float:
        """Over pairs and heads by weight. With `learn`, its gradient is left behind."""
        heads = self.options.heads
        total = float(weight[list(indices)].expand(-1, heads).sum())
        mean = 0.0
        for part in self._parts(indices):
            loss = self._summed_loss(part, weight) / max(total, 1e-9)
            if learn:
                loss.backward()
            mean += float(loss.detach())
        return mean

    def _summed_loss(self, indices: list[int], weight: Tensor) -> Tensor:
        both = self.rewards([text for i in indices for text in (2 * i, 2 * i + 1)])
        return preference_loss(
            both[0::2],
            both[1::2],
            self.margin[indices].to(both.device),
            weight[indices].to(both.device),
            label_smoothing=self.options.label_smoothing,
            centering=self.options.centering,
        )

    def _parts(self, indices: Sequence[int]) -> Iterator[list[int]]:
        """The pairs, as many at a time as memory is meant for."""
        if self.lengths is None:
            yield list(indices)
            return
        part: list[int] = []
        for index in sorted(indices, key=self.lengths.__getitem__):
            tokens = 2 * (len(part) + 1) * self.lengths[index]
            if part and tokens > self.options.micro_batch_tokens:
                yield part
                part = []
            part.append(index)
        yield part

    def _batches(self) -> Iterator[list[int]]:
        """Each epoch's pairs in an order of its own, from where the run stands."""
        size, skip = self.options.batch_pairs, self.progress.update
        epoch = 0
        while True:
            order = self.trained.copy()
            random.Random(f"{self.options.seed}:{epoch}").shuffle(order)
            for start in range(0, len(order), size):
                if skip:
                    skip -= 1
                else:
                    yield order[start : start + size]
            epoch += 1

    def _rate(self, update: int) -> float:
        """Linear warm-up, then linearly to 0."""
        warmup = self.options.warmup * self.updates
        if update < warmup:
            return (update + 1) / (warmup + 1)
        return max(self.updates - update, 0) / max(self.updates - warmup, 1)

    # --- when to stop -------------------------------------------------------------------

    def _is_time_to_look(self) -> bool:
        done = self.progress.update
        return done % self.options.evaluate_every == 0 or done == self.updates

    @torch.no_grad()
    def _validation_loss(self) -> float:
        return self._mean_loss(self.validation, self.weight, learn=False)

    def _look(self) -> None:
        progress = self.progress
        loss = self._validation_loss() if self.validation else math.nan
        learned = sum(progress.losses) / len(progress.losses)
        progress.looks.append((progress.update, learned, loss))
        progress.losses.clear()
        if not self.validation or loss < progress.best_loss:
            progress.best_update = progress.update
            progress.best_loss = min(loss, progress.best_loss)
            self.best = self._copies()

    def _is_over(self) -> bool:
        waited = self.progress.update - self.progress.best_update
        return waited >= self.options.patience * self.options.evaluate_every

    def _copies(self) -> list[Tensor]:
        return [parameter.detach().cpu().clone() for parameter in self.parameters]

    @torch.no_grad()
    def _restore(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    # --- checkpoints --------------------------------------------------------------------

    @cached_property
    def _signature(self) -> str:
        """Of all that decides the run's course."""
        pairs = [(p.group, p.chosen, p.rejected, p.margin, p.weight) for p in self.pairs]
        content = repr([self.options, pairs, list(self.validation)])
        return hashlib.sha256(content.encode()).hexdigest()

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        state = {
            "signature": self._signature,
            "progress": asdict(self.progress),
            "parameters": self._copies(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(state, unfinished)
        os.replace(unfinished, self.checkpoint)

    def _resume(self) -> None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if state["signature"] != self._signature:
            raise TrainingFailed(
                f"{self.checkpoint} belongs to a run with other data or options; "
                "delete it, or give this run another output folder"
            )
        self._restore(state["parameters"])
        self.best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.progress = Progress(**state["progress"])


def bootstrap_counts(pairs: Sequence[Pair], options: Options) -> Tensor:
    """How often each head sees each pair: (pairs, heads).

    A lone head sees every pair once. Each of several draws the groups anew, with replacement,
    so that the heads' spread tells how much the data decides.
    """
    if options.heads == 1:
        return torch.ones(len(pairs), 1)
    seeds = range(options.seed * options.heads, (options.seed + 1) * options.heads)
    return torch.tensor([bootstrap_groups(pairs, seed) for seed in seeds]).T.float()


def update_count(pairs: int, options: Options) -> int:
    """As many as the epochs have, and never more than the cap."""
    in_an_epoch = math.ceil(pairs / options.batch_pairs)
    return min(options.max_updates, max(1, round(options.epochs * in_an_epoch)))
