"""Rewards an answer that is one of the accepted texts."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, ClassVar, Literal

import regex
from pydantic import Field
from typing_extensions import TypedDict

from verifiers.base import InvalidReference, Parameters, Sample, Score, Verifier
from verifiers.extract import ANSWER_FROM_HELP, AnswerFrom, answer_in

UnicodeForm = Literal["none", "NFC", "NFKC"]

MAX_MARKS = 30
"""Combining marks in a row, as the Stream-Safe Text Format allows (Unicode UAX #15, section
13). Normalization sorts a row of marks in quadratic time: 256 KiB of them take half a minute.
"""

MAX_ACCEPTED = 1_000
MAX_ACCEPTED_CHARACTERS = 262_144
"""Of all accepted texts together: they are normalized anew for every sample."""

FLOOD_OF_MARKS = regex.compile(rf"\P{{CCC=0}}{{{MAX_MARKS + 1}}}")


class ExactMatchParameters(Parameters):
    answer_from: AnswerFrom = Field("final", description=ANSWER_FROM_HELP)
    strip: bool = Field(True, description="Ignore white space around the answer.")
    collapse_whitespace: bool = Field(
        False, description="Read every run of white space as one space."
    )
    ignore_case: bool = Field(False, description="Compare by Unicode case folding.")
    unicode_form: UnicodeForm = Field(
        "NFC",
        description="The normalization form in which texts are compared: NFC makes é one text "
        "however it is encoded, NFKC also makes ² a 2, none compares code points.",
    )


class ExactMatchDetails(TypedDict, total=False):
    """`details` of a score of `exact_match`."""

    limit: str
    """What a rejected answer exceeds."""


class ExactMatch(Verifier[ExactMatchParameters]):
    """Rewards an answer equal to the reference, or to any one of several.

    `answer` is reported in the form in which it was compared.
    """

    name = "exact_match"
    version = "2"
    parameters_type = ExactMatchParameters
    reference_type = str | Annotated[list[str], Field(min_length=1, max_length=MAX_ACCEPTED)]
    details_type = ExactMatchDetails
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "What is the capital of France?",
        "completion": "Paris",
        "reference": ["Paris", "Paris, France"],
        "scorer": {"type": "exact_match"},
    }

    def score_one(self, sample: Sample) -> Score:
        """1 where the answer is accepted, else 0."""
        reference = self.reference_of(sample)
        accepted = [reference] if isinstance(reference, str) else reference
        answer = answer_in(sample, self.parameters.answer_from)
        if answer is None:
            return self.lowest("no_answer")
        if sum(map(len, accepted)) > MAX_ACCEPTED_CHARACTERS:
            raise InvalidReference(f"reference: over {MAX_ACCEPTED_CHARACTERS:,} characters")
        if any(map(FLOOD_OF_MARKS.search, accepted)):
            raise InvalidReference(f"reference: over {MAX_MARKS} combining marks in a row")
        if FLOOD_OF_MARKS.search(answer):
            return self.lowest("rejected", limit=f"{MAX_MARKS} combining marks in a row")
        references = {self.compared(text) for text in accepted}
        if not all(map(str.strip, references)):
            raise InvalidReference("reference: a blank text would reward saying nothing")
        answer = self.compared(answer)
        if answer in references:
            return Score(reward=1.0, outcome="correct", answer=answer)
        if not answer:
            return self.lowest("no_answer")
        return Score(reward=0.0, outcome="incorrect", answer=answer)

    def compared(self, text: str) -> str:
        """`text` without the differences that these parameters ignore."""
        options = self.parameters
        text = normalized(text, options.unicode_form)
        if options.ignore_case:  # folding can undo a normal form, hence once more
            text = normalized(text.casefold(), options.unicode_form)
        if options.collapse_whitespace:
            return " ".join(text.split())
        return text.strip() if options.strip else text


def normalized(text: str, form: UnicodeForm) -> str:
    return text if form == "none" or text.isascii() else unicodedata.normalize(form, text)
