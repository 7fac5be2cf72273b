"""Rewards a completion that equals, differs from or contains the reference."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from verifiers.base import InvalidReference, Parameters, Sample, Score, Verifier

Operation = Literal["eq", "ne", "like", "ilike"]


class StringCheckParameters(Parameters):
    operation: Operation = Field(
        "eq",
        description="eq: the whole completion is the reference; ne: it is not; like: it "
        "contains the reference; ilike: the same by Unicode case folding. `like` is easy to "
        "farm: a completion may name every candidate.",
    )


class StringCheck(Verifier[StringCheckParameters]):
    """Rewards a completion that equals, differs from or contains the reference."""

    name = "string_check"
    version = "1"
    parameters_type = StringCheckParameters
    reference_type = str
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "What is the capital of France?",
        "completion": "It is Paris.",
        "reference": "Paris",
        "scorer": {"type": "string_check", "operation": "like"},
    }

    @property
    def answers_are_text(self) -> bool:
        return True

    def score_one(self, sample: Sample) -> Score:
        """1 where the check holds, else 0. Nothing is stripped, and no code point forgiven."""
        reference, text = self.reference_of(sample), sample.text
        if not reference and self.parameters.operation != "ne":
            raise InvalidReference("reference: an empty text would reward saying nothing")
        holds = self.holds(text, reference)
        return Score(reward=float(holds), outcome="correct" if holds else "incorrect", answer=text)

    def holds(self, text: str, reference: str) -> bool:
        match self.parameters.operation:
            case "eq":
                return text == reference
            case "ne":
                return text != reference
            case "like":
                return reference in text
            case "ilike":
                return reference.casefold() in text.casefold()
