"""The parameters of a rubric's scorer: who judges, how, and what is shown."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from judges.rubric.calibration import Calibration
from judges.rubric.rubric import MAX_CRITERIA, Rubric
from verifiers.base import Parameters
from verifiers.extract import AnswerFrom
from verifiers.sample import Name

MAX_SAMPLES = 16
"""Each is paid for, by every judge of a panel."""


class RubricParameters(Parameters):
    rubric: Rubric | Name | None = Field(
        None,
        description="The rubric, or the name of one. Left out, each sample brings its own as its "
        "reference, in which `answer` is the reference that criteria compare with.",
    )
    judge: Name | list[Name] | dict[Name, Annotated[float, Field(gt=0.0, le=1e6)]] | None = Field(
        None,
        description="Who judges: a name, several, or names with weights. May be left out where "
        "there is only one.",
    )
    mode: Literal["pointwise", "pairwise", "listwise"] = Field(
        "pointwise",
        description="Each completion by itself, or the completions of a group against each other, "
        "two at a time or all at once; always in both orders.",
    )
    samples: int = Field(1, ge=1, le=MAX_SAMPLES, description="Verdicts of each judge, averaged.")
    temperature: float = Field(0.0, ge=0.0, le=2.0, description="Of the judges' sampling.")
    reasoning_tokens: int = Field(
        0, ge=0, le=1_000_000, description="More tokens, for judges that think before they reply."
    )
    probabilities: bool = Field(
        False,
        description="Ask for each option's probability instead of a verdict in words; one call a "
        "criterion. Judges that tell none fail.",
    )
    calibration: Calibration | None = Field(
        None,
        description="Applied to the panel's value of each criterion, or of each pair over both "
        "orders.",
    )
    criteria_per_call: int = Field(
        16, ge=1, le=MAX_CRITERIA, description="How many criteria a judge reads at once."
    )
    opponents: int | None = Field(
        None,
        ge=1,
        description="Pairwise: against how many others each is compared; all of them by default, "
        "which groups of over 64 are too large for.",
    )
    max_characters: int = Field(
        65_536,
        ge=1,
        le=1_000_000,
        description="A longer completion is `rejected`: the lowest reward, and no call.",
    )
    answer_from: AnswerFrom = Field("final", description="Which part of the completion is judged.")
    screen: bool = Field(
        True, description="Completions that say nothing earn the lowest reward without a call."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the order in which things are shown.")

    @model_validator(mode="after")
    def _modes_fit(self) -> Self:
        if self.mode == "listwise" and self.probabilities:
            raise ValueError("listwise verdicts have no probabilities")
        if self.mode == "listwise" and self.calibration:
            raise ValueError("grades of a list are relative, and have no calibration")
        if self.opponents is not None and self.mode != "pairwise":
            raise ValueError("`opponents` is for the mode pairwise")
        return self
