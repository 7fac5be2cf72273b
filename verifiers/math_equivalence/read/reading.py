"""One text, read as far as anybody asks: cleaned, as a number, as an expression."""

from __future__ import annotations

import re
from typing import Final

from verifiers.math_equivalence.limits import MAX_ANSWER_CHARACTERS, TooLargeError
from verifiers.math_equivalence.read.answers import read_answer
from verifiers.math_equivalence.read.expression import Node, Number, Words
from verifiers.math_equivalence.read.normal_form import SPACED_THOUSANDS as SPACED
from verifiers.math_equivalence.read.normal_form import clean, normal_form
from verifiers.math_equivalence.read.prose import value_in_prose, without_introduction
from verifiers.math_equivalence.read.rationals import Literal, read_number

IN_TEXT: Final = re.compile(r"[\s$]*\\(?:text(?:bf|it|rm|normal)?|mathrm|mbox|emph)\s*\{")

SHORT: Final = 18
"""Digits of the integers that most answers are."""


class Reading:
    """What a reference or an answer says.

    Raises:
        TooLargeError: the text is longer than an answer may be.
    """

    __slots__ = ("_node", "_split", "cleaned", "is_text", "literal", "normal", "too_large")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_ANSWER_CHARACTERS:
            raise TooLargeError(f"an answer of {len(text)} characters")
        self.too_large: str | None = None
        self.literal: Literal | None = None
        self.is_text = "\\" in text and IN_TEXT.match(text) is not None
        """It begins with `\\text{…}`."""
        self._node: Node | None = None
        self._split: Node | None = None
        if text.isdecimal() and text.isascii() and len(text) < SHORT:
            self.cleaned = self.normal = text
            self.literal = Literal(int(text))
            return
        self.cleaned = clean(text)
        self.normal = normal_form(self.cleaned)
        try:
            digits = (
                self.cleaned.replace(" ", "") if SPACED.fullmatch(self.cleaned) else self.cleaned
            )
            self.literal = read_number(digits)
        except TooLargeError as error:
            self.too_large = str(error)

    @property
    def node(self) -> Node:
        """The expression or structure, `Words` where it is none.

        Raises:
            TooLargeError: beyond a limit.
        """
        if self._node is None:
            if self.too_large:
                raise TooLargeError(self.too_large)
            self._node = self._read()
        return self._node

    def _read(self) -> Node:
        literal = self.literal
        if literal is not None and not literal.percent and "$" not in self.cleaned:
            return Number(literal.value, literal.places, literal.digits)
        node = read_answer(self.cleaned)
        return self._read_loosely() or node if isinstance(node, Words) else node

    def _read_loosely(self) -> Node | None:
        """The same with its braces closed, or the value that it states in prose."""
        for text in (
            with_braces_closed(self.cleaned),
            value_in_prose(self.cleaned),
            without_introduction(self.cleaned),
        ):
            if text is not None:
                node = read_answer(text)
                if not isinstance(node, Words):
                    return node
        return None

    @property
    def node_as_list(self) -> Node:
        """The same with `1,234` read as two numbers."""
        if self._split is None:
            self._split = read_answer(self.cleaned, thousands=False)
        return self._split


MAX_MISSING_BRACES: Final = 2


def with_braces_closed(text: str) -> str | None:
    """`\\frac{1}{2` with its last brace, `{2}}` without one too many; None where none is amiss."""
    missing = text.count("{") - text.count("\\{") - text.count("}") + text.count("\\}")
    if 0 < missing <= MAX_MISSING_BRACES:
        return text + "}" * missing
    return text[:missing] if -MAX_MISSING_BRACES <= missing < 0 and text.endswith("}") else None
