"""Whether two answers are equal, by which method, and what shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one comparison.

    `reason` is a lower-case word: why two answers differ, or why nothing can be said.
    `rejected` marks guessing (several answers where one is due) and answers beyond a
    limit. `witness` holds what shows the difference: values, and the point they are at.
    """

    equal: bool
    method: str
    reason: str | None = None
    rejected: bool = False
    witness: dict[str, Any] = field(default_factory=dict)


def equal(method: str) -> Verdict:
    return Verdict(True, method)


def different(method: str, reason: str = "different", **witness: Any) -> Verdict:
    return Verdict(False, method, reason, witness=witness)


def rejected(method: str, reason: str) -> Verdict:
    return Verdict(False, method, reason, rejected=True)
