r"""Rewards a completion of the demanded form: reasoning, then one answer.

A completion has a reasoning part, `<think>…</think>`, and a final part, which is what
follows. Three things can be demanded, each scored as a component of its own:

    reasoning   one block at the very start, closed, neither empty nor holding another tag
    boxed       one `\boxed{…}` in the final part, not empty and with no box inside
    answer      one `<answer>…</answer>`, in the final part, not empty, with nothing after it

Form is cheap to fake, so this belongs beside a scorer of the answer, as a gate of a
`weighted` sum rather than a term of it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import regex
from pydantic import Field, model_validator
from typing_extensions import TypedDict

from verifiers import reasoning
from verifiers.base import Parameters, Sample, Score, Verifier
from verifiers.extract import boxed_contents

Reasoning = Literal["required", "optional", "forbidden"]

REASONING_TAG = "think"
"""The only one that meets the demand, whatever other marks reasoning may have."""

INVISIBLE = r"\s\p{Cf}\p{Default_Ignorable_Code_Point}"
NOTHING = regex.compile(rf"[{INVISIBLE}]*+")
EMPTY_LATEX = regex.compile(rf"(?:[{INVISIBLE}{{}}~]|\\[ ,;:!]|\\q?quad(?![A-Za-z]))*+")
BOX_COMMAND = regex.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
"""Also one without braces: a box of one token to LaTeX, and to some readers of answers."""


class FormatParameters(Parameters):
    reasoning: Reasoning = Field(
        "required",
        description="Whether the completion has a <think> block. Optional: none, or one that "
        "is well formed.",
    )
    opened_by_prompt: bool = Field(
        False,
        description="The chat template already wrote <think>, so that the completion starts "
        "inside the block and only closes it.",
    )
    boxed: bool = Field(False, description="Demand one \\boxed{…}.")
    answer_tag: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$",
        description='Demand one answer in tags of this name: "answer" for <answer>…</answer>.',
    )
    reward: Literal["all", "fraction"] = Field(
        "all",
        description="1 only if every demand is met, or the share of demands that are met, "
        "which pays a policy for form it can have without an answer.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.opened_by_prompt and self.reasoning != "required":
            raise ValueError("opened_by_prompt means that reasoning is required")
        if self.answer_tag is not None and self.answer_tag.lower() == REASONING_TAG:
            raise ValueError(f"answer_tag: {REASONING_TAG} is the tag of the reasoning")
        return self


class FormatDetails(TypedDict, total=False):
    """`details` of a score of `format`."""

    faults: dict[str, str]
    """What is wrong, by the demand that is not met."""


class Format(Verifier[FormatParameters]):
    """Rewards the demanded form: one block of reasoning, one box, one answer in tags.

    `components` holds 1 or 0 for every demand, `details.faults` what is wrong with those
    that are not met. Tags are found whatever their case, attributes and inner white space, so
    that `< THINK a=1>` hides nothing, but only their exact spelling meets a demand.
    """

    name = "format"
    version = "2"
    parameters_type = FormatParameters
    details_type = FormatDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": "What is 6 times 7? Think first, then put the answer in a box.",
        "completion": "<think>Seven sixes are 42.</think>\nIt is \\boxed{42}.",
        "scorer": {"type": "format", "boxed": True},
    }

    @property
    def component_names(self) -> tuple[str, ...]:
        return tuple(self.faults(""))

    def score_one(self, sample: Sample) -> Score:
        """1 where every demand is met, else 0 or the share of them."""
        faults = self.faults(sample.text)
        met = {demand: float(fault is None) for demand, fault in faults.items()}
        share = sum(met.values()) / len(met)
        reward = share if self.parameters.reward == "fraction" else float(share == 1.0)
        return Score(
            reward=reward,
            outcome="correct" if reward == 1.0 else "partial" if reward > 0.0 else "incorrect",
            components=met,
            details={"faults": {demand: fault for demand, fault in faults.items() if fault}},
        )

    def faults(self, text: str) -> dict[str, str | None]:
        """What is wrong with each part that is demanded; None where nothing is."""
        options = self.parameters
        faults = {"reasoning": reasoning_fault(text, options.reasoning, options.opened_by_prompt)}
        final = final_part(text, options.opened_by_prompt)
        if options.boxed:
            faults["boxed"] = box_fault(final)
        if options.answer_tag is not None:
            faults["answer"] = answer_fault(text, final, options.answer_tag)
        return faults


def tags(text: str, name: str) -> list[regex.Match[str]]:
    """Everything that a reader could take for a tag of this name, opening or closing."""
    gap = f"[{INVISIBLE}]*+"  # possessive: linear in "<      …"
    spelling = rf"<{gap}/?+{gap}{name}(?![A-Za-z0-9_-])[^<>]*+>"
    return list(regex.finditer(spelling, text, regex.IGNORECASE))


def says_nothing(text: str) -> bool:
    """Whether a reader would see nothing of it: white space, or characters without width."""
    return NOTHING.fullmatch(text) is not None


def final_part(text: str, opened_by_prompt: bool) -> str:
    """What follows the reasoning: nothing, where it was opened and never closed."""
    if opened_by_prompt and f"</{REASONING_TAG}>" not in text:
        return ""
    return reasoning.final_part(text) or ""


def reasoning_fault(text: str, demanded: Reasoning, opened_by_prompt: bool) -> str | None:
    found = tags(text, REASONING_TAG)
    if demanded == "forbidden":
        return "there is reasoning" if found else None
    if not found and demanded == "optional":
        return None
    expected = [f"<{REASONING_TAG}>", f"</{REASONING_TAG}>"][opened_by_prompt:]
    if [tag[0] for tag in found] != expected:
        return f"not exactly one {' … '.join(expected)}"
    start = 0 if opened_by_prompt else found[0].end()
    if not opened_by_prompt and not says_nothing(text[: found[0].start()]):
        return "there is text before the reasoning"
    if says_nothing(text[start : found[-1].start()]):
        return "the reasoning is empty"
    if says_nothing(text[found[-1].end() :]):
        return "nothing follows the reasoning"
    return None


def box_fault(final: str) -> str | None:
    if len(BOX_COMMAND.findall(final)) != 1:
        return "not exactly one box in the final part"
    contents = boxed_contents(final)
    if not contents:
        return "the box is not closed"
    return "the box is empty" if EMPTY_LATEX.fullmatch(contents[0]) else None


def answer_fault(text: str, final: str, tag: str) -> str | None:
    found = tags(text, tag)
    if [match[0] for match in found] != [f"<{tag}>", f"</{tag}>"]:
        return f"not exactly one <{tag}> … </{tag}>"
    opening, closing = found
    if opening.start() < len(text) - len(final):
        return "the answer is not in the final part"
    if says_nothing(text[opening.end() : closing.start()]):
        return "the answer is empty"
    return None if says_nothing(text[closing.end() :]) else "something follows the answer"
