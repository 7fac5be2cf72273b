"""Over-optimisation, seen from the trainer: gold scores some of what the proxy scored.

The reward that a policy is trained on stands for something else: it is a proxy. Gold, an exact
verifier or a judge that was held out, scores a sample of each step's completions as well. The
service is told how both did, and how far the policy has gone (`POST /v1/monitors/RUN`), and
raises an alarm when the proxy rises while gold falls. Then the run ends with the policy from
where gold was best, unless it was told to go on.

Nothing is learned from gold, and the sample depends on the seed and the step alone. What was
reported is kept in metrics.jsonl: a run that is resumed tells it again to a service that was
restarted meanwhile, or that has heard of steps which the run made anew.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, zip_longest
from statistics import fmean
from typing import Any

from trainer_client.client import RewardClient
from trainer_client.train.config import MonitorConfig
from trainer_client.train.rollouts import Group, Rollout, divergence, share
from trainer_client.train.run_folder import Row
from trainer_client.train.stopping import OverOptimised, StopSignals
from trainer_client.types import MonitorVerdict, Score

Asked = tuple[list[int], Future[list[Score]]]
"""The group of each completion that gold was asked about, and its scores to come."""


@dataclass(slots=True)
class GoldWatch:
    """The watch of the run with this name. Without `monitor.gold` it does nothing."""

    client: RewardClient
    signals: StopSignals
    settings: MonitorConfig
    seed: int
    name: str
    verdict: MonitorVerdict | None = None
    told: bool = False
    """Whether the alarm was told of, where it does not end the run."""

    @property
    def best(self) -> int | None:
        """After which step the policy was the one that gold likes best so far."""
        return best_policy(self.verdict) if self.verdict is not None else None

    def looks_at(self, step: int) -> bool:
        """Whether the step after `step` others is one that gold sees."""
        return bool(self.settings.gold) and step % self.settings.every == 0

    def remind(self, rows: Sequence[Row]) -> None:
        """Makes sure that the service knows what was reported until now."""
        reports = [row["monitor"]["report"] for row in rows if "monitor" in row]
        if not (self.settings.gold and reports):
            return
        self._tell(reports[-1])  # it takes back whatever the service has heard since
        if self.verdict is None or self.verdict.observations != len(reports):
            for report in reports:
                self._tell(report)

    def ask(self, groups: Sequence[Group], step: int) -> Asked | None:
        """Sends a sample of the completions to gold."""
        if not self.looks_at(step):
            return None
        dice = random.Random(f"{self.seed}/gold/{step}")
        chosen = spread(groups, self.settings.rollouts, dice)
        samples = [groups[index].problem.sample(rollout.text) for index, rollout in chosen]
        future = self.client.submit(samples, self.settings.gold, run=f"{self.name}-gold")
        return [index for index, _ in chosen], future

    def hear(self, groups: Sequence[Group], asked: Asked, step: int) -> Row:
        """What gold says of the sample, and the service of the run. `step` counts from 0."""
        members, future = asked
        scores = self.signals.result_of(future)
        by_group: defaultdict[int, list[float]] = defaultdict(list)
        for index, score in zip(members, scores, strict=True):
            if score.reward is not None:
                by_group[index].append(score.reward)
        # Completions of one prompt are alike: gold's error is that of means over prompts.
        gold = [fmean(rewards) for rewards in by_group.values()]
        row: Row = {
            "gold": fmean(gold) if gold else None,
            "gold_unscored": sum(not score.scored for score in scores),
        }
        if len(gold) < 2:
            return row  # of one there is no error to tell
        report = report_of(groups, gold, step + 1)
        verdict = self._tell(report)
        said = {"alarm": verdict.alarm, "reason": verdict.reason, "best_step": verdict.best_step}
        return row | {"monitor": {"report": report, **said, "turnover_kl": verdict.turnover_kl}}

    def check(self) -> str:
        """What is to be said of an alarm, the first time that there is one.

        Raises:
            OverOptimised: it is to end the run.
        """
        if self.told or self.verdict is None or not self.verdict.alarm:
            return ""
        alarm = OverOptimised(self.verdict)
        if self.settings.stop:
            raise alarm
        self.told = True
        return f"{alarm}; going on all the same"

    def _tell(self, report: Row) -> MonitorVerdict:
        self.verdict = self.signals.result_of(self.client.submit_report(self.name, report))
        return self.verdict


def best_policy(verdict: MonitorVerdict) -> int:
    """After how many steps gold was best: a step shows the policy that it begins with."""
    return max(0, (verdict.best_step or 0) - 1)


def spread(groups: Sequence[Group], count: int, dice: random.Random) -> list[tuple[int, Rollout]]:
    """`count` scored rollouts of as many groups as there are, each with its group's index."""
    columns = []
    for index in dice.sample(range(len(groups)), len(groups)):
        scored = groups[index].scored().rollouts
        columns.append([(index, each) for each in dice.sample(scored, len(scored))])
    in_turn = chain.from_iterable(zip_longest(*columns))
    return [each for each in in_turn if each is not None][:count]


def report_of(groups: Sequence[Group], gold: Sequence[float], step: int) -> dict[str, Any]:
    """A step as the service's monitor takes it; of the proxy, it needs the mean alone."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    lengths = [len(rollout.completion.token_ids) for rollout in rollouts]
    return {
        "step": step,
        "kl": divergence(rollouts),
        "proxy": [fmean(rewards)],
        "gold": list(gold),
        "length": fmean(lengths),
        "flagged": flagged(rollout.score for rollout in rollouts),
    }


def flagged(scores: Iterable[Score | None]) -> float | None:
    """The share that a reward model's guards flagged; None where none has any."""
    return share([bool(s.details["flags"]) for s in scores if s and "flags" in s.details])
