"""What the policy wrote, in what the trainers hand over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

SPECIAL_TOKENS = (
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<|return|>",
    "<end_of_turn>", "<eos>", "</s>", "<pad>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
"""What models end with, where a text is decoded with its special tokens."""


def last_reply(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """Where in a conversation the policy spoke last; None if it never did."""
    spoken = [at for at, message in enumerate(messages) if message.get("role") == "assistant"]
    return spoken[-1] if spoken else None


def reply_in(completion: str | Sequence[Mapping[str, Any]]) -> str | dict[str, Any]:
    """A text itself; of a conversation the last that the policy said."""
    if isinstance(completion, str):
        return completion
    at = last_reply(completion)
    return {"role": "assistant", "content": "" if at is None else completion[at].get("content")}


def neighbours(prompts: Sequence[Any]) -> list[str]:
    """The name of each prompt's group: equal neighbours are one."""
    return [str(number) for number, (_, same) in enumerate(groupby(prompts)) for _ in same]


def after_prompt(
    query: str, prompt: str, special_tokens: Sequence[str] = SPECIAL_TOKENS
) -> str | None:
    """What follows the prompt, without the special tokens at its end.

    None where the prompt is not in the query, as it was given: then nobody can tell where the
    completion begins, and an answer in the prompt might be taken for the policy's.
    """
    start = query.find(prompt)
    if start < 0:
        return None
    text = query[start + len(prompt) :].rstrip()
    while ending := next((token for token in special_tokens if text.endswith(token)), None):
        text = text.removesuffix(ending).rstrip()
    return text
