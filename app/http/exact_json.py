"""Strict JSON with exact integers, of up to Python's own limit of 4,300 digits."""

from __future__ import annotations

from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


class NotStrictJson(ValueError):
    """This is not JSON as RFC 8259 has it, or it is nested too deep to read."""


def loads(text: bytes | str) -> Any:
    """The value in `text`.

    Raises:
        NotStrictJson: there is none.
    """
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotStrictJson(str(error)) from None
