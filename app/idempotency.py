"""Repeats a finished answer to a request that comes again under its Idempotency-Key.

A client whose connection broke cannot know whether its request was scored. It sends the
same key again and gets the same scores: nothing is scored, paid for or logged twice.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from verifiers.base import Score


class KeyBelongsToAnother(Exception):
    """The key was used before, with another body."""


@dataclass(slots=True)
class Entry:
    fingerprint: bytes
    scores: asyncio.Future[list[Score]]


class IdempotencyCache:
    """The scores of finished requests by key, the least recently used forgotten first.

    Args:
        max_scores: how many scores are remembered in all.
    """

    def __init__(self, max_scores: int) -> None:
        self._max_scores = max_scores
        self._held = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def scores(
        self, key: str, fingerprint: bytes, score: Callable[[], Awaitable[list[Score]]]
    ) -> list[Score]:
        """The remembered scores, those being computed under this key now, or new ones.

        Raises:
            KeyBelongsToAnother: the key came with another body before.
        """
        while entry := self._entries.get(key):
            if entry.fingerprint != fingerprint:
                raise KeyBelongsToAnother
            self._entries.move_to_end(key)
            try:
                return await asyncio.shield(entry.scores)
            except asyncio.CancelledError:
                if not entry.scores.cancelled():
                    raise  # we are the one being cancelled, not the one we waited for
        return await self._score_first(key, fingerprint, score)

    async def _score_first(
        self, key: str, fingerprint: bytes, score: Callable[[], Awaitable[list[Score]]]
    ) -> list[Score]:
        entry = Entry(fingerprint, asyncio.get_running_loop().create_future())
        self._entries[key] = entry
        try:
            scores = await score()
        except BaseException:
            # Whoever waits for us scores anew: a failed request is not an answer.
            del self._entries[key]
            entry.scores.cancel()
            raise
        entry.scores.set_result(scores)
        self._held += len(scores)
        self._forget_oldest()
        return scores

    def _forget_oldest(self) -> None:
        for key, entry in list(self._entries.items()):
            if self._held <= self._max_scores:
                return
            if entry.scores.done():
                del self._entries[key]
                self._held -= len(entry.scores.result())
