"""Empty and one-character answers."""

from __future__ import annotations

from judges.reward_model.guards.guard import TextGuard
from judges.reward_model.model.render import Prompt


class Short(TextGuard):
    """Minus the number of letters and digits."""

    name = "short"

    def measure(self, prompt: Prompt, completion: str) -> float:
        return -float(sum(map(str.isalnum, completion)))
