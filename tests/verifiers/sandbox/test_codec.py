"""What may cross between processes that do not trust each other."""

from __future__ import annotations

import collections
import contextlib
import enum
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.sandbox import codec

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
hashable = st.recursive(
    atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=3
)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.sets(hashable)
        | st.dictionaries(hashable, inner)
        | st.binary().map(bytearray)
    ),
    max_leaves=10,
)


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


@given(values)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert same(codec.decode(codec.encode(value)), value)


@given(st.binary())
def test_any_bytes_are_a_value_or_a_codec_error(data: bytes) -> None:
    with contextlib.suppress(codec.CodecError):
        codec.decode(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
TAGGED = st.recursive(
    JSON,
    lambda inner: st.tuples(
        st.sampled_from(["list", "tuple", "set", "frozenset", "dict", "int", "float", "bytes"]),
        inner,
    ).map(list),
)


@given(TAGGED)
def test_any_json_is_a_value_or_a_codec_error(data: Any) -> None:
    with contextlib.suppress(codec.CodecError):
        codec.decode(json.dumps(data).encode())


def test_nan_and_infinities_cross() -> None:
    assert math.isnan(codec.decode(codec.encode(math.nan)))
    assert codec.decode(codec.encode([math.inf, -math.inf])) == [math.inf, -math.inf]


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Colour.RED,
        Text("x"),
        [Text("x")],
        {Text("k"): 1},
        range(3),
        iter([]),
        len,
        int,
        ...,
    ],
)
def test_what_is_no_plain_value_stays_where_it_is(value: object) -> None:
    with pytest.raises(codec.CannotLeave):
        codec.encode(value)


@pytest.mark.parametrize(
    "value",
    [
        collections.Counter("aab"),
        collections.OrderedDict(a=1),
        collections.defaultdict(list, {"a": [1]}),
    ],
)
def test_dictionaries_that_compare_as_plain_ones_become_plain(value: Any) -> None:
    decoded = codec.decode(codec.encode(value))
    assert type(decoded) is dict
    assert decoded == value


def test_depth_and_size_are_bounded() -> None:
    deep: Any = 0
    for _ in range(codec.MAX_DEPTH + 1):
        deep = [deep]
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (deep, cycle, "x" * codec.MAX_BYTES):
        with pytest.raises(codec.CodecError):
            codec.encode(value)
    for data in (
        b"[" * 100_000,
        b'["list",' * 200 + b"0" + b"]" * 200,
        b" " * codec.MAX_BYTES + b"1",
    ):
        with pytest.raises(codec.CodecError):
            codec.decode(data)
