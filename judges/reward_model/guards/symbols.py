"""Rows of emoji, rules and braces."""

from __future__ import annotations

from judges.reward_model.guards.guard import TextGuard
from judges.reward_model.model.render import Prompt


class Symbols(TextGuard):
    """The share of characters, white space aside, that are neither letters nor digits."""

    name = "symbols"

    def measure(self, prompt: Prompt, completion: str) -> float:
        visible = "".join(completion.split())
        return 1 - sum(map(str.isalnum, visible)) / len(visible) if visible else 1.0
