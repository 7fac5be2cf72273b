"""Keeps what a policy wrote from being read as anything but data.

A completion goes to a judge as a JSON string, on one line, between two lines that carry a nonce
of 128 bits, drawn anew for each question. To speak from outside its block it would have to write
that nonce, and can only guess. Nothing that a chat template would read as a control token
survives: its first character is written as a JSON escape, which a judge reads as the same text.
"""

from __future__ import annotations

import json
import re
import secrets
import unicodedata
from typing import Any

NONCE_BYTES = 16


def fresh_nonce() -> str:
    return secrets.token_hex(NONCE_BYTES)


# --- blocks -----------------------------------------------------------------------------

TEMPLATE_WORDS = "|".join(
    """s bos eos pad unk mask cls sep im_start im_end sys system user assistant human model tool
    tools tool_call tool_calls tool_response function_call function_response think thinking thought
    reasoning analysis final answer turn start_of_turn end_of_turn endoftext end_of_text
    begin_of_text start_header_id end_header_id eot_id eom_id start_of_image image""".split()
)

CONTROL_TOKENS = re.compile(
    rf"""
      <(?=[|｜│<])                                # <|im_start|>, <｜User｜>, <<SYS>>, <<<end …
    | <(?=/?\s*(?:{TEMPLATE_WORDS})\s*/?>)        # <s>, </s>, <start_of_turn>, <think>
    | <(?=/?\w{{1,32}}[|｜]>)                     # <turn|>
    | (?-i:\[(?=/?[A-Z][A-Z_\ ]{{1,32}}\]))        # [INST], [/INST], [SYSTEM_PROMPT], [END DATA]
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Where the control tokens of public chat templates begin: ChatML, Llama 2 to 4, Mistral, Gemma,
DeepSeek, Phi, Qwen, GPT-OSS."""

UNSEEN = re.compile(
    "[\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff\U000f0000-\U0010fffd]"
)
"""What no reader sees and a model does: controls, joiners, turned directions, variation
selectors, tag characters, private use; and halves of surrogate pairs, which no encoding has."""


def serialised(value: Any) -> str:
    """A value as one line of JSON that reads back as the same value, and holds no control token."""
    text = json.dumps(value, ensure_ascii=False)
    text = UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text)
    return CONTROL_TOKENS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def block(name: str, value: Any, nonce: str) -> str:
    """A value between two lines that only who knows the nonce can write."""
    return f"<<<{name} {nonce}>>>\n{serialised(value)}\n<<<end {name} {nonce}>>>"


# --- completions that say nothing -------------------------------------------------------

OPENERS = (
    "thought process",
    "lets solve this problem step by step",
    "lets think step by step",
    "lets think about this step by step",
    "step by step",
    "solution",
    "the solution is",
    "answer",
    "the answer is",
    "final answer",
    "the final answer is",
    "reasoning",
    "explanation",
    "response",
    "output",
    "result",
    "here is the answer",
    "here is the solution",
    "解",
    "解答",
    "答案",
    "かいせつ",
    "解説",
    "respuesta",
    "solución",
    "réponse",
    "antwort",
    "lösung",
    "ответ",
    "решение",
)
"""How an answer begins, without one. Judges give such a text full marks up to nine times in ten
(One Token to Fool LLM-as-a-Judge, arXiv 2507.08794)."""

ONLY_OPENERS = re.compile(rf"(?:(?:{'|'.join(OPENERS)})(?:\s+|$))+", re.IGNORECASE)

PERHAPS_SOMETHING = re.compile(r"[A-Za-z0-9]|[^\x00-\x7f]")

LONGEST_OPENER = 200
"""Characters. Longer texts are for judges, who are not fooled by length alone."""


def content_free(text: str) -> bool:
    """Whether a completion is nothing but punctuation, white space and openers of an answer."""
    if len(text) > LONGEST_OPENER:  # not normalised: a row of combining marks takes its square
        return not any(says_something(found[0]) for found in PERHAPS_SOMETHING.finditer(text))
    words = bare_words(text)
    return not words or ONLY_OPENERS.fullmatch(words) is not None


def bare_words(text: str) -> str:
    """The text without punctuation, marks of layout and invisible characters, in small letters."""
    plain = unicodedata.normalize("NFKC", UNSEEN.sub("", text)).casefold()
    kept = "".join("" if c in "'’`" else c if says_something(c) else " " for c in plain)
    return " ".join(kept.split())


def says_something(character: str) -> bool:
    """Letters and digits do, and symbols beyond ASCII: a tick or an emoji may be an answer."""
    category = unicodedata.category(character)
    return category[0] in "LN" or (category[0] == "S" and not character.isascii())
