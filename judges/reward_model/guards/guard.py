"""What a guard is: one measure of a text, larger where the text is more suspicious."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import JsonValue

from judges.reward_model.model.embedding import Embedded, Vector
from judges.reward_model.model.render import Prompt


@dataclass(frozen=True, slots=True)
class Examples:
    """What a guard may learn from."""

    completions: Sequence[str]
    """Natural ones."""
    embedded: Embedded | None = None
    """The natural texts; None where nothing embeds them."""
    hollow: Embedded | None = None
    """Texts whose completion answers nothing."""


class Guard(ABC):
    """An instance has learned what it needs, and measures."""

    name: ClassVar[str]
    needs_prompt: ClassVar[bool] = False
    """It compares with the prompt, or looks for forged turns: a whole text has true ones."""
    penalises: ClassVar[bool] = False
    """What it measures costs reward, flagged or not; see penalties.py. Where degenerate texts
    lie far from natural ones, a flag is enough, and brevity must not cost."""
    stored_as: ClassVar[str | None] = None
    """The key of the card under which it stands what was learned; None: it learns nothing."""

    @classmethod
    def fit(cls, examples: Examples) -> Self | None:
        """None where the examples do not have what it learns from."""
        return cls()

    @classmethod
    def load(cls, stored: Any) -> Self:
        """From `stored`.

        Raises:
            ValueError: it is something else.
        """
        return cls()

    def stored(self) -> JsonValue:
        return None

    @abstractmethod
    def measure(self, *args: Any, **kwargs: Any) -> float: ...


class TextGuard(Guard):
    """Measures without a model, in time linear in the text's length; texts over the model's
    limit never get here."""

    @abstractmethod
    def measure(self, prompt: Prompt, completion: str) -> float: ...


class EmbeddingGuard(Guard):
    """Measures embeddings by the model's own encoder: of the prompt, of its last turn, and of the
    completion. What is odd to it are natural completions under other prompts."""

    @abstractmethod
    def measure(self, prompt: Vector, turn: Vector, completion: Vector) -> float: ...
