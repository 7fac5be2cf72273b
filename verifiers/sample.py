"""What is scored, as it comes over the wire, and the limits of what may come.

Read with pydantic, whose complaints name every offending field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

MAX_TEXT_CHARACTERS = 4 * 1024 * 1024
"""No policy writes four million characters: a request that holds such a string is broken.

Completions have a much lower limit, which is a verdict (`rejected`) and not an error:
see `Scheduler` in the service.
"""

MAX_NAME_CHARACTERS = 256
"""Ids, groups and run names are keys of logs and tables, not texts."""

MAX_NESTING = 128
"""Levels of arrays and objects in any one JSON value of a request. Serializers give up at
some 250, and what cannot be passed on must not be let in."""

MAX_NODES = 200_000
"""Values inside one JSON value of a request. Checking a million takes a second, during which
the service does nothing else."""

MAX_MESSAGES = 10_000
"""Messages of one prompt, and parts of one message."""


def nesting(value: Any) -> int:
    """How many arrays and objects lie around the deepest value."""
    return shape(value)[0]


def shape(value: Any) -> tuple[int, int]:
    """How deep a JSON value is nested, and how many values are inside it."""
    depth = nodes = 0
    level = [value]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        nodes += len(level)
    return depth, nodes


def shallow(value: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: it is nested deeper than `MAX_NESTING`, or holds over `MAX_NODES` values.
    """
    if isinstance(value, dict | list):
        depth, nodes = shape(value)
        if depth > MAX_NESTING:
            raise ValueError(f"nested more than {MAX_NESTING} levels deep")
        if nodes > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES:,} values in one")
    return value


def few(value: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: it is a list of more than `MAX_MESSAGES`.
    """
    if isinstance(value, list) and len(value) > MAX_MESSAGES:
        raise ValueError(f"more than {MAX_MESSAGES:,} of them")
    return value


Reads = Literal["text", "calls", "reasoning", "images", "turns"]
"""What there can be in a completion for a scorer to read."""

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Json = Annotated[JsonValue, BeforeValidator(shallow)]
JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(shallow)]
ScorerSpec = Name | JsonObject
"""A scorer's or preset's name, or `{"type": NAME, **parameters}`."""


class TextPart(BaseModel):
    """One text part of a multi-part message, as chat APIs write them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """One chat message. Members that no scorer reads (`tool_calls`, `name` …) are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: Name
    content: Text | Annotated[list[TextPart], BeforeValidator(few)] | None = None

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        if self.model_extra:
            shallow(self.model_extra)
        return self

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or ())


class AssistantMessage(Message):
    """A completion in chat form."""

    role: Literal["assistant"]


class Sample(BaseModel):
    """One completion to score, with what is needed to judge it."""

    model_config = ConfigDict(extra="forbid")

    id: Name | None = Field(None, description="Echoed. Default: the sample's index.")
    prompt: Text | Annotated[list[Message], BeforeValidator(few)] | None = Field(
        None, description="What the policy was asked."
    )
    completion: Text | AssistantMessage = Field(description="What the policy wrote.")
    reference: str | Json = Field(None, description="What is right, in the scorer's own form.")
    group: Name | None = Field(None, description="The prompt group this sample belongs to.")
    scorer: ScorerSpec | None = Field(None, description="Overrides the request's scorer.")
    metadata: JsonObject | None = Field(None, description="Kept in the log. No scorer reads it.")

    @property
    def asked(self) -> str:
        """The prompt as plain text; empty where there is none."""
        if isinstance(self.prompt, list):
            return "\n\n".join(message.text for message in self.prompt)
        return self.prompt or ""

    @property
    def text(self) -> str:
        """The completion as plain text."""
        completion = self.completion
        return completion if isinstance(completion, str) else completion.text
