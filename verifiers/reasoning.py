"""Where a completion's reasoning ends: the marks that models put around it, a row each.

What follows the last closing mark is the final part, and where an opening one comes after that,
or a chat template opened the reasoning in the prompt and nothing closed it, there is none: the
policy was cut off before it answered. A closing mark without an opening one counts, for the same
reason. Marks are the exact texts that models are trained to write; a completion that merely
quotes one is cut there, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from verifiers.sample import Message

TAGS: Final = (
    "think", "thinking", "thought", "thoughts", "reasoning", "scratchpad", "reflection",
    "inner_monologue", "seed:think",
)  # fmt: skip
"""Names of XML-like pairs."""

PAIRS: Final[tuple[tuple[str, str], ...]] = (
    *((f"<{tag}>", f"</{tag}>") for tag in TAGS),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ("<unused94>", "<unused95>"),  # MedGemma
    ("<|channel|>analysis", "<|channel|>final<|message|>"),  # harmony: gpt-oss
    ("<|channel|>commentary", "<|channel|>final<|message|>"),
)
"""What opens reasoning and what closes it."""

ENDS_OF_TURN: Final = (
    "<|return|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<|END_RESPONSE|>", "</s>",
)  # fmt: skip
"""What a decoder may leave behind the answer, where special tokens are kept."""

OPENED: Final = (*(opening for opening, _ in PAIRS), "<|channel|>analysis<|message|>")
"""What a prompt ends with where it ends inside reasoning."""

LAST: Final = frozenset(mark[-1] for mark in OPENED)

CLOSING: Final = frozenset(closing for _, closing in PAIRS)


@lru_cache(maxsize=64)
def marks(tags: tuple[str, ...] = ()) -> re.Pattern[str]:
    """Any mark, those of further XML-like pairs included: one pass over a text finds them all."""
    known = {mark for pair in PAIRS for mark in pair}
    known |= {mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")}
    by_first: dict[str, list[str]] = {}
    for mark in sorted(known):
        by_first.setdefault(mark[0], []).append(re.escape(mark[1:]))
    return re.compile("|".join(f"{re.escape(a)}(?:{'|'.join(b)})" for a, b in by_first.items()))


MARK: Final = marks()

CANDIDATE: Final = re.compile(r"<[a-z/|]|\[/?T|◁")
"""How every mark begins."""


def final_part(text: str, *, opened: bool = False, tags: tuple[str, ...] = ()) -> str | None:
    """What follows the reasoning, or all of `text` where there is none; None where it is open.

    Args:
        opened: the prompt ends inside reasoning.
        tags: names of further XML-like pairs.
    """
    if not opened and "<" not in text and "◁" not in text and "THINK]" not in text:
        return text  # as nearly always, and then it is to cost nothing
    if not opened and CANDIDATE.search(text) is None:
        return text
    mark = marks(tags) if tags else MARK
    end = -1
    for found in mark.finditer(text):
        opened = not (found[0] in CLOSING or found[0].startswith("</"))
        end = found.end()
    if opened:
        return None
    if end < 0:
        return text
    final = text[end:]
    stripped = final.rstrip()
    for ending in ENDS_OF_TURN:
        if stripped.endswith(ending):
            return stripped.removesuffix(ending)
    return final


def further(tags: Sequence[str]) -> tuple[str, ...]:
    """Those of `tags` that are not marks anyway."""
    return tuple(tag for tag in tags if tag not in TAGS)


def is_open_after(prompt: str | Sequence[Message] | None) -> bool:
    """Whether a chat template, or an assistant's message to be continued, opened reasoning."""
    if not prompt:
        return False
    if not isinstance(prompt, str):
        if prompt[-1].role != "assistant":
            return False
        prompt = prompt[-1].text
    end = prompt.rstrip()
    return end[-1:] in LAST and end.endswith(OPENED)
