"""The blocks of the documentation's pages, and how they are run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

FENCE = re.compile(r"^( *)```(\S*)(?: ([^\n]*))?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: `sh` and `python` are run, `text` is what the one before printed."""

    language: str
    text: str
    title: str = ""


def blocks(page: Path) -> Iterator[Block]:
    for indent, language, options, text in FENCE.findall(page.read_text(encoding="utf-8")):
        unindented = "\n".join(line.removeprefix(indent) for line in text.splitlines())
        title = re.search(r'title="([^"]+)"', options)
        yield Block(language.strip("{."), unindented + "\n", title[1] if title else "")


def shows(expected: str, printed: str) -> bool:
    """Whether `printed` is as `expected`, in which … stands for anything."""
    pieces = map(re.escape, expected.strip().split("…"))
    return re.fullmatch(".*".join(pieces), printed.strip(), re.DOTALL) is not None
