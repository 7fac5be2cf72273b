"""`{{ item.answer }}` and `{{ sample.output_text }}`: paths into two namespaces, and no more.

A template is read once, before any value is known, and its values are put in once: a
completion that holds `{{…}}` is text like any other. There is no template engine to escape
from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.protocols.gateway import BadRequest
from verifiers.sample import MAX_TEXT_CHARACTERS
from verifiers.score import to_json

NAMESPACES = ("item", "sample")

VARIABLE = re.compile(r"\{\{([^{}]*)\}\}")
STEP = re.compile(r"""\.([\w-]+)|\[(\d{1,9})\]|\[(["'])([^"'\]]*)\3\]""")

MAX_PATH_CHARACTERS = 500
"""Paths are remembered, so they are kept short."""

MAX_KEPT_CHARACTERS = 4_096
"""Longer templates are read each time."""

Path = tuple[str | int, ...]


class UnknownVariable(Exception):
    """The item, or the sample, has nothing at this path."""

    def __init__(self, expression: str, path: Path) -> None:
        super().__init__(f"there is no {expression}")
        self.path = path


@lru_cache(maxsize=4_096)
def path_of(expression: str) -> Path:
    """The path in `item.answers[0].text`.

    Raises:
        ValueError: it is no path into a known namespace.
    """
    if len(expression) > MAX_PATH_CHARACTERS:
        raise ValueError(f"a variable of over {MAX_PATH_CHARACTERS} characters")
    namespace = re.match(r"\w*", expression)
    path: list[str | int] = [namespace[0] if namespace else ""]
    if path[0] not in NAMESPACES:
        raise ValueError(f"{{{{{expression}}}}}: variables begin with item or sample")
    rest = expression[len(str(path[0])) :]
    while rest:
        step = STEP.match(rest)
        if step is None:
            raise ValueError(f"{{{{{expression}}}}}: not a path such as item.answers[0].text")
        name, index, _, key = step.groups()
        path.append(name if name is not None else int(index) if index is not None else key)
        rest = rest[step.end() :]
    return tuple(path)


Pieces = tuple[tuple[tuple[str, str, Path], ...], str]
"""A template read: each text with the variable after it and its path, and the last text."""


def read(template: str) -> Pieces:
    """
    Raises:
        ValueError: a variable is no path.
    """
    pieces, end = [], 0
    for match in VARIABLE.finditer(template):
        expression = match[1].strip()
        pieces.append((template[end : match.start()], expression, path_of(expression)))
        end = match.end()
    return tuple(pieces), template[end:]


remembered = lru_cache(maxsize=1_024)(read)


def pieces_of(template: str) -> Pieces:
    """The same, remembered: a run grades all its samples by one template."""
    return (remembered if len(template) <= MAX_KEPT_CHARACTERS else read)(template)


def checked(template: str) -> str:
    pieces_of(template)
    return template


Template = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS), AfterValidator(checked)]
"""A text whose variables are paths. Whether they lead anywhere is known with the item."""


def fill(template: str, variables: Mapping[str, Any]) -> str:
    """`template` with the values of its variables; those that are no text, as JSON.

    Raises:
        UnknownVariable: a path leads nowhere.
        BadRequest: it comes to more than a text may be. Each variable can be a megabyte.
    """
    pieces, last = pieces_of(template)
    filled, room = [], MAX_TEXT_CHARACTERS
    for text, expression, path in pieces:
        filled += [text, value_at(expression, path, variables)]
        room -= len(filled[-2]) + len(filled[-1])
        if room < 0:
            raise BadRequest(f"a template comes to over {MAX_TEXT_CHARACTERS:,} characters")
    return "".join([*filled, last])


def value_at(expression: str, path: Path, variables: Mapping[str, Any]) -> str:
    value: Any = variables
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            raise UnknownVariable(expression, path) from None
    return value if isinstance(value, str) else to_json(value).decode()
