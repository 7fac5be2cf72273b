"""How long to wait before a call is sent again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Retry:
    """Exponential back-off with full jitter, never shorter than the endpoint asked for."""

    attempts: int = 5
    base_s: float = 0.5
    max_s: float = 30.0
    rng: random.Random = field(default_factory=random.Random, repr=False)

    def delay_s(self, attempt: int, asked_s: float | None) -> float:
        """Before the attempt that follows the failed `attempt`, counted from 1."""
        jitter = self.rng.uniform(0.0, min(self.max_s, self.base_s * 2.0 ** (attempt - 1)))
        return jitter if asked_s is None else asked_s + jitter
