"""What the trainers are told of scores beside the rewards."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from trainer_client.types import Score


def outcomes(scores: Sequence[Score]) -> list[str | None]:
    """In a word, for each: the outcome, or why there is none."""
    return [score.error.code if score.error else score.outcome for score in scores]


def means(scores: Sequence[Score]) -> dict[str, float]:
    """The share that could not be scored, and the mean of each component."""
    parts = sorted({part for score in scores for part in score.components})
    return {
        "unscored": fmean(not score.scored for score in scores) if scores else 0.0,
        **{
            part: fmean(s.components[part] for s in scores if part in s.components)
            for part in parts
        },
    }


def components(score: Score | None, names: Sequence[str]) -> dict[str, float]:
    """These components, 0.0 where there are none: for trainers that want constant keys."""
    found = score.components if score is not None else {}
    return {name: float(found.get(name, 0.0)) for name in names}
