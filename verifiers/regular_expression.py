"""Rewards an answer that matches a pattern.

Patterns are RE2's: matching takes time linear in the text whatever the pattern, at the
price of look-around and back-references, which RE2 does not have.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import re2
from pydantic import AfterValidator, Field

from verifiers.base import InvalidReference, MissingField, Parameters, Sample, Score, Verifier
from verifiers.extract import ANSWER_FROM_HELP, AnswerFrom, answer_in

MAX_PATTERN_CHARACTERS = 4_096
"""Longer alternations are word lists, which `exact_match` takes as a list."""

MAX_PATTERN_BYTES = 2 * 1024 * 1024
"""What RE2 may use for one pattern: larger ones take a noticeable time to compile."""

MAX_COMPILED = 512
"""Patterns kept ready."""

UNICODE_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
"""An escape of any kind, so that none begins inside another."""


def usable(pattern: str) -> str:
    """The pattern itself.

    Raises:
        ValueError: RE2 does not take it, or it is too large.
    """
    compiled(pattern)
    return pattern


def compiled(pattern: str) -> Any:
    if not pattern:
        raise ValueError("an empty pattern would reward saying nothing")
    return engine(pattern)


@lru_cache(MAX_COMPILED)
def engine(pattern: str) -> Any:
    """RE2's automaton for `pattern`, in which `\\uXXXX` may name a character.

    Raises:
        ValueError: RE2 does not take it, or it is too large.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"a pattern may have {MAX_PATTERN_CHARACTERS:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_BYTES
    try:
        return re2.compile(UNICODE_ESCAPE.sub(re2_escape, pattern), options)
    except UnicodeEncodeError:
        raise ValueError("a pattern is Unicode text, without lone surrogates") from None
    except re2.error as error:
        raise ValueError(f"not an RE2 pattern: {explanation(error)}") from None


def re2_escape(escape: re.Match[str]) -> str:
    return rf"\x{{{escape[1]}}}" if escape[1] else escape[0]


def explanation(error: Exception) -> str:
    """RE2's complaint, and what to know where it looks like a feature RE2 leaves out."""
    [complaint] = error.args
    text = complaint.decode(errors="replace") if isinstance(complaint, bytes) else str(complaint)
    if text.startswith(("invalid perl operator", "invalid escape sequence")):
        return f"{text} (RE2 has no look-around and no back-references)"
    return text


class RegexParameters(Parameters):
    pattern: Annotated[str, AfterValidator(usable)] | None = Field(
        None,
        description="The pattern, in RE2 syntax: like Python's, without look-around and "
        "back-references; (?i), (?s) and (?m) set flags. Left out, the sample's reference is "
        f"the pattern. At most {MAX_PATTERN_CHARACTERS:,} characters.",
    )
    match: Literal["full", "search"] = Field(
        "full",
        description="Whether the whole answer must match, or any part of it. Searching rewards "
        "a policy that tries everything in one answer.",
    )
    answer_from: AnswerFrom = Field("final", description=ANSWER_FROM_HELP)
    strip: bool = Field(True, description="Ignore white space around the answer.")


class Regex(Verifier[RegexParameters]):
    """Rewards an answer that matches a regular expression.

    `answer` is the text that matched, or the whole answer where none did.

    Runs in a worker process: linear is not fast. Over 256 KiB of text, a pattern within the
    limits above such as `(?:[\\p{Han}\\p{L}]\\p{L}?){40}!` takes half a second of a server's
    core: where an automaton outgrows its memory, RE2 simulates it, state by state.
    """

    name = "regex"
    version = "2"
    lane = "cpu"
    parameters_type = RegexParameters
    reference_type = str
    example: ClassVar[dict[str, Any]] = {
        "prompt": "Give a date in 2024 as YYYY-MM-DD.",
        "completion": "2024-02-29",
        "scorer": {"type": "regex", "pattern": r"2024-\d{2}-\d{2}"},
    }

    def check(self, sample: Sample) -> None:
        super().check(sample)
        if self.parameters.pattern is None and sample.reference is None:
            raise MissingField("regex needs a pattern: its parameter, or the reference")

    def prepare(self, sample: Sample) -> None:
        self.pattern(sample)

    @property
    def answers_are_text(self) -> bool:
        return True

    def score_one(self, sample: Sample) -> Score:
        """1 where the answer matches, else 0."""
        pattern = self.pattern(sample)
        answer = answer_in(sample, self.parameters.answer_from)
        if answer is None:
            return self.lowest("no_answer")
        if not answer.strip():  # also where the pattern takes an empty text
            return self.lowest("no_answer")
        if self.parameters.strip:
            answer = answer.strip()
        match = (
            pattern.fullmatch(answer) if self.parameters.match == "full" else pattern.search(answer)
        )
        if match is not None:
            return Score(reward=1.0, outcome="correct", answer=match.group())
        return Score(reward=0.0, outcome="incorrect", answer=answer)

    def pattern(self, sample: Sample) -> Any:
        if self.parameters.pattern is not None:
            return compiled(self.parameters.pattern)
        try:
            return compiled(self.reference_of(sample))
        except ValueError as error:
            raise InvalidReference(f"reference: {error}") from None
