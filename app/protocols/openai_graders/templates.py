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


def checked(template: str) -> str:
    for match in VARIABLE.finditer(template):
        path_of(match[1].strip())
    return template


Template = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS), AfterValidator(checked)]
"""A text whose variables are paths. Whether they lead anywhere is known with the item."""


def fill(template: str, variables: Mapping[str, Any]) -> str:
    """`template` with the values of its variables; those that are no text, as JSON.

    Raises:
        UnknownVariable: a path leads nowhere.
        BadRequest: it comes to more than a text may be. Each variable can be a megabyte.
    """
    pieces, end, room = [], 0, MAX_TEXT_CHARACTERS
    for match in VARIABLE.finditer(template):
        value = value_at(match[1].strip(), variables)
        pieces += [template[end : match.start()], value]
        end = match.end()
        room -= len(pieces[-2]) + len(value)
        if room < 0:
            raise BadRequest(f"a template comes to over {MAX_TEXT_CHARACTERS:,} characters")
    return "".join([*pieces, template[end:]])


def value_at(expression: str, variables: Mapping[str, Any]) -> str:
    path = path_of(expression)
    value: Any = variables
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            raise UnknownVariable(expression, path) from None
    return value if isinstance(value, str) else to_json(value).decode()
