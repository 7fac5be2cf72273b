"""Repeats a finished answer to a request that comes again under its Idempotency-Key.

A client whose connection broke cannot know whether its request was scored. It sends the
same key again and gets the same scores: nothing is scored, paid for or logged twice.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from verifiers.base import Score

SCORE_BYTES = 1_000
"""Of a score without its texts."""

ENTRY_BYTES = 600
"""Of an entry without its key and its scores."""


class KeyBelongsToAnother(Exception):
    """The key was used before, with another body."""


@dataclass(slots=True)
class Entry:
    fingerprint: bytes
    scores: asyncio.Future[list[Score]]
    size_bytes: int = 0


class IdempotencyCache:
    """The scores of finished requests by key, the least recently used forgotten first.

    An answer in which something may be tried again is not remembered: repeating it for ever
    would be no answer.

    Args:
        max_bytes: how much is remembered in all, by a cautious estimate.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
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
        if any(score.error and score.error.retryable for score in scores):
            del self._entries[key]
        else:
            entry.size_bytes = ENTRY_BYTES + 4 * len(key) + size_bytes(scores)
            self._held += entry.size_bytes
            self._forget_oldest()
        return scores

    def _forget_oldest(self) -> None:
        for key, entry in list(self._entries.items()):
            if self._held <= self._max_bytes:
                return
            if entry.scores.done():
                del self._entries[key]
                self._held -= entry.size_bytes


def size_bytes(scores: Sequence[Score]) -> int:
    """What remembered scores take in memory, about: four bytes a character, and objects."""
    characters = sum(len(score.answer or "") + len(repr(score.details)) for score in scores)
    return 4 * characters + SCORE_BYTES * len(scores)
