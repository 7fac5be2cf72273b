"""Carries plain Python values between processes that do not trust each other.

JSON with tags: `null`, booleans, numbers and strings stand for themselves, everything else
is an array whose first element names its type. Only exact built-in types are written: an
instance of a subclass could carry a method that lies about equality, and a class name in
the data could make the reader import something. Nothing here can construct anything else
than a plain value, whatever the bytes.

    >>> encode((1, {"a": {2}}))
    b'["tuple",1,["dict",["a",["set",2]]]]'
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

MAX_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 100
"""Deeper values are refused: recursion over hostile data must end somewhere."""

SMALL_INT = 1 << 62
"""Larger integers travel in hexadecimal, whose conversion takes linear time."""

COLLECTIONS: dict[str, type] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}

PLAIN_DICTS = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "Counter"),
}
"""Dictionaries that compare as plain ones, and become plain ones."""


Key = Callable[[Any], str]
"""What a dictionary's key is called in JSON."""


class CodecError(ValueError):
    """A value that cannot be carried, or bytes that are no value."""


class CannotLeave(CodecError):
    """A value of a type that is no plain built-in one."""


def encode(value: object, *, max_bytes: int | None = MAX_BYTES) -> bytes:
    """`value` as bytes.

    Raises:
        CodecError: it holds something other than plain built-in values, or too much.
    """
    try:
        data = json.dumps(_tagged(value, 0), separators=(",", ":"), allow_nan=False).encode()
    except CodecError:
        raise
    except (RecursionError, ValueError) as error:
        raise CodecError(str(error)) from None
    if max_bytes is not None and len(data) > max_bytes:
        raise CodecError("the value is too large")
    return data


def decode(data: bytes, *, key: Key | None = None, max_bytes: int | None = MAX_BYTES) -> Any:
    """The value in `data`.

    With `key`, dictionaries have its results as keys, each once, and sets are refused. So
    nothing hostile is hashed but strings, whose hashes cannot be made to collide.

    Raises:
        CodecError: these bytes were not written by `encode`.
    """
    if max_bytes is not None and len(data) > max_bytes:
        raise CodecError("the value is too large")
    try:
        return _value(json.loads(data, parse_constant=_refuse), 0, key)
    except CodecError:
        raise
    except (RecursionError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise CodecError(f"not a value: {type(error).__name__}") from None


def _refuse(constant: str) -> None:
    raise CodecError(f"{constant} is written as a tagged float")


def _tagged(value: Any, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -SMALL_INT < value < SMALL_INT else ["int", hex(value)]
    if kind is float:
        return value if math.isfinite(value) else ["float", str(value)]
    if depth >= MAX_DEPTH:
        raise CodecError("the value is nested too deeply")
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, *(_tagged(item, depth + 1) for item in value)]
    if kind is dict or (kind.__module__, kind.__qualname__) in PLAIN_DICTS:
        pairs = ([_tagged(k, depth + 1), _tagged(v, depth + 1)] for k, v in value.items())
        return ["dict", *pairs]
    if kind in (bytes, bytearray):
        return [kind.__name__, value.hex()]
    if kind is complex:
        return ["complex", _tagged(value.real, depth), _tagged(value.imag, depth)]
    if kind.__module__ == "numpy" and _is_numpy_scalar(value):
        return _tagged(value.item(), depth)
    raise CannotLeave(f"a value of type {kind.__qualname__} cannot leave its process")


def _is_numpy_scalar(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _value(data: Any, depth: int, key: Key | None) -> Any:
    if type(data) is not list:
        if type(data) is dict:
            raise CodecError("objects are written as tagged arrays")
        return data
    if depth >= MAX_DEPTH:
        raise CodecError("the value is nested too deeply")
    tag, *items = data
    if tag in COLLECTIONS:
        if key is not None and tag in ("set", "frozenset"):
            raise CodecError("a set")
        return COLLECTIONS[tag]([_value(item, depth + 1, key) for item in items])
    if tag == "dict":
        pairs = [(_value(k, depth + 1, key), _value(v, depth + 1, key)) for k, v in items]
        return dict(pairs) if key is None else _named(pairs, key)
    return _atom(tag, items)


def _named(pairs: list[tuple[Any, Any]], key: Key) -> dict[str, Any]:
    named = {key(k): v for k, v in pairs}
    if len(named) < len(pairs):
        raise CodecError("two keys of one name")
    return named


def _atom(tag: object, items: list[Any]) -> Any:
    if tag == "complex":
        real, imaginary = (_value(item, MAX_DEPTH - 1, None) for item in items)
        return complex(real, imaginary)
    (text,) = items
    if type(text) is not str:
        raise CodecError("an atom is written as a string")
    if tag == "int":
        return int(text, 16)
    if tag == "float" and text in ("nan", "inf", "-inf"):
        return float(text)
    if tag == "bytes":
        return bytes.fromhex(text)
    if tag == "bytearray":
        return bytearray.fromhex(text)
    raise CodecError("an unknown tag")
