r"""What a reference may look like, and what makes one unusable.

A number, LaTeX with or without delimiters, plain text, `\boxed{…}`, a whole worked
solution with a box, or a GSM8K one that ends in "#### 72".
"""

from __future__ import annotations

import re
from typing import Final

from verifiers.base import InvalidReference
from verifiers.math_equivalence.compare.comparison import compare
from verifiers.math_equivalence.find.boxes import boxed
from verifiers.math_equivalence.find.extraction import extract
from verifiers.math_equivalence.find.statements import stated
from verifiers.math_equivalence.limits import MAX_ANSWER_CHARACTERS, TooLargeError
from verifiers.math_equivalence.numbers.evaluate import Evaluator
from verifiers.math_equivalence.numbers.values import NotNumericError, UndefinedError
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.expression import (
    STRUCTURES,
    Node,
    Words,
    free_symbols,
)  # fmt: skip
from verifiers.math_equivalence.read.reading import Reading
from verifiers.math_equivalence.read.words import choice

MAX_SOLUTION_CHARACTERS: Final = 65_536
"""A worked solution, of which only the final answer is kept."""

SAYS_SOMETHING: Final = re.compile(r"[^\W_]|\\(?:emptyset|varnothing|infty|pi)|∞|∅")
REPHRASED: Final = re.compile(
    r"(?P<first>.*?\S)\s*(?:"
    r"\(\s*(?:(?:or )?equivalently,?|or|i\.e\.,?|that is,?)\s+(?P<bracketed>.*)\)"
    r"|,?\s(?:(?:or )?equivalently,?|i\.e\.,?|that is,)\s+(?P<second>.*))",
    re.DOTALL,
)
"""One value, and the same in another form."""
CUT_LIST: Final = re.compile(r",[^,()\[\]{}]+,[\s$]*\Z")
CUT_SIGN: Final = re.compile(r"(?:[=<>*/^]|\\(?:le|ge|ne|approx|cup|cap|in)|[0-9)\]}]\s*[+-])\s*\Z")
COMMAND: Final = re.compile(r"\\[A-Za-z]+")
PROSE: Final = re.compile(r"[^\W\d_]{3}")
DIGITS_TO_CHECK: Final = 20


def read_reference(reference: str | int | float) -> Reading:
    """The reference, read.

    Raises:
        InvalidReference: nothing can be compared with it.
    """
    text = reference if isinstance(reference, str) else repr(reference)
    try:
        text = final_answer(text)
        if CUT_LIST.search(text):
            raise InvalidReference("the reference is a list without its end")
        reading = said_once(Reading(text))
        check(reading)
    except TooLargeError as error:
        raise InvalidReference(f"the reference is beyond a limit: {error}") from None
    except RecursionError:
        raise InvalidReference("the reference is nested too deep") from None
    return reading


def said_once(reading: Reading) -> Reading:
    """`1/2` of "1/2 (or 0.5)" and of "1/2, i.e. 0.5": the same value in two forms."""
    if not isinstance(reading.node, Words) or not (found := REPHRASED.fullmatch(reading.cleaned)):
        return reading
    first, second = Reading(found["first"]), Reading(found["second"] or found["bracketed"])
    same = compare(first, second, MathParameters()).equal
    return reading if isinstance(first.node, Words) or not same else first


def final_answer(text: str) -> str:
    """The answer inside a worked solution; all of a text that is none.

    Raises:
        InvalidReference: it announces an answer and holds none.
    """
    if len(text) > MAX_SOLUTION_CHARACTERS:
        raise InvalidReference("the reference is longer than a worked solution")
    if "\\boxed" in text or "\\fbox" in text:
        found = boxed(text)
        if found is None or (found.others and len(found.others) > MAX_EARLIER_BOXES):
            raise InvalidReference("the reference's box is not closed")
        return found.text
    if "####" in text:
        return text.rpartition("####")[2].strip()
    if len(text) > MAX_ANSWER_CHARACTERS or "\n\n" in text.strip():
        found = extract(text)
        if found is not None:
            return found.text
    return announced(text) or text


MAX_EARLIER_BOXES: Final = 8


def announced(text: str) -> str | None:
    """`5` of "The answer is 5."."""
    if "nswer" not in text and "答案" not in text:
        return None
    found = stated(text)
    return found.text if found else None


def check(reading: Reading) -> None:
    """Refuses what no answer could be equal to."""
    if reading.normal.isdecimal():
        return
    if not SAYS_SOMETHING.search(reading.normal):
        raise InvalidReference("the reference is empty")
    if not balanced(reading.cleaned):
        raise InvalidReference("the reference's brackets are not balanced")
    if isinstance(reading.node, Words) and is_cut_off(reading.cleaned):
        raise InvalidReference("the reference is cut off")
    if reading.normal.lower() in ("nan", "null", "undefined?"):
        raise InvalidReference("the reference is not a value")
    node = reading.node
    if not isinstance(node, (*STRUCTURES, Words)) and not free_symbols(node):
        check_value(node)


def is_cut_off(cleaned: str) -> bool:
    """Mathematics that could not be read: a bracket is open, or a sign has nothing after it.

    Brackets may differ in kind, as those of half-open intervals do.
    """
    if PROSE.search(COMMAND.sub(" ", cleaned)) or choice(cleaned):
        return False
    opened = sum(cleaned.count(bracket) for bracket in "([")
    closed = sum(cleaned.count(bracket) for bracket in ")]")
    return opened != closed or CUT_SIGN.search(cleaned) is not None


def check_value(node: Node) -> None:
    """A closed form must have a value. One that is too large is compared as it is written."""
    try:
        Evaluator(DIGITS_TO_CHECK).value(node, {})
    except UndefinedError as error:
        raise InvalidReference(f"the reference has no value: {error}") from None
    except (NotNumericError, TooLargeError):
        pass


def balanced(text: str) -> bool:
    """Whether every brace is closed. Other brackets may be half-open intervals."""
    depth = 0
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth < 0:
                return False
    return depth == 0
