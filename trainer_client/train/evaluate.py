"""Measures a policy on problems that it was not trained on. The service is the judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from operator import attrgetter
from statistics import fmean
from typing import Any

from trainer_client.train.config import Config
from trainer_client.train.engines import sample
from trainer_client.train.engines.sampling import Sampling, generator_for
from trainer_client.train.policy import Policy
from trainer_client.train.tasks.problem import Problem
from trainer_client.types import Score

ScoreFunction = Callable[[Sequence[Mapping[str, Any]]], Sequence[Score]]

EXAMPLES = 8
"""Greedy completions kept with each measurement."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Shares of right completions among those that were found right or wrong; None where the
    scorer is a judge that only rates."""

    problems: int
    greedy: float | None
    """Exact match of the likeliest completion (token by token)."""
    sampled: float | None
    """Exact match at temperature 1."""
    pass_at_k: float | None
    """The share of problems with a right one among k samples."""
    k: int
    reward: float | None
    """The mean reward at temperature 1."""
    unscored: int
    examples: list[dict[str, Any]]

    def __str__(self) -> str:
        figures = (("greedy", self.greedy), ("sampled", self.sampled))
        words = [f"{name} {value:6.1%}" for name, value in figures if value is not None]
        if self.sampled is None and self.reward is not None:
            words.append(f"reward {self.reward:.3f}")
        words += [f"{self.unscored} unscored"] if self.unscored else []
        return "  ".join(words)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    policy: Policy, problems: Sequence[Problem], score: ScoreFunction, config: Config
) -> Measurement:
    """Greedy and sampled exact match on `problems`. The draws are the same every time."""
    k = config.evaluation.samples
    greedy = attempt(policy, problems, score, config, temperature=0.0, size=1)
    sampled = attempt(policy, problems, score, config, temperature=1.0, size=k)
    by_problem = [sampled[start : start + k] for start in range(0, len(sampled), k)]
    return Measurement(
        problems=len(problems),
        greedy=share_correct([score for _, score in greedy]),
        sampled=share_correct([score for _, score in sampled]),
        pass_at_k=mean([any_correct([score for _, score in group]) for group in by_problem]),
        k=k,
        reward=mean([score.reward for _, score in sampled]),
        unscored=sum(not score.scored for _, score in greedy + sampled),
        examples=[
            {"prompt": problem.prompt, "completion": text, "outcome": score.outcome}
            for problem, (text, score) in zip(problems[:EXAMPLES], greedy, strict=False)
        ],
    )


def attempt(
    policy: Policy,
    problems: Sequence[Problem],
    score: ScoreFunction,
    config: Config,
    *,
    temperature: float,
    size: int,
) -> list[tuple[str, Score]]:
    """`size` completions of each problem in order, as text and as scored."""
    prompts = policy.encode([problem.prompt for problem in problems])
    sampling = Sampling(
        group_size=size,
        max_new_tokens=config.evaluation.max_new_tokens,
        temperature=temperature,
        end_ids=policy.end_ids,
        pad_id=policy.pad_id,
        batch_size=config.grpo.sampling_batch,
    )
    generator = generator_for(policy.model.device, config.seed, "evaluation", 0)
    batches = sample(policy.model, prompts, sampling, generator)
    completions = sorted(chain.from_iterable(batches), key=attrgetter("prompt"))
    texts = policy.decode([completion.token_ids for completion in completions])
    samples = [
        problems[completion.prompt].sample(text)
        for completion, text in zip(completions, texts, strict=True)
    ]
    return list(zip(texts, score(samples), strict=True))


def share_correct(scores: Sequence[Score]) -> float | None:
    return mean([score.correct for score in scores])


def any_correct(scores: Sequence[Score]) -> float | None:
    """Whether one of them is right; None where one that could tell was not scored."""
    if any(score.correct for score in scores):
        return 1.0
    return None if any(score.correct is None for score in scores) else 0.0


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
