"""Judges behind chat completions: OpenAI's own, and every endpoint that is compatible.

A reply is structured as far as the endpoint keeps to it (see `capabilities.py`): by a JSON
schema, else by JSON mode, else it is text. The same holds for the probabilities of options,
which are read from the log-probabilities of the first token.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

import orjson

from judges.llm.backend import Call, most_tokens, usage_in
from judges.llm.base import Ask, Reply, Usage
from judges.llm.capabilities import NOT_UNDERSTOOD, Capabilities
from judges.llm.endpoint import Endpoint
from judges.llm.failures import Declined, Rejected, Unusable

Mode = Literal["json_schema", "json_object", "text"]
"""How a reply is held to its form, strictest first."""

MODES: tuple[Mode, ...] = ("json_schema", "json_object", "text")

TOP_LOGPROBS = 20
"""The most that OpenAI gives."""

MIN_OPTION_MASS = 0.5
"""Where the options get less than this together, the judge was about to say something else."""

FINISHED = ("stop", "eos_token", "stop_sequence")
"""What endpoints call an end of the model's own choosing."""


class ChatBackend:
    """Asks one model of one endpoint.

    Args:
        path: of chat completions, below the endpoint's base.
        length_field: `max_tokens`, or `max_completion_tokens` where a model wants that.
        extra: members added to every request, such as `reasoning_effort`.
        omit: members left out of every request, such as `temperature`, which models that
            reason refuse.
        known: what the endpoint can, where that is not to be found out.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        path: str = "/chat/completions",
        length_field: str = "max_tokens",
        extra: Mapping[str, Any] | None = None,
        omit: Collection[str] = (),
        known: Mapping[str, bool] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._path = path
        self._length_field = length_field
        self._extra = dict(extra or {})
        self._omit = frozenset(omit)
        self.capabilities = Capabilities(self._ask, known or {})
        identity = orjson.dumps(
            ["chat", endpoint.base_url + path, model, self._extra, sorted(omit)],
            option=orjson.OPT_SORT_KEYS,
        )
        self.fingerprint = hashlib.sha256(identity).hexdigest()

    async def start(self) -> None:
        """Nothing: the endpoint is asked what it can once that matters."""

    async def close(self) -> None:
        await self._endpoint.close()

    def fault(self) -> str | None:
        return self._endpoint.fault

    async def answer(self, ask: Ask, call: Call) -> Reply:
        first = MODES.index(await self._mode(ask, call))
        parameters: dict[str, Any] = {}
        if ask.seed is not None and await self.capabilities.has("seed", call):
            parameters["seed"] = ask.seed
        if ask.options and ask.schema is None and await self.capabilities.has("logprobs", call):
            parameters |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        for mode in MODES[first:-1]:
            try:
                return await self._ask(ask, call, response_format(mode, ask) | parameters)
            except Rejected as refusal:
                # It honours the mode, yet not this schema: schemas are honoured in part.
                if refusal.status not in NOT_UNDERSTOOD:
                    raise
        return await self._ask(ask, call, parameters)

    async def _mode(self, ask: Ask, call: Call) -> Mode:
        if ask.schema is None:
            return "text"
        if await self.capabilities.has("json_schema", call):
            return "json_schema"
        return "json_object" if await self.capabilities.has("json_object", call) else "text"

    async def _ask(self, ask: Ask, call: Call, parameters: Mapping[str, Any]) -> Reply:
        members = {
            "model": self._model,
            "messages": [{"role": turn.role, "content": turn.content} for turn in ask.turns],
            self._length_field: ask.max_tokens,
            "temperature": ask.temperature,
            **dict(ask.sampling),
            **parameters,
            **self._extra,
        }
        body = orjson.dumps({k: v for k, v in members.items() if k not in self._omit})
        most = Usage(most_tokens(body, len(ask.turns)), ask.max_tokens, calls=1)

        async def send(timeout_s: float) -> Reply:
            document = await self._endpoint.post(self._path, body, timeout_s)
            usage = usage_in(document, most, "prompt_tokens", "completion_tokens")
            return reply_of(document, ask, usage)

        return await call(most, send)


def response_format(mode: Mode, ask: Ask) -> dict[str, Any]:
    if mode == "json_schema":
        schema = {"name": "reply", "schema": ask.schema, "strict": True}
        return {"response_format": {"type": mode, "json_schema": schema}}
    return {"response_format": {"type": mode}}


def reply_of(document: Any, ask: Ask, usage: Usage) -> Reply:
    """The one reply in an endpoint's document.

    Raises:
        Unusable: there is not exactly one, it is empty, or was cut off.
        Declined: it is a refusal.
    """
    try:
        (choice,) = document["choices"]
        message, reason = choice["message"], choice["finish_reason"]
        text, refusal = message.get("content"), message.get("refusal")
    except (LookupError, TypeError, ValueError, AttributeError):
        raise Unusable("the endpoint sent no choice, or not one alone", usage=usage) from None
    if refusal or reason == "content_filter":
        raise Declined("the judge refused", usage=usage)
    if reason == "length":
        raise Unusable(f"the reply was cut off after {ask.max_tokens} tokens", usage=usage)
    if reason not in FINISHED or not isinstance(text, str) or not text.strip():
        raise Unusable("the judge wrote no text", usage=usage)
    return Reply(text, "stop", option_probabilities(choice, text, ask.options), usage)


def option_probabilities(
    choice: Mapping[str, Any], text: str, options: tuple[str, ...]
) -> dict[str, float] | None:
    """What the first token says of every option, or None where it does not tell them apart.

    Case and space around a token do not count. Options beyond the tokens listed get 0. One
    token cannot tell apart options of which one begins another, nor those that share it.
    """
    folded = {option.casefold(): option for option in options}
    if len(folded) < len(options) or any(
        a != b and a.startswith(b) for a in folded for b in folded
    ):
        return None
    tokens = first_tokens(choice)
    mass = dict.fromkeys(options, 0.0)
    for token, probability in tokens:
        begun = [option for fold, option in folded.items() if token and fold.startswith(token)]
        if len(begun) > 1:
            return None
        if begun:
            mass[begun[0]] += probability
    total = sum(mass.values())
    if not MIN_OPTION_MASS <= total <= 1.01 or not text.strip().casefold().startswith(
        tuple(folded)
    ):
        return None
    return {option: value / total for option, value in mass.items()}


def first_tokens(choice: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The likeliest first tokens with their probabilities; none where any is not one."""
    try:
        listed = choice["logprobs"]["content"][0]["top_logprobs"]
        tokens = [
            (entry["token"].strip().casefold(), math.exp(entry["logprob"])) for entry in listed
        ]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return []
    return tokens if all(0.0 <= probability <= 1.01 for _, probability in tokens) else []
