"""What a task is made of: problems, and where a run gets them from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Prompt = str | list[dict[str, str]]
"""Plain text, or chat messages."""

Demonstration = tuple[Prompt, str]
"""A prompt and what to write when asked."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to ask, and what the scorer needs to judge the completion."""

    prompt: Prompt
    reference: Any

    def sample(self, completion: str) -> dict[str, Any]:
        """A completion of it, as the service takes it."""
        return {"prompt": self.prompt, "completion": completion, "reference": self.reference}


class Problems(Protocol):
    """Where a run's problems come from."""

    def batch(self, step: int, size: int) -> list[Problem]:
        """The problems that `step` trains on, counted from 0."""

    def splits(self) -> dict[str, list[Problem]]:
        """The problems it is measured on, never trained on. The first is `held_out`."""
