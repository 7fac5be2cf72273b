"""Carries plain Python values between processes that do not trust each other.

JSON with tags: `null`, booleans, numbers and strings stand for themselves, everything else
is an array whose first element names its type. Only exact types of a short list arrive: an
instance of a subclass could carry a method that lies about equality, and a class name in
the data could make the reader import something. Nothing here can construct anything else
than a plain value, whatever the bytes.

What leaves a program (`as_base`) may also be an instance of a subclass, of which the value of
its built-in base arrives; an iterator, which arrives as one over its items; and an array of
numpy, which arrives as a list. What goes to a program may also be one of its functions, by name.

    >>> encode((1, {"a": {2}}))
    b'["tuple",1,["dict",["a",["set",2]]]]'
"""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from verifiers.sandbox import atoms

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

VIEWS: dict[type, str] = {
    type({}.keys()): "keys",
    type({}.values()): "values",
    type({}.items()): "items",
}

BASES = frozenset((int, float, complex, str, bytes, bytearray, dict, *COLLECTIONS.values()))

MAX_ITEMS = 1 << 16
MAX_ITEM_BYTES = 1 << 20
"""Of an iterator, as much is taken, since it may be infinite. Going on behind that raises."""

PLAIN_DICTS = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "Counter"),
}
"""Dictionaries that compare as plain ones, and become plain ones."""


Key = Callable[[Any], str]
"""What a dictionary's key is called in JSON."""


class Reading(NamedTuple):
    """What `decode` is told."""

    key: Key | None = None
    function: Callable[[str], Any] | None = None


class Named:
    """Stands for a function of the program's."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


class Taken(Iterator[Any]):
    """An iterator of a program's, over items that it made beforehand."""

    def __init__(self, is_whole: bool, items: Iterable[Any]) -> None:
        self.is_whole = is_whole
        self.items = deque(items)

    def __next__(self) -> Any:
        if self.items:
            return self.items.popleft()
        if self.is_whole:
            raise StopIteration
        raise CodecError("an iterator of more items than can leave a process")


class CodecError(ValueError):
    """A value that cannot be carried, or bytes that are no value."""


class CannotLeave(CodecError):
    """A value of a type that is no plain built-in one."""


def encode(value: object, *, as_base: bool = False, max_bytes: int | None = MAX_BYTES) -> bytes:
    """`value` as bytes. With `as_base`, iterators in it are used up.

    Raises:
        CodecError: it holds something other than plain values, or too much.
    """
    try:
        data = _dumps(_tagged(value, 0, as_base)).encode()
    except CodecError:
        raise
    except (RecursionError, ValueError) as error:
        raise CodecError(str(error)) from None
    if max_bytes is not None and len(data) > max_bytes:
        raise CodecError("the value is too large")
    return data


def decode(
    data: bytes,
    *,
    key: Key | None = None,
    function: Callable[[str], Any] | None = None,
    max_bytes: int | None = MAX_BYTES,
) -> Any:
    """The value in `data`.

    With `key`, it is made ready to be compared to JSON: dictionaries have the results of
    `key` as keys, each once; views, deques and iterators are lists; sets are refused. So
    nothing hostile is hashed but strings, whose hashes cannot be made to collide.

    `function` gives functions by their names; without it there are none.

    Raises:
        CodecError: these bytes were not written by `encode`.
    """
    if max_bytes is not None and len(data) > max_bytes:
        raise CodecError("the value is too large")
    try:
        return _value(json.loads(data, parse_constant=_refuse), 0, Reading(key, function))
    except CodecError:
        raise
    except (RecursionError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise CodecError(f"not a value: {type(error).__name__}") from None


def _refuse(constant: str) -> None:
    raise CodecError(f"{constant} is written as a tagged float")


def _dumps(tagged: Any) -> str:
    return json.dumps(tagged, separators=(",", ":"), allow_nan=False)


def _tagged(value: Any, depth: int, as_base: bool) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -SMALL_INT < value < SMALL_INT else ["int", hex(value)]
    if kind is float:
        return value if math.isfinite(value) else ["float", str(value)]
    if depth >= MAX_DEPTH:
        raise CodecError("the value is nested too deeply")
    if (kind.__module__, kind.__qualname__) in PLAIN_DICTS:
        return _tagged_base(value, dict, depth, as_base)
    if kind.__module__ == "numpy" and _is_numpy(value, as_base):
        return _tagged(value.tolist(), depth + 1, as_base)
    base = next((base for base in kind.__mro__ if base in BASES), None) if as_base else kind
    if base in BASES:
        return _tagged_base(value, base, depth, as_base)
    if (atom := atoms.written(value)) is not None:
        return atom
    if isinstance(value, Named):
        return ["function", value.__name__]
    if (parts := _parts(value)) is not None:
        tag, items = parts
        return [tag, *(_tagged(item, depth + 1, as_base) for item in items)]
    if as_base and isinstance(value, Iterator):
        return ["iterator", *_taken(value, depth)]
    raise CannotLeave(f"a value of type {kind.__qualname__} cannot leave its process")


def _tagged_base(value: Any, base: Any, depth: int, as_base: bool) -> Any:
    """What the methods of `base` itself say of `value`, whatever its class makes of them."""
    if base in (int, float, str):
        convert = {int: int.__int__, float: float.__float__, str: str.__str__}[base]
        return _tagged(convert(value), depth, as_base)
    if base in (bytes, bytearray):
        return [base.__name__, base.hex(value)]
    if base is complex:
        value = complex.__complex__(value)
        return ["complex", *(_tagged(part, depth, as_base) for part in (value.real, value.imag))]
    if base is dict:
        pairs = dict.items(value)
        return ["dict", *([_tagged(x, depth + 1, as_base) for x in pair] for pair in pairs)]
    return [base.__name__, *(_tagged(item, depth + 1, as_base) for item in base.__iter__(value))]


def _parts(value: Any) -> tuple[str, Iterable[Any]] | None:
    """The tag and the plain values that make up a range, a view, a deque or what was `_taken`."""
    kind = type(value)
    if kind is range:
        return "range", (value.start, value.stop, value.step)
    if kind is deque:
        return "deque", (value.maxlen, *value)
    if kind is Taken:
        return "iterator", (value.is_whole, *value.items)
    return (VIEWS[kind], value) if kind in VIEWS else None


def _taken(iterator: Iterator[Any], depth: int) -> Iterator[Any]:
    """The tagged items, and first whether these are all."""
    items: list[Any] = []
    size = 0
    for item in iterator:
        if len(items) == MAX_ITEMS or size > MAX_ITEM_BYTES:
            return iter((False, *items))
        items.append(_tagged(item, depth + 1, as_base=True))
        size += len(_dumps(items[-1]))
    return iter((True, *items))


def _is_numpy(value: object, as_base: bool) -> bool:
    """A scalar of numpy's, or an array that may become a list."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    return isinstance(value, numpy.generic) or (as_base and type(value) is numpy.ndarray)


def _value(data: Any, depth: int, how: Reading) -> Any:
    if type(data) is not list:
        if type(data) is dict:
            raise CodecError("objects are written as tagged arrays")
        return data
    if depth >= MAX_DEPTH:
        raise CodecError("the value is nested too deeply")
    tag, *items = data
    if tag in COLLECTIONS:
        if how.key is not None and tag in ("set", "frozenset"):
            raise CodecError("a set")
        return COLLECTIONS[tag]([_value(item, depth + 1, how) for item in items])
    if tag == "dict":
        pairs = [(_value(k, depth + 1, how), _value(v, depth + 1, how)) for k, v in items]
        return dict(pairs) if how.key is None else _named(pairs, how.key)
    if tag in REBUILT:
        values = [_value(item, depth + 1, how) for item in items]
        return REBUILT[tag](values) if how.key is None or tag == "range" else _listed(tag, values)
    if tag == "function" and how.function is not None:
        return how.function(*items)
    return _atom(tag, items)


def _listed(tag: str, values: list[Any]) -> list[Any]:
    if tag == "iterator" and values[0] is not True:
        raise CodecError("too many items")
    return values[1:] if tag in ("iterator", "deque") else values


REBUILT: dict[str, Callable[[list[Any]], Any]] = {
    "range": lambda values: range(*values),
    "keys": lambda values: dict.fromkeys(values).keys(),
    "values": lambda values: dict(enumerate(values)).values(),
    "items": lambda values: dict(values).items(),
    "deque": lambda values: deque(values[1:], values[0]),
    "iterator": lambda values: Taken(values[0] is True, values[1:]),
}


def _named(pairs: list[tuple[Any, Any]], key: Key) -> dict[str, Any]:
    named = {key(k): v for k, v in pairs}
    if len(named) < len(pairs):
        raise CodecError("two keys of one name")
    return named


def _atom(tag: object, items: list[Any]) -> Any:
    if tag == "complex":
        real, imaginary = (_value(item, MAX_DEPTH - 1, Reading()) for item in items)
        return complex(real, imaginary)
    (text,) = items
    if type(text) is not str:
        raise CodecError("an atom is written as a string")
    if tag in atoms.KINDS:
        return atoms.read(str(tag), text)
    if tag == "int":
        return int(text, 16)
    if tag == "float" and text in ("nan", "inf", "-inf"):
        return float(text)
    if tag == "bytes":
        return bytes.fromhex(text)
    if tag == "bytearray":
        return bytearray.fromhex(text)
    raise CodecError("an unknown tag")
