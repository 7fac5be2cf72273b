"""The rollouts of a step, by group, and the numbers that describe them."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp
from statistics import fmean, pstdev

from trainer_client.train.algorithms.advantages import has_spread
from trainer_client.train.engines.sampling import Completion
from trainer_client.train.run_folder import Row
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import Score


@dataclass(slots=True)
class Rollout:
    """A completion and what became of it."""

    completion: Completion
    text: str
    score: Score | None = None
    """None until the service has answered."""
    advantage: float = 0.0
    reference_log_probs: list[float] = field(default_factory=list)

    @property
    def reward(self) -> float | None:
        return None if self.score is None else self.score.reward


@dataclass(slots=True)
class Group:
    """A problem and all rollouts of it."""

    problem: Problem
    prompt_ids: list[int]
    rollouts: list[Rollout] = field(default_factory=list)

    @property
    def completion_ids(self) -> list[list[int]]:
        return [rollout.completion.token_ids for rollout in self.rollouts]

    @property
    def rewards(self) -> list[float | None]:
        return [rollout.reward for rollout in self.rollouts]

    def scored(self) -> Group:
        """The group without the rollouts that could not be scored."""
        kept = [rollout for rollout in self.rollouts if rollout.reward is not None]
        return Group(self.problem, self.prompt_ids, kept)


class Laps:
    """A stopwatch that says what each second was spent on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._since = time.perf_counter()

    def lap(self, what: str) -> None:
        """Everything since the last lap was spent on `what`."""
        now = time.perf_counter()
        self.seconds[what] += now - self._since
        self._since = now


def describe(groups: Sequence[Group]) -> Row:
    """The numbers of a step's rollouts. Those of rewards are over scored completions."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    scores = [rollout.score for rollout in rollouts if rollout.score is not None]
    rewards = [score.reward for score in scores if score.reward is not None]
    errors = Counter(score.error.code for score in scores if score.error is not None)
    lengths = [len(rollout.completion.token_ids) for rollout in rollouts]
    truncated = [rollout.completion.finish_reason == "length" for rollout in rollouts]
    log_probs = [value for rollout in rollouts for value in rollout.completion.log_probs]
    row: Row = {
        "completions": len(rollouts),
        "reward": fmean(rewards) if rewards else None,
        "reward_std": pstdev(rewards) if rewards else None,
        "exact": share([score.correct for score in scores if score.correct is not None]),
        "unscored": errors.total(),
        "unscored_by_code": dict(errors),
        "groups_without_spread": share([not has_spread(group.rewards) for group in groups]),
        # Minus the log-probability of what was sampled, whose mean is the entropy.
        "entropy": -fmean(log_probs),
        "length": fmean(lengths),
        "length_max": max(lengths),
        "truncated": share(truncated),
        "tokens": sum(lengths),
    }
    divergences = list(k3_of_rollouts(rollouts))
    return row | ({"kl": fmean(divergences)} if divergences else {})


def divergence(rollouts: Sequence[Rollout]) -> float:
    """KL(policy || reference) of a whole completion, in nats: the mean log ratio (k1).

    Unbiased as k3 is, and far from the start, where k3 has a heavy tail, much less noisy. Near
    the start it may be negative by chance.
    """
    ratios = [
        sum(rollout.completion.log_probs) - sum(rollout.reference_log_probs) for rollout in rollouts
    ]
    return fmean(ratios)


def k3_of_rollouts(rollouts: Sequence[Rollout]) -> Iterator[float]:
    """The k3 estimate of KL(policy || reference) at each token; see `algorithms/grpo.py`."""
    for rollout in rollouts:
        pairs = zip(rollout.reference_log_probs, rollout.completion.log_probs, strict=False)
        for reference, sampled in pairs:
            yield exp(reference - sampled) - 1 - (reference - sampled)


def share(claims: Sequence[bool]) -> float | None:
    """How many of them are true, between 0 and 1; None of none."""
    return fmean(claims) if claims else None


def sample_rows(step: int, groups: Sequence[Group]) -> Iterator[Row]:
    """What samples.jsonl keeps of these groups."""
    for group in groups:
        for rollout in group.rollouts:
            score = rollout.score
            yield {
                "step": step,
                "prompt": group.problem.prompt,
                "reference": group.problem.reference,
                "completion": rollout.text,
                "reward": rollout.reward,
                "outcome": score and score.outcome,
                "error": score and score.error and score.error.code,
                "advantage": rollout.advantage,
                "finish_reason": rollout.completion.finish_reason,
            }


def in_short(row: Row) -> str:
    """A step in a few words, for the progress bar."""
    reward = "none scored" if row["reward"] is None else f"reward {row['reward']:.3f}"
    unscored = f", {row['unscored']} unscored" if row["unscored"] else ""
    gold = f", gold {row['gold']:.3f}" if row.get("gold") is not None else ""
    speed = row["tokens"] / sum(row["seconds"].values())
    return f"{reward}{gold}{unscored}  {speed:,.0f} tokens/s"
