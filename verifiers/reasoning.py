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

FIRST: Final = tuple({opening[0] for opening, _ in PAIRS})
OPENING: Final = re.compile("|".join(re.escape(opening) for opening, _ in PAIRS))
CLOSING: Final = tuple(dict.fromkeys(closing for _, closing in PAIRS))


def final_part(text: str, *, opened: bool = False, tags: Sequence[str] = ()) -> str | None:
    """What follows the reasoning, or all of `text` where there is none; None where it is open.

    Args:
        opened: the prompt ends inside reasoning.
        tags: names of further XML-like pairs.
    """
    if not opened and not any(mark in text for mark in FIRST):
        return text
    end = max(position_behind(text, closing) for closing in CLOSING)
    end = max(end, *(position_behind(text, f"</{tag}>") for tag in tags), 0)
    if opened and not end:
        return None
    final = text[end:]
    if OPENING.search(final) or any(f"<{tag}>" in final for tag in tags):
        return None
    stripped = final.rstrip()
    for mark in ENDS_OF_TURN:
        if stripped.endswith(mark):
            return stripped.removesuffix(mark)
    return final


def position_behind(text: str, mark: str) -> int:
    """Where the last `mark` ends; 0 where there is none."""
    found = text.rfind(mark)
    return 0 if found < 0 else found + len(mark)


def is_open_after(prompt: str | Sequence[Message] | None) -> bool:
    """Whether a chat template, or an assistant's message to be continued, opened reasoning."""
    if not prompt:
        return False
    if not isinstance(prompt, str):
        if prompt[-1].role != "assistant":
            return False
        prompt = prompt[-1].text
    end = prompt.rstrip()
    return end.endswith(tuple(opening for opening, _ in PAIRS)) or end.endswith(
        "<|channel|>analysis<|message|>"
    )
