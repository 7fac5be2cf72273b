"""What counts as the same answer where mathematics alone does not say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from verifiers.base import Parameters

AnswerFrom = Literal["auto", "boxed", "stated", "display", "number", "completion"]
"""Where the answer is read. `auto` takes the first that is there: the last box; what an
"answer is", "Answer:", "####" or "答案" announces; the whole completion where it is
nothing but an answer; the formula or number that the last sentence concludes with."""


class MathParameters(Parameters):
    answer_from: AnswerFrom = Field(
        "auto",
        description="Where the answer is read: `boxed` the last \\boxed{}, `stated` what the "
        "last 'the answer is' or '####' announces, `display` the last displayed formula, "
        "`number` the last number anywhere, `completion` all of it; `auto` the first of "
        "these that is there, taking a formula or number only from a concluding sentence.",
    )
    reasoning_tags: list[str] = Field(
        ["think"],
        max_length=8,
        description="Further tags whose content is reasoning; those of known models count anyway. "
        "No answer is read inside them, and one left open means that there is no answer.",
    )
    form: Literal["solved", "any"] = Field(
        "solved",
        description="solved: an answer that is equal and solves nothing is `unsolved` and earns 0: "
        "an integral, sum or limit that is left to be computed, a relation that is not solved for "
        "its variable, what the prompt itself prints or asks to be converted or factored. any: "
        "whatever is equal is right.",
    )
    several_boxes: Literal["reject", "last"] = Field(
        "reject",
        description="Boxes that disagree: reject the completion as guessing, or take the last.",
    )
    rounding: Literal["never", "reference", "both"] = Field(
        "reference",
        description="Whether a value that rounds to the other side's stated digits is equal "
        "to it: never; where the reference is the rounded one, or a decimal that the answer "
        "rounds by one more place; or both ways. Fewer than three significant digits are never "
        "taken for rounding.",
    )
    units: Literal["check", "ignore"] = Field(
        "check",
        description="check: convert units, a unit of another kind is wrong, a missing one is "
        "not. ignore: compare the numbers alone.",
    )
    percent: Literal["either", "fraction", "strict"] = Field(
        "either",
        description="What 50% equals: 0.5 and 50 (either), 0.5 alone (fraction), or only "
        "another percentage (strict).",
    )
    degrees: Literal["convert", "strict"] = Field(
        "convert",
        description="Whether 60° equals pi/3. A missing degree sign is accepted either way.",
    )
    list_order: Literal["ignore", "keep"] = Field(
        "ignore",
        description="Whether '1, 2' equals '2, 1'. Tuples always keep their order, and so do "
        "rows of capitals such as HTH: 'CA' equals 'A, C', but not 'AC'.",
    )
    vectors: Literal["tuple", "strict"] = Field(
        "tuple", description="Whether a row or column vector equals the tuple of its entries."
    )
    inequalities: Literal["interval", "strict"] = Field(
        "interval",
        description="Whether x > 3 equals the interval (3, ∞). Two inequalities must name the "
        "same variable.",
    )
    text_case: Literal["fold", "keep"] = Field(
        "fold", description="Whether 'Tuesday' equals 'tuesday'. Variables keep their case."
    )
    constant_of_integration: Literal["fold", "keep"] = Field(
        "fold", description="Whether '+ C' in the reference may be missing or renamed."
    )
