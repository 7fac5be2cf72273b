"""Punishes completions that are too long, softly: DAPO's over-long penalty.

With the budget L_max and the buffer L_cache, a completion of length L earns (Yu et al. 2025,
arXiv 2503.14476, equation 13)

    0                             where L <= L_max - L_cache
    (L_max - L_cache - L) / L_cache   where L is inside the buffer
    -1                            where L > L_max

Departures: the paper counts tokens, and truncates generation at L_max. The service has no
tokenizer, so it counts code points or words.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import regex
from pydantic import Field, model_validator
from typing_extensions import TypedDict

from verifiers.base import Parameters, Sample, Score, Verifier

WORD_CHARACTERS = 16
"""A run without white space is one word for every so many characters, or part of them. Most
words are shorter, and a completion that leaves out its spaces gains nothing."""

SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = regex.compile(rf"[{SPACELESS}]|[^\s{SPACELESS}]{{1,{WORD_CHARACTERS}}}")


def words(text: str) -> list[str]:
    """The words of `text`; in scripts written without spaces, its code points."""
    return list(WORD.findall(text))


class LengthParameters(Parameters):
    max_length: int = Field(gt=0, description="Where the reward reaches -1, and stays.")
    buffer: int = Field(
        ge=0,
        description="Over how much of the length before that the reward falls from 0 to -1; "
        "0 is a sharp limit.",
    )
    unit: Literal["character", "word"] = Field(
        "character",
        description="What is counted, reasoning included: code points, or words, where a run "
        f"without white space counts as one word for every {WORD_CHARACTERS} characters, and "
        "scripts without spaces as one for each.",
    )

    @model_validator(mode="after")
    def _buffer_fits(self) -> Self:
        if self.buffer > self.max_length:
            raise ValueError("buffer may not exceed max_length")
        return self


class LengthDetails(TypedDict, total=False):
    """`details` of a score of `length`."""

    length: int
    """Of the completion, in `unit`s."""


class Length(Verifier[LengthParameters]):
    """Rewards staying within a length: 0, falling to -1 over the last stretch before it.

    A penalty, to be added to what rewards being right: an empty completion earns the top.
    `details` holds the length.
    """

    name = "length"
    version = "1"
    parameters_type = LengthParameters
    details_type = LengthDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Say hello.",
        "completion": "Hello!",
        "scorer": {"type": "length", "max_length": 4096, "buffer": 1024},
    }

    @property
    def reward_range(self) -> tuple[float, float]:
        return (-1.0, 0.0)

    def score_one(self, sample: Sample) -> Score:
        options = self.parameters
        length = len(sample.text) if options.unit == "character" else len(words(sample.text))
        excess = length - (options.max_length - options.buffer)
        details = {"length": length}
        if excess <= 0:
            return Score(reward=0.0, outcome="correct", details=details)
        if excess >= options.buffer:
            return Score(reward=-1.0, outcome="incorrect", details=details)
        return Score(reward=-excess / options.buffer, outcome="partial", details=details)
