"""Recorded replies, found by what was asked of whom."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from dataclasses import dataclass, replace
from typing import Any

import orjson

from judges.llm.base import Ask, Reply, Usage
from judges.llm.store import Store

logger = logging.getLogger(__name__)


def question_key(fingerprint: str, ask: Ask) -> bytes:
    """Equal for equal questions to equal judges, whatever their nonces."""
    content = [
        fingerprint,
        [[turn.role, around(turn.content, ask.nonce)] for turn in ask.turns],
        ask.schema,
        ask.options,
        ask.max_tokens,
        ask.temperature,
        ask.seed,
        ask.nonce is not None,
        *ask.sampling,
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def around(text: str, nonce: str | None) -> list[str]:
    """The pieces between the nonces. A list, so that no text can stand in for a nonce."""
    return text.split(nonce) if nonce else [text]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A reply with the nonce of the ask that it answered."""

    reply: Reply
    nonce: str | None

    def for_ask(self, ask: Ask) -> Reply:
        """The reply as it would have been to an equal ask.

        The recorded nonce is random and was unknown to whoever wrote what is judged, so
        it stands only where the judge put it.
        """
        if ask.nonce is None or self.nonce is None:
            return self.reply
        return replace(self.reply, text=self.reply.text.replace(self.nonce, ask.nonce))


class Cache:
    """Replies in the store. A file that fails costs calls, and fails no ask."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: bytes) -> Recorded | None:
        def find(db: sqlite3.Connection) -> Any:
            query = "SELECT text, finish_reason, probabilities, nonce FROM replies WHERE key = ?"
            return db.execute(query, (key,)).fetchone()

        try:
            row = await self._store.run(find)
        except sqlite3.Error:
            logger.exception("recorded replies cannot be read")
            return None
        if row is None:
            return None
        text, finish_reason, probabilities, nonce = row
        known = json.loads(probabilities) if probabilities else None
        return Recorded(Reply(text, finish_reason, known, Usage(), cached=True), nonce)

    async def put(self, key: bytes, ask: Ask, reply: Reply) -> None:
        probabilities = json.dumps(dict(reply.probabilities)) if reply.probabilities else None
        row = (key, reply.text, reply.finish_reason, probabilities, ask.nonce, time.time())

        def keep(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)", row)

        try:
            await self._store.run(keep)
        except sqlite3.Error:
            logger.exception("a reply cannot be recorded")
