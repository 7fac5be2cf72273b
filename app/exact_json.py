"""Strict JSON with exact integers: orjson alone reads those of more than 64 bits as floats."""

from __future__ import annotations

import json
from typing import Any

import orjson
import re2

LONG_NUMBER = re2.compile(rb"[0-9]{19}")
"""In every integer of more than 64 bits, and in hardly any other text."""


def loads(text: bytes) -> Any:
    """The value in `text`.

    Raises:
        orjson.JSONDecodeError: it is not strict JSON.
    """
    value = orjson.loads(text)
    return json.loads(text) if LONG_NUMBER.search(text) else value
