"""TRL: reward functions for GRPOTrainer, RLOOTrainer and AsyncGRPOTrainer.

    trainer = GRPOTrainer(..., reward_funcs=[Reward("http://127.0.0.1:8000", "math")])

Give TRL one of these, with a `weighted` scorer where there are several parts: TRL sums several
reward functions as if a missing reward among them were 0. It calls one process's rows at a
time, so a scorer that compares the completions of a group needs all of them in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from trainer_client.adapters.remote import RemoteScorer
from trainer_client.types import Score
from trainer_client.wire import Spec


class Reward:
    """A reward function. None stays None: TRL leaves it out of the group.

    Logged are each completion's `outcome`, the means of the components, and the share that
    could not be scored.

    Args:
        reference: the column of the dataset that holds what is right; None where the scorer
            needs none.
        name: what TRL logs the reward under.
    """

    def __init__(
        self,
        url: str,
        scorer: Spec,
        *,
        reference: str | None = "answer",
        name: str = "assay",
        **options: Any,
    ) -> None:
        self.remote = RemoteScorer(url, scorer, **options)
        self.reference = reference
        self.__name__ = name

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        return self.logged(self.remote.score(self.samples(prompts, completions, columns)), columns)

    def samples(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: dict[str, Any]
    ) -> list[dict[str, Any]]:
        references = [None] * len(prompts) if self.reference is None else columns[self.reference]
        rows = zip(prompts, completions, references, group_names(prompts), strict=True)
        return [
            {"prompt": prompt, "completion": last(completion), "reference": right, "group": group}
            for prompt, completion, right, group in rows
        ]

    def logged(self, scores: Sequence[Score], columns: dict[str, Any]) -> list[float | None]:
        log_extra: Callable[..., None] | None = columns.get("log_extra")
        log_metric: Callable[..., None] | None = columns.get("log_metric")
        if log_extra is not None:
            codes = [score.outcome or (score.error and score.error.code) for score in scores]
            log_extra(f"{self.__name__}/outcome", codes)
        if log_metric is not None:
            log_metric(f"{self.__name__}/unscored", fmean(not score.scored for score in scores))
            for part in sorted({part for score in scores for part in score.components}):
                values = [s.components[part] for s in scores if part in s.components]
                log_metric(f"{self.__name__}/{part}", fmean(values))
        return [score.reward for score in scores]


class AsyncReward(Reward):
    """The same as a coroutine, so that several reward functions wait at the same time."""

    async def __call__(  # type: ignore[override]
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        samples = self.samples(prompts, completions, columns)
        return self.logged(await self.remote.score_async(samples), columns)


def last(completion: str | Sequence[dict[str, Any]]) -> str | dict[str, Any]:
    """A conversational completion's last assistant message."""
    if isinstance(completion, str):
        return completion
    spoken = [message for message in completion if message.get("role") == "assistant"]
    return {"role": "assistant", "content": spoken[-1].get("content") if spoken else ""}


def group_names(prompts: Sequence[Any]) -> Iterator[str]:
    """TRL repeats a prompt for each of its completions: equal neighbours are a group."""
    number = 0
    for index, prompt in enumerate(prompts):
        number += index > 0 and prompt != prompts[index - 1]
        yield str(number)
