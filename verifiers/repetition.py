"""Punishes completions that repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import regex
from pydantic import Field
from typing_extensions import TypedDict

from verifiers.base import Parameters, Sample, Score, Verifier
from verifiers.length import SPACELESS, WORD_CHARACTERS

PIECE_CHARACTERS = 4
"""Of a run too long to be a word: so short that a run's repeats show within one of it."""

RUN = rf"[^\s{SPACELESS}]"
TOKEN = regex.compile(
    rf"[{SPACELESS}]|{RUN}{{1,{WORD_CHARACTERS}}}+(?!{RUN})|{RUN}{{1,{PIECE_CHARACTERS}}}"
)


class RepetitionParameters(Parameters):
    n: int = Field(
        4,
        ge=1,
        le=10,
        description="How many words in a row count as repeated when they occur again. Ordinary "
        "prose repeats single words, and next to no four of them.",
    )


class RepetitionDetails(TypedDict, total=False):
    """`details` of a score of `repetition`."""

    ngrams: int
    """Of the completion."""
    distinct: int
    """N-grams that differ."""


class Repetition(Verifier[RepetitionParameters]):
    """Rewards not repeating oneself: minus the share of n-grams that occurred before.

    The reward is -(1 - distinct n-grams / n-grams), which is distinct-n (Li et al. 2016,
    arXiv 1510.03055) less 1; texts of fewer than n words earn 0. Departures: a run without
    white space that is over 16 characters long is chopped into pieces of 4, and scripts without
    spaces into code points, so that "aaaa…" and Chinese count too. All of the completion is
    read, reasoning included.

    A penalty, to be added to what rewards being right: an empty completion earns the top.
    `details` holds the numbers of n-grams and of distinct ones.
    """

    name = "repetition"
    version = "1"
    parameters_type = RepetitionParameters
    details_type = RepetitionDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Describe a fox.",
        "completion": "A small hunter with red fur, keen ears and a tail as long as its luck.",
        "scorer": {"type": "repetition"},
    }

    @property
    def reward_range(self) -> tuple[float, float]:
        return (-1.0, 0.0)

    def score_one(self, sample: Sample) -> Score:
        total, distinct = ngram_counts(TOKEN.findall(sample.text), self.parameters.n)
        return Score(
            reward=(distinct - total) / total if total else 0.0,
            outcome="correct" if distinct == total else "partial",
            details={"ngrams": total, "distinct": distinct},
        )


def ngram_counts(tokens: Sequence[str], n: int) -> tuple[int, int]:
    """How many n-grams `tokens` has, and how many different ones."""
    total = max(0, len(tokens) - n + 1)
    return total, len(set(zip(*(tokens[i:] for i in range(n)), strict=False)))
