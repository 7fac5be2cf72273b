"""What servers of reward models have in common: which model, and of what text.

Theirs is a whole text or a pair; ours a prompt and a completion. A pair is both. A chat's
last message is the completion. A text alone, with the chat template already in it, is a
completion without a prompt: a reward model reads it as it stands, and other scorers that need a
prompt refuse it.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from app.http.errors import Refused, Row
from app.http.openapi import Schema, given
from app.protocols.gateway import BadRequest, Gateway, StrictBody, conversation, rewards, sample_of
from verifiers.base import Sample, Scorer, SpecError, Text
from verifiers.sample import MAX_TEXT_CHARACTERS, Message, Name, ScorerSpec, few

REWARD_MODEL = "reward_model"
"""The scorer that is meant where no preset is, and the switch of these protocols."""

LABEL = "LABEL_0"
"""The one class of a model that has one output."""

TEXT: Schema = {"type": "string", "maxLength": MAX_TEXT_CHARACTERS}
TEXTS: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
SOME_TEXTS: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}
"""What is read of members that other servers also take other values in."""

CHAT: Schema = {"type": "array", "minItems": 1}

NO_NORMALIZE: Schema = {"not": {"required": ["normalize"]}}

USAGE = {
    "prompt_tokens": 0,
    "total_tokens": 0,
    "completion_tokens": 0,
    "prompt_tokens_details": None,
}
"""The scorers that stand behind this do not tell tokens."""


class UnknownModel(Refused):
    row = Row(404, "model_not_found", "No such model")

    def __init__(self, message: str) -> None:
        super().__init__(message, faults=[(("model",), message)])


class ModelRequest(StrictBody):
    """What every request may say. Members unknown here, such as `user`, change no reward."""

    model_config = ConfigDict(protected_namespaces=(), json_schema_extra=NO_NORMALIZE)

    model: Name | None = Field(None, description="A preset, or one of the reward models.")
    use_activation: bool | None = Field(
        None, description="False for the raw logit of a reward model that is no preset's own."
    )

    @model_validator(mode="before")
    @classmethod
    def _normalize_is_gone(cls, data: Any) -> Any:
        if isinstance(data, dict) and "normalize" in data:
            raise ValueError("`normalize` is no more: it is called use_activation")
        return data

    def samples(self) -> list[Sample]:
        """What is to be rated.

        Raises:
            BadRequest: the members do not say.
        """
        raise NotImplementedError


class TextRequest(ModelRequest):
    """Whole texts, or one chat, whose last message is the assistant's."""

    model_config = ConfigDict(
        json_schema_extra={**NO_NORMALIZE, "anyOf": [given("input"), given("messages", CHAT)]}
    )

    input: Annotated[
        Text | list[Any] | None, WithJsonSchema({"anyOf": [TEXTS, {"type": "null"}]})
    ] = None
    messages: Annotated[list[Message], BeforeValidator(few)] | None = None

    def samples(self) -> list[Sample]:
        if self.messages is not None and self.input is None:
            prompt, completion = conversation(self.messages)
            return [sample_of(prompt=prompt, completion=completion)]
        if self.input is None:
            raise BadRequest("input or messages is needed", "input")
        texts = [self.input] if isinstance(self.input, str) else self.input
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise BadRequest("texts are read here, and no token ids", "input", index)
        return [sample_of(completion=text) for text in texts]


Encoding = Literal["float", "base64"]


class VectorRequest(TextRequest):
    """`/pooling` and `/v1/embeddings`, whose vectors have the reward as their one member."""

    encoding_format: Encoding = "float"


def some_texts(value: Any) -> Any:
    """
    Raises:
        ValueError: it is neither null nor a text, nor a list of some.
    """
    texts = [value] if isinstance(value, str) else value
    if value is not None and not (
        isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
    ):
        raise ValueError("a text, or a list of texts, is needed")
    return value


SomeTexts = Annotated[
    Any, AfterValidator(some_texts), WithJsonSchema({"anyOf": [SOME_TEXTS, {"type": "null"}]})
]


def paired(
    queries: str | list[str], documents: str | list[str], names: tuple[str, str]
) -> list[Sample]:
    """One query with every document, or as many queries as documents.

    Raises:
        BadRequest: neither number.
    """
    asked = [queries] if isinstance(queries, str) else queries
    written = [documents] if isinstance(documents, str) else documents
    if len(asked) == 1:
        asked = asked * len(written)
    if len(asked) != len(written):
        raise BadRequest(f"{len(asked)} with {len(written)}: as many, or one", names[0])
    return [
        sample_of(prompt=query, completion=document)
        for query, document in zip(asked, written, strict=True)
    ]


def named_model(gateway: Gateway, model: str | None, use_activation: bool | None) -> Scorer[Any]:
    """The scorer behind a model's name. Found anew for every request, for models change.

    Raises:
        UnknownModel: there is none.
    """
    registry = gateway.registry
    spec: ScorerSpec | None = None
    if model is not None and model in registry.presets:
        spec = registry.presets[model]
    elif REWARD_MODEL in registry.types:
        named = {} if model in (None, REWARD_MODEL) else {"model": model}
        spec = {"type": REWARD_MODEL, **named}
    elif model is None:
        spec = gateway.settings.protocols.default_preset
    if spec is None:
        raise UnknownModel(f"there is no model {model or ''}".rstrip())
    if spec == REWARD_MODEL:
        spec = {"type": REWARD_MODEL}
    if isinstance(spec, dict) and spec.get("type") == REWARD_MODEL:
        raw = {"reward": "raw"} if use_activation is False else {}
        spec = {**spec, **raw, "whole_texts": True}
    try:
        return registry.build(spec)
    except SpecError as error:
        raise UnknownModel(str(error)) from None


async def rate(gateway: Gateway, request: Request, body: ModelRequest) -> list[float]:
    """
    Raises:
        Unscored: one of them failed, and there is no place to say so but the whole reply.
    """
    samples = body.samples()
    scorer = named_model(gateway, body.model, body.use_activation)
    return rewards(await gateway.score(request, scorer, samples))


def best_first(rewards: Sequence[float]) -> list[int]:
    """Indices; equals stay in the order in which they came."""
    return sorted(range(len(rewards)), key=lambda index: -rewards[index])


def vector(reward: float, encoding: Encoding) -> list[float] | str:
    if encoding == "float":
        return [reward]
    return base64.b64encode(struct.pack("<f", reward)).decode()
