"""Finds the answer inside a completion. Pure, linear-time, and never raises.

Completions are hostile text: they flood, nest, leave things open and write the delimiters
themselves. So nothing here backtracks, and what is ambiguous yields None.
"""

from __future__ import annotations

import re
from typing import Literal

from verifiers.reasoning import final_part, is_open_after
from verifiers.sample import Sample

AnswerFrom = Literal["completion", "final", "boxed", "fenced"]
"""Where an answer is read: the whole completion; what follows the reasoning; the last
`\\boxed{…}` after the reasoning; the last fenced code block after the reasoning, or all of
it where there is none."""

ANSWER_FROM_HELP = (
    "Which part of the completion answers. The part after the reasoning follows the last "
    "</think>, or another model's mark; where reasoning is opened after that, or by the prompt and "
    "never closed, the policy was cut off and there is no answer, also where an answer only quotes "
    "the mark: then take the whole completion."
)

BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)

# Possessive, so that a line of a hundred thousand tildes is read once and not squared.
FENCE = re.compile(r"^ {0,3}(?:(`{3,}+)([^\n`]*+)|(~{3,}+)([^\n]*+))$", re.MULTILINE)


def boxed_contents(text: str) -> list[str]:
    """The contents of every outermost balanced `\\boxed{…}` or `\\fbox{…}`, in order.

    Braces escaped by a backslash do not count. A box left open ends the scan.
    """
    contents = []
    position = 0
    while match := BOX.search(text, position):
        end = closing_brace(text, match.end())
        if end is None:
            break
        contents.append(text[match.end() : end])
        position = end + 1
    return contents


def closing_brace(text: str, start: int) -> int | None:
    """The index of the brace that closes the one just before `start`."""
    depth = 1
    for match in BRACE.finditer(text, start):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


def fenced_blocks(text: str) -> list[str]:
    """The contents of every closed fenced code block, as CommonMark reads them.

    A fence is closed by one of the same character, at least as long, with nothing after it.
    What the opening one is indented by, the lines of its block are, too.
    """
    blocks = []
    opening: str | None = None
    start = indentation = 0
    for line in FENCE.finditer(text):
        fence, info = (line[1], line[2]) if line[1] else (line[3], line[4])
        if opening is None:
            opening, start = fence, line.end() + 1
            indentation = line[0].index(fence)
        elif fence.startswith(opening) and not info.strip():
            blocks.append(unindented(text[start : line.start()], indentation))
            opening = None
    return blocks


def unindented(block: str, indentation: int) -> str:
    """`block` without the first `indentation` spaces of its lines, as far as there are any."""
    return re.sub(rf"(?m)^ {{1,{indentation}}}", "", block) if indentation else block


def answer_in(sample: Sample, source: AnswerFrom) -> str | None:
    """The answer that a completion gives, or None where it gives none."""
    text = sample.text
    if source == "completion":
        return text
    final = final_part(text, opened=sample.prompt is not None and is_open_after(sample.prompt))
    if final is None or source == "final":
        return final
    if source == "boxed":
        boxes = boxed_contents(final)
        return boxes[-1] if boxes else None
    blocks = fenced_blocks(final)
    # The line feed before the closing fence belongs to the fence.
    return blocks[-1].removesuffix("\n") if blocks else final
