"""Requests and tokens a minute, as providers count them: token buckets."""

from __future__ import annotations

import asyncio
import time

from judges.llm.failures import GivenUp

MAX_PAUSE_S = 3_600.0
"""An endpoint that asks for more is mistaken, and is asked again."""


class Bucket:
    """Refills at `per_minute`, up to a tenth of it: providers measure over less than a minute.

    Whoever takes more than there is leaves a debt and waits until it is paid, so that turns
    are kept in order without a queue.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_s = per_minute / 60.0
        self._burst = self._level = max(1.0, per_minute / 10.0)
        self._at = time.monotonic()

    def take(self, amount: float) -> float:
        """How long the taker must wait."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s) - amount
        self._at = now
        return max(0.0, -self._level / self._per_s)

    def give_back(self, amount: float) -> None:
        """What was taken and not used; negative where more was used."""
        self._level = min(self._burst, self._level + amount)


class Rate:
    """A judge's two buckets, and the pauses that its endpoint asks for."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._paused_until = 0.0

    async def admit(self, tokens: float, deadline: float | None) -> None:
        """Waits until a call of so many tokens may be sent.

        Raises:
            GivenUp: that would be after the deadline. Nothing was taken.
        """
        now = time.monotonic()
        wait_s = max(
            self._paused_until - now,
            self._requests.take(1.0) if self._requests else 0.0,
            self._tokens.take(tokens) if self._tokens else 0.0,
        )
        if wait_s <= 0:
            return
        try:
            if deadline is not None and now + wait_s > deadline:
                raise GivenUp("the judge's rate limit leaves no call before the deadline")
            await asyncio.sleep(wait_s)
        except BaseException:
            self._give_back(1.0, tokens)
            raise

    def used(self, expected_tokens: float, tokens: float) -> None:
        """Corrects the count once it is known what a call took."""
        self._give_back(0.0, expected_tokens - tokens)

    def pause(self, seconds: float) -> None:
        """No call is sent for a while: the endpoint said so to one, and means all."""
        seconds = min(seconds, MAX_PAUSE_S)
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _give_back(self, requests: float, tokens: float) -> None:
        if self._requests:
            self._requests.give_back(requests)
        if self._tokens:
            self._tokens.give_back(tokens)
