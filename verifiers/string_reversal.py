"""Rewards a completion that is the reference written backwards.

The smallest task that has everything a verifier needs: an exact truth, several honest
meanings of "reversed", and partial credit that can be farmed. It is what the bundled
trainer's demo learns.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import regex
from pydantic import Field
from typing_extensions import TypedDict

from verifiers.base import InvalidReference, Parameters, Sample, Score, Verifier
from verifiers.exact_match import FLOOD_OF_MARKS, normalized
from verifiers.extract import ANSWER_FROM_HELP, AnswerFrom, answer_in

Unit = Literal["character", "codepoint", "word"]
Partial = Literal["none", "prefix", "position", "edit"]

GRAPHEME_CLUSTER = regex.compile(
    r"[\U0001F1E6-\U0001F1FF]{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+|\X"
)
r"""Extended grapheme clusters: what a reader calls a character (Unicode UAX #29).

Flags, which are pairs of regional indicators, are spelled out: to know whether one may end
a cluster, `\X` counts all of those before it, and so squares the length of a row of flags
(two minutes for 256 KiB of them).
"""

MAX_REFERENCE_CHARACTERS = 262_144
"""As long as a completion may be by default. A longer text cannot be reversed in one."""

MAX_UNITS = 16_384
"""Edit distance is quadratic; at this length it still takes milliseconds."""


class StringReversalParameters(Parameters):
    unit: Unit = Field(
        "character",
        description="What is reversed: user-perceived characters (grapheme clusters, so that "
        "accents and emoji stay whole), code points, or words separated by white space.",
    )
    partial: Partial = Field(
        "none",
        description="Credit for a wrong answer: the matching prefix, the matching positions, "
        "or the edit similarity, each as a share of the longer of answer and target. A "
        "shaping choice for cold starts; a policy can farm it, so it is off by default.",
    )
    reference_is: Literal["source", "target"] = Field(
        "source", description="Whether the reference is the text to reverse or its reversal."
    )
    answer_from: AnswerFrom = Field("final", description=ANSWER_FROM_HELP)
    strip: bool = Field(
        True, description="Ignore white space around the answer (always, where words count)."
    )


class StringReversalDetails(TypedDict, total=False):
    """`details` of a score of `string_reversal`."""

    limit: str
    """What a rejected answer exceeds."""


class StringReversal(Verifier[StringReversalParameters]):
    """Rewards the reference text written backwards."""

    name = "string_reversal"
    version = "2"
    parameters_type = StringReversalParameters
    reference_type = str
    details_type = StringReversalDetails
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Reverse: Hello, World",
        "completion": "dlroW ,olleH",
        "reference": "Hello, World",
        "scorer": {"type": "string_reversal"},
    }

    @property
    def answers_are_text(self) -> bool:
        return True

    def score_one(self, sample: Sample) -> Score:
        """1 where the answer is the reversal; otherwise the partial credit, 0 by default."""
        options = self.parameters
        reference = self.reference_of(sample)
        if len(reference) > MAX_REFERENCE_CHARACTERS:
            raise InvalidReference(f"reference: over {MAX_REFERENCE_CHARACTERS:,} characters")
        target = self.target(reference)
        if options.strip:
            target = target.strip()
        if not target:
            raise InvalidReference("reference: nothing to reverse")
        answer = answer_in(sample, options.answer_from)
        if answer is None:
            return self.lowest("no_answer")
        if options.unit == "word":
            answer, target = " ".join(answer.split()), " ".join(target.split())
        elif options.strip:
            answer = answer.strip()
        if answer == target:
            return Score(reward=1.0, outcome="correct", answer=answer)
        ours, theirs = self.comparable(answer, target)
        if ours == theirs:
            return Score(reward=1.0, outcome="correct", answer=answer)
        if not answer:
            return self.lowest("no_answer")
        if options.partial == "none":
            return Score(reward=0.0, outcome="incorrect", answer=answer)
        credit = self.credit(ours, theirs)
        if credit is None:
            return self.lowest("rejected", limit=f"{MAX_UNITS} units")
        return Score(reward=credit, outcome="partial" if credit > 0 else "incorrect", answer=answer)

    def target(self, reference: str) -> str:
        if self.parameters.reference_is == "target":
            return reference
        return reversal(reference, self.parameters.unit)

    def comparable(self, answer: str, target: str) -> tuple[str, str]:
        """Both so that what a reader cannot tell apart is equal: é is one text however encoded."""
        if self.parameters.unit == "codepoint" or (answer.isascii() and target.isascii()):
            return answer, target
        if FLOOD_OF_MARKS.search(answer) or FLOOD_OF_MARKS.search(target):
            return answer, target
        return normalized(answer, "NFC"), normalized(target, "NFC")

    def credit(self, answer: str, target: str) -> float | None:
        """The share of units that are right, below 1; None where it is too long to tell."""
        ours, theirs = units(answer, self.parameters.unit), units(target, self.parameters.unit)
        longer = max(len(ours), len(theirs))
        if longer > MAX_UNITS:
            return None
        matches = [a == b for a, b in zip(ours, theirs, strict=False)]
        if self.parameters.partial == "prefix":
            right = next((i for i, same in enumerate(matches) if not same), len(matches))
        elif self.parameters.partial == "position":
            right = sum(matches)
        else:
            from rapidfuzz.distance import Levenshtein  # three megabytes that few runs use

            right = longer - Levenshtein.distance(ours, theirs)
        return right / longer


def units(text: str, unit: Unit) -> list[str]:
    """`text` cut into the units that are reversed."""
    if unit == "word":
        return text.split()
    if unit == "codepoint" or is_plain(text):
        return list(text)
    return list(GRAPHEME_CLUSTER.findall(text))


def reversal(text: str, unit: Unit) -> str:
    """`text` with its units in reverse order. Words are joined by single spaces."""
    if unit == "word":
        return " ".join(reversed(text.split()))
    if is_plain(text) or unit == "codepoint":
        return text[::-1]
    return "".join(reversed(GRAPHEME_CLUSTER.findall(text)))


def is_plain(text: str) -> bool:
    """Every code point is a character of its own: ASCII, save CR LF, which is one."""
    return text.isascii() and "\r" not in text
