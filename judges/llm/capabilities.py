"""What a chat endpoint really keeps to, found out by asking it, once each.

Endpoints take parameters that they do not honour without a word. So each probe asks for
something that only an endpoint that honours the parameter delivers, and looks at the reply.
The calls are as others: they are counted, capped and tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import orjson

from judges.llm.backend import Call
from judges.llm.base import Ask, Reply, Turn
from judges.llm.failures import Rejected, Unusable

logger = logging.getLogger(__name__)

Feature = Literal["json_schema", "json_object", "logprobs", "seed"]

FEATURES: tuple[Feature, ...] = ("json_schema", "json_object", "logprobs", "seed")

NOT_UNDERSTOOD = frozenset({400, 422})
"""How endpoints refuse parameters that they do not know."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["teal", "ochre"]}},
    "required": ["colour"],
    "additionalProperties": False,
}

GREETING = Ask((Turn("user", "Write the one word hello, and no JSON."),), max_tokens=512)
"""Asks for no JSON, so that JSON comes only from what enforces it. It names JSON because
OpenAI refuses JSON mode to prompts that do not."""

COMPARISON = Ask(
    (Turn("user", "Is two more than one? Answer with the one word yes or no."),),
    options=("yes", "no"),
    max_tokens=512,
)

NUMBER = Ask(
    (Turn("user", "Write a random number of twelve digits and nothing else."),),
    max_tokens=512,
    temperature=1.0,
)
"""Two equal replies of these are no accident."""

Request = Callable[[Ask, Call, Mapping[str, Any]], Awaitable[Reply]]
"""One call with parameters that an `Ask` does not have."""


class Capabilities:
    """Answers of the probes, remembered for the life of the process.

    Args:
        request: makes a call to the endpoint.
        known: features that are told, and not probed.
    """

    def __init__(self, request: Request, known: Mapping[str, bool]) -> None:
        self._request = request
        self._found: dict[str, bool] = dict(known)
        self._locks = {feature: asyncio.Lock() for feature in FEATURES}

    @property
    def found(self) -> Mapping[str, bool]:
        return dict(self._found)

    async def has(self, feature: Feature, call: Call) -> bool:
        """Whether the endpoint honours it.

        Raises:
            JudgeFailed: it could not be found out now.
        """
        if feature not in self._found:
            async with self._locks[feature]:
                if feature not in self._found:
                    self._found[feature] = await self._probe(feature, call)
                    logger.info("judge endpoint: %s is %s", feature, self._found[feature])
        return self._found[feature]

    async def _probe(self, feature: Feature, call: Call) -> bool:
        try:
            if feature == "seed":
                return await self._repeats(call)
            if feature == "logprobs":
                return await self._tells_probabilities(call)
            return await self._keeps_to(feature, call)
        except Unusable:
            return False
        except Rejected as refusal:
            if refusal.status in NOT_UNDERSTOOD:
                return False
            raise

    async def _keeps_to(self, mode: Feature, call: Call) -> bool:
        form: dict[str, Any] = {"type": mode}
        if mode == "json_schema":
            form["json_schema"] = {"name": "reply", "schema": SCHEMA, "strict": True}
        reply = await self._request(GREETING, call, {"response_format": form})
        try:
            written = orjson.loads(reply.text)
        except orjson.JSONDecodeError:
            return False
        if mode == "json_object":
            return isinstance(written, dict)
        return written in ({"colour": "teal"}, {"colour": "ochre"})

    async def _tells_probabilities(self, call: Call) -> bool:
        parameters = {"logprobs": True, "top_logprobs": 5}
        reply = await self._request(COMPARISON, call, parameters)
        return reply.probabilities is not None

    async def _repeats(self, call: Call) -> bool:
        replies = [await self._request(NUMBER, call, {"seed": 20_112}) for _ in range(2)]
        return replies[0].text == replies[1].text
