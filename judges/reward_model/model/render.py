"""How a prompt and a completion become the text, and the tokens, that a reward model reads.

Training and serving call the same two functions, so that what is scored is what was learned.
Where the tokenizer has a chat template, `render` is that template and nothing else, so TRL,
vLLM and others that apply it feed the model the same text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from verifiers.sample import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Prompt = str | Sequence[Message] | None

Truncation = Literal["reject", "trim_prompt"]
"""What happens to a text over the limit: refused, or its prompt is cut from the left. A
completion is never cut: the part that is left out would be free of judgement."""

BETWEEN = "\n\n"
"""Between turns, where the tokenizer has no chat template."""


class TextTooLong(ValueError):
    """The text has more tokens than the model takes, and may not or cannot be trimmed."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of one text, and how many of its prompt's were left out."""

    ids: list[int]
    trimmed: int = 0


def turns(prompt: Prompt) -> list[tuple[str, str]]:
    """The role and text of each; a plain prompt is one of the user."""
    if isinstance(prompt, str):
        return [("user", prompt)]
    return [(one.role, one.text) for one in prompt or ()]


def plain(prompt: Prompt) -> str:
    """What the policy was asked, as one text."""
    return BETWEEN.join(text for _, text in turns(prompt))


def asked(prompt: Prompt) -> str:
    """The last of what the policy was asked."""
    return turns(prompt)[-1][1] if prompt else ""


def render(prompt: Prompt, completion: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text that is scored.

    With a chat template: the template over the prompt's messages (a plain prompt is one user
    message) and the completion as the assistant's. Without: turns as `Role: content` with
    empty lines between them; a plain prompt and the completion have no roles.
    """
    before, after = _around(prompt, completion, tokenizer)
    return before + after


def encode(
    texts: Sequence[tuple[Prompt, str]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Truncation,
) -> list[Encoded | TextTooLong]:
    """The tokens of each rendered (prompt, completion), at most `max_length` of them."""
    if not texts:
        return []
    parts = [_around(prompt, completion, tokenizer) for prompt, completion in texts]
    batch = tokenizer(
        [before + after for before, after in parts],
        add_special_tokens=not tokenizer.chat_template,  # a template writes its own
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # it would warn of lengths that are handled here
    )
    return [
        _fitted(ids, offsets, len(before), max_length, truncation)
        for ids, offsets, (before, _) in zip(
            batch["input_ids"], batch["offset_mapping"], parts, strict=True
        )
    ]


def encode_whole(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[Encoded | TextTooLong]:
    """The tokens of whole texts as the tokenizer reads them, control tokens included.

    A text that begins with the tokenizer's opening token, as chat templates write it, is not
    given a second one.
    """
    opening = tokenizer.bos_token or tokenizer.cls_token
    read = [
        tokenizer(text, add_special_tokens=not (opening and text.startswith(opening)))["input_ids"]
        for text in texts
    ]
    return [Encoded(ids) if len(ids) <= max_length else _over(len(ids), max_length) for ids in read]


def without_controls(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text less the control tokens in it."""
    controls = _control_tokens(tokenizer)
    return controls.sub("", text) if controls else text


def _fitted(
    ids: list[int],
    offsets: list[tuple[int, int]],
    completion_start: int,
    max_length: int,
    truncation: Truncation,
) -> Encoded | TextTooLong:
    excess = len(ids) - max_length
    if excess <= 0:
        return Encoded(ids)
    if truncation == "reject":
        return _over(len(ids), max_length)
    of_prompt = [i for i, (start, end) in enumerate(offsets) if start < end <= completion_start]
    if len(of_prompt) < excess:
        written = len(ids) - len(of_prompt)
        return TextTooLong(
            f"the completion alone has {written:,} tokens, and the model takes {max_length:,}"
        )
    first = of_prompt[0]
    # A leading [CLS] or <s> has an empty span and stays.
    return Encoded(ids[:first] + ids[first + excess :], trimmed=excess)


def _over(tokens: int, max_length: int) -> TextTooLong:
    return TextTooLong(f"{tokens:,} tokens, and the model takes {max_length:,}")


def _around(prompt: Prompt, completion: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """The rendered text, cut where the completion begins."""
    controls = _control_tokens(tokenizer)
    completion = _defused(completion, controls)
    if not tokenizer.chat_template:
        return _plain_prompt(prompt, controls), completion
    messages = _messages(prompt, controls)
    opening = _templated(tokenizer, messages, add_generation_prompt=True)
    whole = _templated(tokenizer, [*messages, {"role": "assistant", "content": completion}])
    if whole.startswith(opening):
        return opening, whole[len(opening) :]
    at = max(whole.rfind(completion.strip()), 0)  # some templates open turns in another way
    return whole[:at], whole[at:]


def _templated(tokenizer: PreTrainedTokenizerBase, messages: list[Any], **options: Any) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))


def _messages(prompt: Prompt, controls: re.Pattern[str] | None) -> list[dict[str, str]]:
    return [{"role": role, "content": _defused(text, controls)} for role, text in turns(prompt)]


def _plain_prompt(prompt: Prompt, controls: re.Pattern[str] | None) -> str:
    if prompt is None:
        return ""
    if isinstance(prompt, str):
        return _defused(prompt, controls) + BETWEEN
    said = [f"{role.capitalize()}: {_defused(text, controls)}" for role, text in turns(prompt)]
    return BETWEEN.join([*said, "Assistant: "])


def _control_tokens(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    added = tokenizer.added_tokens_decoder.values()
    return _alternatives(tuple(sorted(token.content for token in added if token.special)))


@lru_cache(maxsize=64)
def _alternatives(tokens: tuple[str, ...]) -> re.Pattern[str] | None:
    spelled = [re.escape(token) for token in tokens if len(token) > 1]
    return re.compile("|".join(spelled)) if spelled else None


def _defused(text: str, controls: re.Pattern[str] | None) -> str:
    """Control tokens that a text merely spells, broken up.

    Else a completion could close its own turn and go on as the user, or as the system.
    """
    if controls is None:
        return text
    return controls.sub(lambda found: found[0][0] + " " + found[0][1:], text)
