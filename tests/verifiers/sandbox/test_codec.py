"""What may cross between processes that do not trust each other."""

from __future__ import annotations

import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import itertools
import json
import math
import typing
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


@pytest.mark.slow
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


@pytest.mark.slow
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


class Point(typing.NamedTuple):
    x: int
    y: int


class Liar(int):
    """Says that it is whatever it is compared to, and of every type."""

    __class__ = str  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 3

    def __int__(self) -> int:
        return 3

    __index__ = __int__


class Full(list[int]):
    """An empty list that says it has what is asked for."""

    def __iter__(self) -> typing.Iterator[int]:
        return iter([1, 2, 3])

    def __len__(self) -> int:
        return 3

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Charming(dict[str, int]):
    def items(self) -> Any:
        return {"a": 1}.items()


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Colour.RED, 1),
        (Text("x"), "x"),
        ([Text("x")], ["x"]),
        (Point(1, 2), (1, 2)),
        (Liar(7), 7),
        ([Liar(7)], [7]),
        (Full(), []),
        (Charming(b=2), {"b": 2}),
        (type("F", (float,), {"__float__": lambda self: 2.0})(1.5), 1.5),
        (type("B", (bytes,), {"hex": lambda self: "00"})(b"x"), b"x"),
        (type("S", (set,), {"__iter__": lambda self: iter([1])})({2}), {2}),
    ],
    ids=str.split("enum text nested namedtuple liar listed-liar full charming float bytes set"),
)
def test_of_a_subclass_its_base_leaves_a_program(value: object, arrives: object) -> None:
    assert same(codec.decode(codec.encode(value, as_base=True)), arrives)


@pytest.mark.parametrize(
    "value",
    [
        range(2, 10, 3),
        {"a": 1, "b": 2}.keys(),
        {"a": 1}.items(),
        collections.deque([1, 2], maxlen=5),
        decimal.Decimal("-1.50"),
        decimal.Decimal("1E+10"),
        decimal.Decimal("Infinity"),
        fractions.Fraction(-3, 4),
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        datetime.time(1, 2),
        datetime.timedelta(days=-1, microseconds=5),
    ],
)
def test_these_types_of_the_library_cross(value: object) -> None:
    assert same(codec.decode(codec.encode([value]))[0], value)


def test_iterators_arrive_as_iterators_over_their_items() -> None:
    for source in (iter([1, 2]), map(int, "12"), (n for n in (1, 2)), zip([1], [2], strict=True)):
        arrived = codec.decode(codec.encode(source, as_base=True))
        assert iter(arrived) is arrived
    assert list(codec.decode(codec.encode(map(int, "12"), as_base=True))) == [1, 2]
    assert list(codec.decode(codec.encode({"a": 1}.values()))) == [1]


@pytest.mark.parametrize("item", [1, 1 << 4000, "x" * 100_000])
def test_an_endless_iterator_is_cut_and_says_so_behind_the_cut(item: object) -> None:
    arrived = codec.decode(codec.encode(itertools.repeat(item), as_base=True))
    assert list(itertools.islice(arrived, 5)) == [item] * 5
    with pytest.raises(codec.CodecError):
        collections.deque(arrived, maxlen=0)


@pytest.mark.parametrize(
    "data",
    [
        ["Decimal", "sNaN"],
        ["Decimal", "1E+99999"],
        ["Decimal", " 1"],
        ["Decimal", "1_0"],
        ["Fraction", "0x1/0x0"],
        ["Fraction", "0x2/0x4"],
        ["Fraction", "0x" + "f" * 3000 + "/0x1"],
        ["date", "20240131"],
        ["datetime", "2024-01-31"],
        ["timedelta", "999999999 99999 1"],
        ["range", 1, 2, 0],
        ["range", "1", "2", "3"],
        ["deque", "x", 1],
        ["iterator"],
    ],
)
def test_what_is_not_as_it_is_written_is_refused(data: Any) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode(json.dumps(data).encode())


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
