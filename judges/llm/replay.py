"""A judge that repeats recorded replies, and has no others.

The file is JSONL, a reply a line, in the words of `Ask` and `Reply`:

    {"turns": [["system", "…"], ["user", "…"]], "text": "…"}

with, where they are not the defaults, `schema`, `options`, `max_tokens`, `temperature`,
`seed`, `nonce` and `sampling` of the ask, and `finish_reason`, `probabilities` and `usage`
(prompt and completion tokens) of the reply. An ask that differs only in its nonce is answered,
too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judges.llm.backend import Call
from judges.llm.base import Ask, Reply, Role, Turn, Usage
from judges.llm.cache import Recorded, question_key
from verifiers.base import first_fault
from verifiers.errors import JudgeFailed

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Line(BaseModel):
    """One recorded ask and its reply."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    turns: list[tuple[Role, str]] = Field(min_length=1, strict=False)
    schema_: Mapping[str, Any] | None = Field(None, alias="schema")
    options: list[str] = []
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    nonce: str | None = None
    sampling: list[tuple[str, str | float]] = Field([], strict=False)
    text: str
    finish_reason: str = "stop"
    probabilities: dict[str, Probability] | None = None
    usage: tuple[int, int] = Field((0, 0), strict=False)

    @property
    def ask(self) -> Ask:
        return Ask(
            tuple(Turn(role, content) for role, content in self.turns),
            self.schema_,
            tuple(self.options),
            self.max_tokens,
            self.temperature,
            self.seed,
            self.nonce,
            tuple(self.sampling),
        )

    @property
    def reply(self) -> Reply:
        usage = Usage(*self.usage, calls=1)
        return Reply(self.text, self.finish_reason, self.probabilities, usage)


class ReplayBackend:
    """Answers from a file, which is read once.

    Raises:
        ValueError: the file cannot be read, or a line of it is no recorded reply.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"the recorded replies cannot be read: {error.strerror}") from None
        self._replies = dict(recorded(content))
        self.fingerprint = hashlib.sha256(b"replay\n" + content).hexdigest()

    async def start(self) -> None:
        """Nothing: the file has been read."""

    async def close(self) -> None:
        """Nothing: it is held in memory."""

    def fault(self) -> str | None:
        return None

    async def answer(self, ask: Ask, call: Call) -> Reply:
        found = self._replies.get(question_key("", ask))
        if found is None:
            raise JudgeFailed("no reply to this question is recorded", retryable=False)
        reply = found.for_ask(ask)

        async def send(_: float) -> Reply:
            return reply

        return await call(reply.usage, send)


def recorded(content: bytes) -> Iterator[tuple[bytes, Recorded]]:
    for number, text in enumerate(content.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = Line.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(first_fault(f"line {number}", error)) from None
        yield question_key("", line.ask), Recorded(line.reply, line.nonce)
