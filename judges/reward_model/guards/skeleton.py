"""Form without content: markdown headings over nothing, an opener and nothing else."""

from __future__ import annotations

import re

from judges.reward_model.guards.guard import TextGuard
from judges.reward_model.model.render import Prompt

MARKER = re.compile(r"\s*(?:#{1,6}|[-*+•>|]|\d{1,3}[.)])?[\s*_:|=-]*")
"""A line that holds a bullet, a number or a rule, and no text."""

HEADING = re.compile(
    r"\s*(?:#{1,6}\s|(?:[-*+•]|\d{1,3}[.)])?\s*\*\*[^*\n]{1,80}\*\*:?\s*$|[^\n]{1,80}:\s*$)"
)
"""A title, a bold label with or without a bullet, or a line that ends in a colon."""

OPENER = re.compile(
    r"\W*(?:(?:the |my )?(?:final )?(?:solution|answer|response|explanation|output|result)"
    r"|thought process|reasoning|step 1|sure|certainly|of course|okay"
    r"|(?:here is|here's) (?:the|my|your) (?:solution|answer|response)"
    r"|let(?:'s|’s| us| me) (?:think|solve|work|reason|go|do|break|analy[sz]e|start)\b"
    r"[^.!?\n]{0,80})"
    r"\W*",
    re.IGNORECASE,
)
"""The beginning of an answer. As the whole of one it has no content, and some judges reward it
all the same (Zhao et al. 2025, "One Token to Fool LLM-as-a-Judge")."""

HOLLOW_LINES = 100.0
"""As many hollow lines, and no others, are as hollow as can be."""


class Skeleton(TextGuard):
    """Lines that promise content and hold none, times their share: bare bullets, headings over
    nothing.

    A heading counts where the next line is another heading or a bare bullet, or none follows.
    An opener and nothing else is as hollow as can be.
    """

    name = "skeleton"

    def measure(self, prompt: Prompt, completion: str) -> float:
        if OPENER.fullmatch(completion):
            return HOLLOW_LINES
        lines = [line for line in completion.splitlines() if line.strip()]
        bare = [MARKER.fullmatch(line) is not None for line in lines]
        heads = [HEADING.match(line) is not None for line in lines]
        hollow = sum(
            bare[i] or (heads[i] and (i + 1 == len(lines) or heads[i + 1] or bare[i + 1]))
            for i in range(len(lines))
        )
        return min(hollow * hollow / len(lines), HOLLOW_LINES) if lines else 0.0
