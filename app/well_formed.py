"""Scores that JSON can carry, whatever their scorer has put into them.

A text that is no Unicode, such as half of a surrogate pair, would otherwise fail the whole
answer, and the neighbours would lose their rewards.
"""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from verifiers.base import InternalError, Score
from verifiers.score import to_json

logger = logging.getLogger(__name__)


def well_formed(score: Score) -> Score:
    """The score itself, or one with its texts made Unicode, or else an error in its place."""
    answer = score.answer
    if (answer is None or answer.isascii()) and not (
        score.details or score.components or score.error
    ):
        return score  # most of them, in a tenth of the time
    content = (answer, score.details, score.components, score.error)
    try:
        to_json([[[[content]]]])  # nested as deep as in an answer
        return score
    except (TypeError, ValueError, RecursionError):
        return mended(score)


def mended(score: Score) -> Score:
    try:
        error = score.error and replace(score.error, message=unicode(score.error.message))
        whole = replace(
            score, answer=unicode(score.answer), details=unicode(score.details), error=error
        )
        to_json(whole)
        return whole
    except (TypeError, ValueError, RecursionError) as error:
        logger.error("a score cannot be written as JSON: %s", error)
        return Score.failed(InternalError("the scorer gave what cannot be written as JSON"))


def unicode(value: Any) -> Any:
    """`value` with every lone surrogate in it written out, as `\\udc80`."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {unicode(str(key)): unicode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [unicode(item) for item in value]
    return value
