"""The contract between what asks an LLM for a verdict and what carries the question to it.

A rubric writes an `Ask`; a `Judge` answers it with a `Reply`, or raises `JudgeFailed`. No
reply is ever made up: what could not be had is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]

Sampling = tuple[tuple[str, str | float], ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation that a judge reads."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a judge. Equal questions have equal answers, as far as its seed goes."""

    turns: tuple[Turn, ...]
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the reply wanted, for endpoints that can keep to one. The turns must
    say it, too: other endpoints never see this."""
    options: tuple[str, ...] = ()
    """Where the reply is one of these: their probabilities are wanted, too."""
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    nonce: str | None = None
    """A random text in the turns that the reply is to repeat. Asks that differ in nothing else
    are equal: they share a call and its recorded reply, in which each finds its own nonce."""
    sampling: Sampling = ()
    """Further members of the request, such as `top_p`, for endpoints of chat completions."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply took. A reply from the cache took nothing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """In the currency of the judge's prices."""
    calls: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
            self.calls + other.calls,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a judge said. Nothing in it has been parsed or trusted yet."""

    text: str
    finish_reason: str = "stop"
    probabilities: Mapping[str, float] | None = None
    """Of the options asked for, summing to 1; None where the judge does not tell."""
    usage: Usage = Usage()
    cached: bool = False


class Judge(Protocol):
    """Something that answers questions, under the limits that its settings give it."""

    name: str
    fingerprint: str
    """Identifies model and endpoint: part of the digest of scores that rely on it."""

    async def ask(self, ask: Ask) -> Reply:
        """The judge's reply.

        Raises:
            JudgeFailed: it stayed unreachable, refused, was cut off, or a cap was reached.
        """
