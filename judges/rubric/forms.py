"""What a verdict may be: yes or no, one of several choices, or a number on a scale.

A form turns what a judge wrote into a value in [0, 1], or refuses it. It never rounds,
clips or guesses: a grade of 11 on a scale to 10 is no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

MAX_OPTIONS = 20
"""Options that a judge can be asked to weigh: endpoints tell twenty probabilities at most."""


class NotAVerdict(ValueError):
    """The message says what was wanted; what the judge wrote is not repeated."""


class Form(Protocol):
    """One kind of verdict."""

    def value(self, verdict: Any) -> float:
        """What the verdict is worth, in [0, 1].

        Raises:
            NotAVerdict: it has another type, or lies outside the form.
        """

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the verdict."""

    def described(self) -> str:
        """What the judge is told to write."""

    def options(self) -> Mapping[str, float]:
        """What each possible verdict, as text, is worth; empty where there are too many."""


@dataclass(frozen=True, slots=True)
class YesNo:
    """The criterion is met (1) or not (0)."""

    def value(self, verdict: Any) -> float:
        if not isinstance(verdict, bool):
            raise NotAVerdict("true or false is needed")
        return float(verdict)

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}

    def described(self) -> str:
        return "true if the criterion is met, else false"

    def options(self) -> Mapping[str, float]:
        return {"yes": 1.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some labels, each with its value."""

    values: Mapping[str, float]

    def value(self, verdict: Any) -> float:
        if not isinstance(verdict, str) or verdict not in self.values:
            raise NotAVerdict("one of the given choices is needed")
        return self.values[verdict]

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.values)}

    def described(self) -> str:
        return "one of " + ", ".join(f'"{label}"' for label in self.values)

    def options(self) -> Mapping[str, float]:
        return self.values if len(self.values) <= MAX_OPTIONS else MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `lowest` (worth 0) to `highest` (worth 1)."""

    lowest: float
    highest: float
    whole: bool = True

    def value(self, verdict: Any) -> float:
        if isinstance(verdict, bool) or not isinstance(verdict, int | float):
            raise NotAVerdict("a number is needed")
        if not math.isfinite(verdict) or not self.lowest <= verdict <= self.highest:
            raise NotAVerdict(f"a number from {self.lowest:g} to {self.highest:g} is needed")
        if self.whole and verdict != int(verdict):
            raise NotAVerdict("a whole number is needed")
        return (verdict - self.lowest) / (self.highest - self.lowest)

    def schema(self) -> dict[str, Any]:
        # Without bounds: strict modes of some endpoints refuse `minimum`. They are checked here.
        return {"type": "integer" if self.whole else "number"}

    def described(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.lowest:g} (worst) to {self.highest:g} (best)"

    def options(self) -> Mapping[str, float]:
        if not self.whole or self.highest - self.lowest >= MAX_OPTIONS:
            return MappingProxyType({})
        grades = range(int(self.lowest), int(self.highest) + 1)
        return {str(grade): self.value(grade) for grade in grades}


YES_NO = YesNo()
