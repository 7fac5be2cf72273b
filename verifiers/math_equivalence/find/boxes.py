"""The last box of a completion, and the boxes that contradict it."""

from __future__ import annotations

import re
from typing import Final

from verifiers.extract import closing_brace
from verifiers.math_equivalence.find.extracted import Extraction

BOX: Final = re.compile(r"\\(?:boxed|fbox|framebox)\s*")
BOX_TOKEN: Final = re.compile(r"\\[A-Za-z]+|-?[0-9]+(?:\.[0-9]+)?|[A-Za-z0-9]")
BETWEEN_BOXES: Final = re.compile(
    r"(?:[\s$,;.*&、，]|\\[,;()\[\] ]|\\(?:text|quad|qquad|mathrm)\b|[{}]|and\b|or\b|和|或"
    r"|[A-Za-z](?:_\{?[A-Za-z0-9]\}?)?\s*=)*",
    re.IGNORECASE,
)
MAX_BOX_DEPTH: Final = 4
MAX_BETWEEN_BOXES: Final = 48


def boxed(text: str) -> Extraction | None:
    """The last box. Boxes with nothing but commas and "and" between them are one list."""
    if "\\" not in text:
        return None
    boxes = box_spans(text)
    if not boxes:
        return None
    if not boxes[-1][2]:
        return Extraction("", "boxed")
    last = len(boxes) - 1
    first = last
    while first > 0 and only_separates(text[boxes[first - 1][1] : boxes[first][0]]):
        first -= 1
    members = list(dict.fromkeys(box[2] for box in boxes[first:]))
    others = dict.fromkeys(box[2] for box in boxes[:first] if box[2] and box[2] not in members)
    return Extraction(", ".join(members), "boxed", tuple(others))


def box_spans(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every outermost box. A box left open ends the scan."""
    spans = []
    position = 0
    while match := BOX.search(text, position):
        start = match.end()
        if text.startswith("{", start):
            end = closing_brace(text, start + 1)
            if end is None:
                break
            content, position = text[start + 1 : end], end + 1
        elif token := BOX_TOKEN.match(text, start):
            content, position = token[0], token.end()
        else:
            position = start
            continue
        spans.append((match.start(), position, unboxed(content.strip())))
    return spans


def unboxed(content: str) -> str:
    """The innermost content where all of a box is another box."""
    for _ in range(MAX_BOX_DEPTH):
        match = BOX.match(content)
        if match is None or not content.startswith("{", match.end()):
            break
        if closing_brace(content, match.end() + 1) != len(content) - 1:
            break
        content = content[match.end() + 1 : -1].strip()
    return content


def only_separates(between: str) -> bool:
    return len(between) <= MAX_BETWEEN_BOXES and BETWEEN_BOXES.fullmatch(between) is not None
