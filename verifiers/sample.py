"""What is scored, as it comes over the wire, and the limits of what may come.

Read with pydantic, whose complaints name every offending field.

A message may hold more than text: tool calls, reasoning, pictures, whatever chat APIs think of
next. All of it is kept as it came, unless there is too much of it (see `leave_out`), and none of
it can fail a sample. What of it a scorer reads, the scorer declares (see `Reads`); what is text,
and what is silence, is said at `Message`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

from verifiers.errors import Unreadable

Reads = Literal["text", "calls", "reasoning", "images", "turns"]
"""What of a completion a scorer may read."""

MAX_TEXT_CHARACTERS = 4 * 1024 * 1024
"""Nobody asks with four million characters: a prompt or a reference of more is broken.

Completions have a much lower limit, which is a verdict (`rejected`) and not an error, however
long they are: see `Scheduler` in the service.
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
"""Messages of one prompt, and parts of one message that are kept apart."""


def nesting(value: Any) -> int:
    """How many arrays and objects lie around the deepest value."""
    return shape(value)[0]


def shape(value: Any) -> tuple[int, int]:
    """How deep a JSON value is nested, and how many values are inside it."""
    depth = nodes = 0
    for level in levels(value):
        depth += 1
        nodes += len(level)
    return depth, nodes


def levels(value: Any) -> Iterator[list[Any]]:
    """The values inside a JSON value, outermost first: without recursion, so at any depth."""
    level = [value]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        yield level


def holds_something(value: Any) -> bool:
    """Whether anything in a JSON value is more than null, false, zero or empty.

    Tables of rows fill what a row leaves out with null, so a null is nothing at any depth.
    """
    return any(
        inner and not isinstance(inner, dict | list)
        for level in ([value], *levels(value))
        for inner in level
    )


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


def legible(notes: Any) -> Any:
    """Notes that fit; None for others, because nobody reads them."""
    try:
        return shallow(notes) if isinstance(notes, dict) else None
    except ValueError:
        return None


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Notes = Annotated[dict[str, JsonValue] | None, BeforeValidator(legible)]
Json = Annotated[JsonValue, BeforeValidator(shallow)]
JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(shallow)]
ScorerSpec = Name | JsonObject
"""A scorer's or preset's name, or `{"type": NAME, **parameters}`."""


TEXT_PARTS = ("text", "output_text", "input_text")
"""Parts whose `text` is the message's text: of chat completions, and the two of the Responses
API, one for what a policy wrote and one for what it was told. A type that is not here is no
text, whatever it holds."""

REASONING_PARTS = (
    *("thinking", "think", "redacted_thinking"),
    *("reasoning", "reasoning_text", "summary_text"),
)
"""Parts that are thoughts and say nothing; `reasoning_content` is the same as a member."""

SAYING = ("tool_calls", "tool_call", "function_call", "refusal", "audio", "images")
"""Members by which a message says something beside its content. The others describe it, or
are thoughts."""


LEFT_OUT = "left out: nested too deep, or too large"
"""Stands for a value of a message that cannot be passed on and that nobody reads."""

NO_TEXT = "the text of a text part is a string or null"


def leave_out(members: dict[str, Any]) -> None:
    """Leaves out, in place, what is nested too deep or holds too much beside what is before it.

    It is no fault of the sample, for nobody reads it; that it said something stays true.
    """
    depth, nodes = shape(members)
    if depth <= MAX_NESTING and nodes <= MAX_NODES:
        return
    room = MAX_NODES
    for name, value in members.items():
        depth, nodes = shape(value)
        if depth >= MAX_NESTING or nodes >= room:
            members[name] = LEFT_OUT if holds_something(value) else None
        else:
            room -= nodes + 1


def speaks(part: dict[str, Any]) -> bool:
    """Whether a part that is no text says something: it has a content, which is no thought."""
    return part.get("type") not in REASONING_PARTS and holds_something(
        [value for name, value in part.items() if name != "type"]
    )


def tidy(parts: Any) -> Any:
    """The parts of a message, with nothing in those that are null.

    Of more than `MAX_MESSAGES` there is left what they come to: the text, and the first part
    that says something else.

    Raises:
        ValueError: one of so many is no part.
    """
    if not isinstance(parts, list):
        return parts
    if len(parts) > MAX_MESSAGES:
        return together(parts)
    return [{} if part is None else part for part in parts] if None in parts else parts


def together(parts: Iterable[Any]) -> list[dict[str, Any]]:
    texts: list[str] = []
    others: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        if part is None:
            continue
        if not isinstance(part, dict):
            raise ValueError(f"part {index} is no object")
        if part.get("type") in TEXT_PARTS:
            text = part.get("text")
            if not isinstance(text, str | None):
                raise ValueError(f"part {index}: {NO_TEXT}")
            texts.append(text or "")
        elif not others and speaks(part):
            others.append(part)
    return [{"type": "text", "text": "".join(texts)}, *others]


def foreign(part: Any) -> Any:
    """A part that holds no text.

    Raises:
        ValueError: it claims to, and its text is none.
    """
    if part.get("type") in TEXT_PARTS:
        raise ValueError(NO_TEXT)
    return part


class TextPart(BaseModel):
    """A part of a message that is text. Its other members (`cache_control` …) are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["text", "output_text", "input_text"]
    text: str | None = None


Part = Annotated[
    TextPart | Annotated[dict[str, Any], AfterValidator(foreign)],
    Field(union_mode="left_to_right"),
]
"""One part of a message: text, or anything else, which is kept untouched."""

Parts = Annotated[list[Part], Field(fail_fast=True), BeforeValidator(tidy)]
"""The first that is misshapen fails the message: to name each takes a second per 10,000."""


class Message(BaseModel):
    """One chat message. Members without a meaning here (`tool_calls`, `name` …) are kept.

    Its text is its content, or what the text parts of its content hold, where null is empty.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    max_part_characters: ClassVar[float] = MAX_TEXT_CHARACTERS

    role: Name
    content: Text | Parts | None = None

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        if self.model_extra:
            leave_out(self.model_extra)
        if isinstance(self.content, list):
            for part in self.content:
                if isinstance(part, TextPart) and len(part.text or "") > self.max_part_characters:
                    raise ValueError(f"a text of more than {self.max_part_characters:,} characters")
                if more := part if isinstance(part, dict) else part.model_extra:
                    leave_out(more)
        return self

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(
            [part.text or "" for part in self.content or () if not isinstance(part, dict)]
        )

    @property
    def says_more(self) -> bool:
        """Whether it holds anything that is said and not as text: a call, a picture, a refusal.

        Reasoning is not: whoever was cut off while thinking has said nothing. Nor is what holds
        nothing, see `holds_something`.
        """
        extra = self.model_extra or {}
        parts = self.content if isinstance(self.content, list) else ()
        return any(member in extra and holds_something(extra[member]) for member in SAYING) or any(
            isinstance(part, dict) and speaks(part) for part in parts
        )


class AssistantMessage(Message):
    """A completion in chat form, of any length: see `MAX_TEXT_CHARACTERS`."""

    max_part_characters: ClassVar[float] = math.inf

    role: Literal["assistant"]
    content: str | Parts | None = None


Messages = Annotated[list[Message], Field(fail_fast=True), BeforeValidator(few)]


class Sample(BaseModel):
    """One completion to score, with what is needed to judge it."""

    model_config = ConfigDict(extra="forbid")

    id: Name | None = Field(None, description="Echoed. Default: the sample's index.")
    prompt: Text | Messages | None = Field(None, description="What the policy was asked.")
    completion: str | AssistantMessage = Field(description="What the policy wrote.")
    reference: str | Json = Field(None, description="What is right, in the scorer's own form.")
    group: Name | None = Field(None, description="The prompt group this sample belongs to.")
    scorer: ScorerSpec | None = Field(None, description="Overrides the request's scorer.")
    metadata: Notes = Field(None, description="Your own notes. No scorer reads it.")

    @property
    def asked(self) -> str:
        """The prompt as plain text; empty where there is none."""
        if isinstance(self.prompt, list):
            return "\n\n".join(message.text for message in self.prompt)
        return self.prompt or ""

    @property
    def text(self) -> str:
        """The completion as plain text; empty where it says nothing, or only in other forms.

        Silence is the policy's own fault and has a price: content that is empty, blank or null
        is that text, also beside reasoning. What was said in another form than text, and in that
        form alone, is no fault of the policy's: see `check_readable`.
        """
        completion = self.completion
        return completion if isinstance(completion, str) else completion.text


CALLS = ("tool_calls", "function_call")
PICTURES = ("image", "image_url", "input_image")


def check_readable(message: Message, reads: frozenset[Reads], what: str) -> None:
    """Refuses a message that says something, and nothing in a form that is read.

    Raises:
        Unreadable: it holds calls, pictures or a refusal, none of which are in `reads`, and no
            text.
    """
    if message.text.strip() or not message.says_more:
        return
    extra = message.model_extra or {}
    if "calls" in reads and any(extra.get(member) for member in CALLS):
        return
    parts = message.content if isinstance(message.content, list) else ()
    if "images" in reads and any(
        isinstance(part, dict) and part.get("type") in PICTURES for part in parts
    ):
        return
    read = ", ".join(sorted(reads)) or "nothing of it"
    raise Unreadable(f"{what}: it holds nothing that this scorer reads, which is {read}")


def check_asked(sample: Sample) -> None:
    """Refuses a prompt whose last question is no text, for scorers that judge by the prompt.

    Raises:
        Unreadable: it asks by a picture, or the like, alone.
    """
    if isinstance(sample.prompt, list):
        asked = [message for message in sample.prompt if message.role != "assistant"]
        if asked:
            check_readable(asked[-1], frozenset({"text"}), "prompt")
