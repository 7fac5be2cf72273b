"""Scores that JSON can carry, whatever their scorer has put into them.

A text that is no Unicode, such as half of a surrogate pair, or a number of numpy's would
otherwise fail the whole answer, and the neighbours would lose their rewards.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from msgspec.structs import replace

from verifiers.base import InternalError, Score
from verifiers.sample import MAX_NESTING, nesting
from verifiers.score import to_json

logger = logging.getLogger(__name__)


def well_formed(score: Score) -> Score:
    """The score itself, or one of plain values alone, or else an error in its place."""
    answer = score.answer
    if (answer is None or (type(answer) is str and answer.isascii())) and not (
        score.details or score.components or score.error
    ):
        return score  # most of them, in a tenth of the time
    try:
        written = to_json((answer, score.details, score.components, score.error))
    except (TypeError, ValueError, RecursionError):
        return mended(score)
    shallow = written.count(b"[") + written.count(b"{") <= MAX_NESTING
    return (
        score if shallow and all(map(math.isfinite, score.components.values())) else mended(score)
    )


def mended(score: Score) -> Score:
    try:
        whole = replace(
            score,
            answer=plain(score.answer),
            details=plain(score.details),
            components={name: float(part) for name, part in plain(score.components).items()},
            error=score.error and replace(score.error, message=plain(score.error.message)),
        )
        to_json(whole)
        if nesting(whole.details) > MAX_NESTING:  # how deep can be written depends on the stack
            raise ValueError(f"details are nested more than {MAX_NESTING} levels deep")
        if not all(map(math.isfinite, whole.components.values())):
            raise ValueError("a component is not finite")
        return whole
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        logger.error("a score cannot be written as JSON: %s", error)
        return Score.failed(InternalError("the scorer gave what cannot be written as JSON"))


def plain(value: Any) -> Any:
    """`value` of JSON's own types, with every lone surrogate written out, as `\\udc80`."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value
