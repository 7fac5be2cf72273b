"""What a back-end is: it turns an ask into calls, and makes none but through what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from judges.llm.base import Ask, Reply, Usage
from judges.llm.failures import Unusable

Send = Callable[[float], Awaitable[Reply]]
"""One attempt at a call, in so many seconds at most. Raises `CallFailed`."""

Call = Callable[[Usage, Send], Awaitable[Reply]]
"""Makes a call that takes at most so much: waits for its turn, keeps the caps, tries again."""

MAX_TOLD_TOKENS = 100_000_000
"""What an endpoint says beyond this is no count."""

MAX_TEMPLATE_TOKENS = 256
"""What a chat template may add to a conversation: a system prompt of its own, dates."""

MAX_TURN_TOKENS = 32
"""What it may add to a turn: the marks around it."""


class Backend(Protocol):
    """One kind of judge, without its limits."""

    fingerprint: str
    """Identifies what decides its replies: model, endpoint, parameters."""

    async def start(self) -> None:
        """Makes it ready to answer."""

    async def answer(self, ask: Ask, call: Call) -> Reply:
        """The reply to `ask`, by as many calls as it takes.

        Raises:
            JudgeFailed: there is none.
        """

    async def close(self) -> None:
        """Frees what it holds."""

    def fault(self) -> str | None:
        """Why it cannot answer now; None where it can."""


def most_tokens(body: bytes, turns: int) -> int:
    """More tokens than a request of this body can be: none is shorter than a byte."""
    return len(body) + MAX_TURN_TOKENS * turns + MAX_TEMPLATE_TOKENS


def usage_in(document: Any, most: Usage, prompt: str, completion: str) -> Usage:
    """What a reply says it took; the most it can have taken where it does not say."""
    told = document.get("usage") if isinstance(document, dict) else None
    if not isinstance(told, dict):
        return most
    counts = told.get(prompt), told.get(completion)
    if not all(type(count) is int and 0 <= count <= MAX_TOLD_TOKENS for count in counts):
        return most
    return Usage(prompt_tokens=counts[0] or 0, completion_tokens=counts[1] or 0, calls=1)


def distribution(
    found: Mapping[str, Any], options: tuple[str, ...], usage: Usage
) -> dict[str, float]:
    """The probability of every option, in their order, summing to 1.

    Raises:
        Unusable: it is not one: an option is missing or strange, or they do not sum to 1.
    """
    if set(found) != set(options):
        raise Unusable("the probabilities are not those of the options asked for", usage=usage)
    values = [found[option] for option in options]
    if not all(type(value) in (int, float) and 0.0 <= value <= 1.0 for value in values):
        raise Unusable("a probability is no number from 0 to 1", usage=usage)
    total = sum(values)
    if not 0.98 <= total <= 1.02:
        raise Unusable("the probabilities do not sum to 1", usage=usage)
    return {option: value / total for option, value in zip(options, values, strict=True)}
