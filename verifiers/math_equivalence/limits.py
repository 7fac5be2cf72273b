"""How much of a completion is looked at, and how large a number may grow.

Every limit is known before the work is done: sizes are computed from logarithms, and
what would exceed them is refused, so that no input costs more than a fraction of a second.
"""

from __future__ import annotations

from typing import Final

MAX_FINAL_CHARACTERS: Final = 65_536
"""What is searched for an answer: the end of the completion, reasoning stripped."""

MAX_ANSWER_CHARACTERS: Final = 2_000
"""An answer longer than a page is not an answer, and parsing is linear in it."""

MAX_DEPTH: Final = 48
"""Brackets, fractions and exponents inside one another. Keeps recursion shallow."""

MAX_TOKENS: Final = 1_200
"""Numbers, names and operators in one answer."""

MAX_ITEMS: Final = 256
"""Members of a list, set, tuple or matrix. Matching members may take their square."""

MAX_BOXES: Final = 8
"""Different boxes in one completion. More of them is a list of guesses."""

MAX_EXACT_BITS: Final = 65_536
"""Integers beyond some 20,000 digits are no longer computed exactly."""

MAX_EXPONENT_BITS: Final = 48
"""Floating point reaches 2^(2^48). A tower of powers beyond that is refused."""

MAX_TRIGONOMETRIC_BITS: Final = 1_024
"""Reducing an angle costs as many digits of pi as the angle has."""

MAX_FACTORIAL: Final = 4_096
"""n! is exact up to here; above, by Stirling's series."""

MAX_TERMS: Final = 512
"""Terms of a finite sum or product that is added up."""

MAX_STEPS: Final = 40_000
"""Operations in comparing one answer, all points and list members together."""


class TooLargeError(ArithmeticError):
    """The expression is beyond a limit."""
