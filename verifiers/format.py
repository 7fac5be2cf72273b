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

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from verifiers.base import Parameters, Sample, Score, Verifier
from verifiers.extract import BOX, REASONING_TAG, boxed_contents, strip_reasoning

Reasoning = Literal["required", "optional", "forbidden"]


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


class Format(Verifier[FormatParameters]):
    """Rewards the demanded form: one block of reasoning, one box, one answer in tags.

    `components` holds 1 or 0 for every demand, `details.faults` what is wrong with those
    that are not met. Tags are found whatever their case and inner white space, so that
    `< THINK >` hides nothing, but only their exact spelling meets a demand.
    """

    name = "format"
    version = "1"
    parameters_type = FormatParameters
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


def tags(text: str, name: str) -> list[re.Match[str]]:
    """Everything that a reader could take for a tag of this name, opening or closing."""
    spelling = rf"<\s*+/?+\s*+{name}\s*+/?+\s*+>"  # possessive: linear in "<      …"
    return list(re.finditer(spelling, text, re.IGNORECASE))


def final_part(text: str, opened_by_prompt: bool) -> str:
    """What follows the reasoning: nothing, where it was opened and never closed."""
    if opened_by_prompt and f"</{REASONING_TAG}>" not in text:
        return ""
    return strip_reasoning(text) or ""


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
    if not opened_by_prompt and text[: found[0].start()].strip():
        return "there is text before the reasoning"
    if not text[start : found[-1].start()].strip():
        return "the reasoning is empty"
    if not text[found[-1].end() :].strip():
        return "nothing follows the reasoning"
    return None


def box_fault(final: str) -> str | None:
    if len(BOX.findall(final)) != 1:
        return "not exactly one box in the final part"
    contents = boxed_contents(final)
    if not contents:
        return "the box is not closed"
    return None if contents[0].strip() else "the box is empty"


def answer_fault(text: str, final: str, tag: str) -> str | None:
    found = tags(text, tag)
    if [match[0] for match in found] != [f"<{tag}>", f"</{tag}>"]:
        return f"not exactly one <{tag}> … </{tag}>"
    opening, closing = found
    if opening.start() < len(text) - len(final):
        return "the answer is not in the final part"
    if not text[opening.end() : closing.start()].strip():
        return "the answer is empty"
    return "something follows the answer" if text[closing.end() :].strip() else None
