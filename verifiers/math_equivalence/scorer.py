"""Rewards a completion whose final answer is mathematically the reference."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar

from typing_extensions import TypedDict

from verifiers.base import InvalidReference, Outcome, Sample, Score, Verifier
from verifiers.math_equivalence.compare.comparison import compare
from verifiers.math_equivalence.compare.form import unsolved
from verifiers.math_equivalence.compare.structures import kind
from verifiers.math_equivalence.find.extracted import Extraction
from verifiers.math_equivalence.find.extraction import extract, final_part
from verifiers.math_equivalence.limits import MAX_BOXES, TooLargeError
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.reading import Reading
from verifiers.math_equivalence.reference import read_reference
from verifiers.math_equivalence.verdict import Verdict, different, rejected
from verifiers.reasoning import further

REFERENCES_KEPT = 16_384
"""Compiled references: a group of completions, and every epoch after, pays for one."""

ANSWERS_KEPT = 8_192

MAX_QUICK_CHARACTERS = 8_192
"""Of a completion that is searched for its answer in less than a millisecond."""

PLAIN = re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")
"""Numbers that are read and compared in microseconds; in half a millisecond where a policy loops
at its last digits, until they are too many to be read at all."""

UNCLOSED = Extraction("", "unclosed reasoning")

MAX_EXPLAINED_CHARACTERS = 200
"""Normal forms are repeated in `details` up to this length."""


read = lru_cache(maxsize=ANSWERS_KEPT)(Reading)
"""An answer, read once: the completions of a group share a few."""


class MathDetails(TypedDict, total=False):
    """`details` of a score of `math`."""

    extracted_by: str
    """The rule that found the answer: `boxed`, `stated`, `display`, `inline`, `number` …"""
    method: str
    """What decided: `string`, `rational`, `numeric`, `identity`, `symbolic`, `structure` …"""
    type: str
    """Of the reference: `number`, `text`, `list`, `tuple`, `quantity` …"""
    reference_normal: str
    """How the reference was read, cut short."""
    answer_normal: str
    """How the answer was read, cut short."""
    reason: str
    """Why the answer is not right, or why there is none."""
    witness: dict[str, Any]
    """What shows the difference: both values, and the point or position they differ at."""


class MathEquivalence(Verifier[MathParameters]):
    """Rewards a final answer that is mathematically equal to the reference.

    1 where the answer is the reference, otherwise 0. What is equal and solves nothing, such as
    the question handed back, is `unsolved`: see `form`. `details` says how the answer was
    found (`extracted_by`), what decided (`method`), and why not (`reason`, `witness`).
    Guessing (several answers, chains of unequal values) and answers beyond the limits are
    `rejected`.
    """

    name = "math"
    version = "2"
    lane = "cpu"
    parameters_type = MathParameters
    reference_type = str | int | float
    details_type = MathDetails
    requires = ("reference",)
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Solve x^2 = 2 for x > 0.",
        "completion": "The positive root is \\boxed{2/\\sqrt{2}}.",
        "reference": "\\sqrt{2}",
        "scorer": {"type": "math"},
    }

    def __init__(self, parameters: MathParameters) -> None:
        super().__init__(parameters)
        self._reasoning_tags = further(parameters.reasoning_tags)
        self._last_extraction: tuple[Sample | None, Extraction | None] = (None, None)

    def is_quick(self, sample: Sample) -> bool:
        """Both sides are plain numbers, and the completion is short enough to search."""
        text = sample.text
        if len(text) > MAX_QUICK_CHARACTERS or not PLAIN.fullmatch(str(sample.reference)):
            return False
        found = self.extraction(sample)
        if found is None or not found.others:
            return found is None or PLAIN.fullmatch(found.text) is not None
        answers = (found.text, *found.others)
        return len(found.others) <= MAX_BOXES and all(map(PLAIN.fullmatch, answers))

    def prepare(self, sample: Sample) -> None:
        compiled(self.reference_of_sample(sample))

    def score_one(self, sample: Sample) -> Score:
        """1 or 0.

        Raises:
            InvalidReference: the reference is empty, malformed, without a value, or beyond
                the limits.
        """
        reference = compiled(self.reference_of_sample(sample))
        extraction = self.extraction(sample)
        if extraction is UNCLOSED:
            return self.lowest("no_answer", reason="unclosed reasoning")
        if extraction is None or not extraction.text:
            return self.lowest("no_answer", reason="no answer found")
        try:
            answer = read(extraction.text)
        except TooLargeError as error:
            return self.scored(rejected("limit", str(error)), extraction, None, None)
        if not answer.normal:
            return self.lowest("no_answer", reason="empty answer")
        verdict = compare(reference, answer, self.parameters)
        if verdict.equal and extraction.others:
            verdict = self.undisputed(verdict, reference, extraction)
        if verdict.equal and verdict.method != "string" and self.parameters.form == "solved":
            because = unsolved(reference, answer, sample.asked)
            verdict = verdict if because is None else different("form", "unsolved", why=because)
        return self.scored(verdict, extraction, reference, answer)

    def extraction(self, sample: Sample) -> Extraction | None:
        """The answer, looked for once by `is_quick` and `score_one`."""
        last, found = self._last_extraction
        if sample is not last:
            final = final_part(sample, self._reasoning_tags)
            found = UNCLOSED if final is None else extract(final, self.parameters.answer_from)
            self._last_extraction = sample, found
        return found

    def reference_of_sample(self, sample: Sample) -> str | int | float:
        """The reference, its type checked without pydantic where that is plain."""
        reference = sample.reference
        if type(reference) is str or type(reference) is int:
            return reference
        reference = self.reference_of(sample)
        if reference != reference or reference in (float("inf"), float("-inf")):
            raise InvalidReference("the reference is not a finite number")
        return reference  # type: ignore[no-any-return]

    def undisputed(self, verdict: Verdict, reference: Reading, extraction: Extraction) -> Verdict:
        """The verdict, unless another box or statement says something else."""
        if self.parameters.several_boxes == "last":
            return verdict
        if len(extraction.others) > MAX_BOXES:
            return rejected("boxes", "several answers")
        for other in extraction.others:
            try:
                same = compare(reference, read(other), self.parameters).equal
            except TooLargeError:
                same = False
            if not same:
                return rejected("boxes", "several answers")
        return verdict

    def scored(
        self,
        verdict: Verdict,
        extraction: Extraction,
        reference: Reading | None,
        answer: Reading | None,
    ) -> Score:
        details: dict[str, Any] = {"method": verdict.method, "extracted_by": extraction.rule}
        if verdict.method != "string" and reference is not None and answer is not None:
            details["type"] = kind_of(reference)
            details["reference_normal"] = reference.normal[:MAX_EXPLAINED_CHARACTERS]
            details["answer_normal"] = answer.normal[:MAX_EXPLAINED_CHARACTERS]
        if verdict.equal:
            return Score(reward=1.0, outcome="correct", answer=extraction.text, details=details)
        details["reason"] = verdict.reason
        if verdict.witness:
            details["witness"] = verdict.witness
        outcome: Outcome = "rejected" if verdict.rejected else "incorrect"
        if verdict.reason == "unsolved":
            outcome = "unsolved"
        return Score(reward=0.0, outcome=outcome, answer=extraction.text, details=details)


def kind_of(reading: Reading) -> str:
    return "number" if reading.literal is not None else kind(reading.node)


@lru_cache(maxsize=REFERENCES_KEPT, typed=True)
def compiled(reference: str | float) -> Reading:
    """The reference, read once."""
    return read_reference(reference)
