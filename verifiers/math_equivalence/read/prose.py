"""Values with prose around them: "The minimum is 2, attained at x = 1"."""

from __future__ import annotations

import re
from typing import Final

WRAPPED_TEXT: Final = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}]*)\}")
STATES: Final = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?"
    r"(?P<subject>(?:the|their|its|his|her|there|minimum|maximum|smallest|largest|least|greatest|"
    r"total)\b[^.,;:?!]{0,100}?) (?:is|are|equals|was)(?: equal to| exactly)? "
    r"(?P<value>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
REMARK: Final = re.compile(
    r",?\s*\(?\b(?:attained|achieved|reached|obtained|occurring|occurs|because|since|"
    r"with equality|where equality|as follows|"
    r"\$?[A-Za-z]\$? (?:is )?(?:an? |any |some )?(?:arbitrary |real )?constants?)\b.*\Z",
    re.DOTALL,
)
DOUBTED: Final = re.compile(
    r"\b(?:not|no|never|wrong|incorrect|false|doubt|if|unless|suppose|assuming|such that|reference|"
    r"expected|claims?|said|guess|maybe|perhaps|or|nor|than|but|whether|what|which|who|student|"
    r"user|ground|gold|truth|target)\b|n['’]t\b",
    re.IGNORECASE,
)
"""Beside a value: it is somebody else's, or supposed, denied, or one of several."""


INTRODUCTION: Final = re.compile(
    r"(?:(?:for )?(?:all|any|every|exactly)|if and only if|iff|"
    r"the (?:points?|lines?|interval|set|numbers?|integers?|ordered pairs?|pairs?|circle|curve|"
    r"equation|plane|vector))\s+(?=[\w(\\\[{])",
    re.IGNORECASE,
)
"""Words before mathematics that add nothing to it."""


def without_introduction(text: str) -> str | None:
    """`(1, 2)` of "the point (1, 2)"."""
    plain = " ".join(WRAPPED_TEXT.sub(r" \1 ", text).split())
    found = INTRODUCTION.match(plain)
    return plain[found.end() :] if found else None


def value_in_prose(text: str) -> str | None:
    """`2` of "The minimum is 2, attained at x = 1"; None where no value is stated.

    Whether what is returned is a value is for the parser to say.
    """
    plain = " ".join(WRAPPED_TEXT.sub(r" \1 ", text).split())
    without_remark = REMARK.sub("", plain)
    found = STATES.fullmatch(without_remark)
    if found is None:
        return without_remark if without_remark != plain else None
    return None if DOUBTED.search(without_remark) else found["value"]
