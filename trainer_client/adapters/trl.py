"""TRL: reward functions for GRPOTrainer, RLOOTrainer and AsyncGRPOTrainer.

    trainer = GRPOTrainer(..., reward_funcs=[Reward("http://127.0.0.1:8000", "math")])

Give TRL one of these, with a `weighted` scorer where there are several parts: TRL sums several
reward functions as if a missing reward among them were 0. It calls one process's rows at a
time, so a scorer that compares the completions of a group needs all of them in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer_client.adapters.logs import means, outcomes
from trainer_client.adapters.remote import RemoteScorer
from trainer_client.adapters.texts import neighbours, reply_in
from trainer_client.types import Score
from trainer_client.wire import Spec

Rows = Sequence[Any]


class Reward:
    """A reward function. None stays None: TRL leaves it out of the group.

    Args:
        reference: the column of the dataset that holds what is right, if the scorer needs it.
        name: what TRL logs the reward under, with outcomes, components and the share unscored.
        options: of `RemoteScorer`.
    """

    def __init__(
        self, url: str, scorer: Spec, *, reference: str | None = "answer", name: str = "assay",
        **options: Any,
    ) -> None:  # fmt: skip
        self.remote = RemoteScorer(url, scorer, **options)
        self.reference = reference
        self.__name__ = name

    def __call__(self, prompts: Rows, completions: Rows, **columns: Any) -> Any:
        return self.logged(self.remote.score(self.samples(prompts, completions, columns)), columns)

    def samples(self, prompts: Rows, completions: Rows, columns: dict[str, Any]) -> list[Any]:
        references = [None] * len(prompts) if self.reference is None else columns[self.reference]
        rows = zip(prompts, completions, references, neighbours(prompts), strict=True)
        return [
            {"prompt": prompt, "completion": reply_in(spoken), "reference": right, "group": group}
            for prompt, spoken, right, group in rows
        ]

    def logged(self, scores: Sequence[Score], columns: dict[str, Any]) -> list[float | None]:
        if (log_extra := columns.get("log_extra")) is not None:
            log_extra(f"{self.__name__}/outcome", outcomes(scores))
        if (log_metric := columns.get("log_metric")) is not None:
            for name, value in means(scores).items():
                log_metric(f"{self.__name__}/{name}", value)
        return [score.reward for score in scores]


class AsyncReward(Reward):
    """The same as a coroutine, so that several reward functions wait at the same time."""

    async def __call__(self, prompts: Rows, completions: Rows, **columns: Any) -> Any:
        samples = self.samples(prompts, completions, columns)
        return self.logged(await self.remote.score_async(samples), columns)
