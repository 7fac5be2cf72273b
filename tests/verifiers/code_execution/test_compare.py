"""When two outputs are the same."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.code_execution.compare import text_matcher, value_matcher
from verifiers.sandbox import codec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(as_tuples, value))
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return value


@given(JSON)
def test_a_value_matches_itself_and_itself_with_tuples(value: Any) -> None:
    matches = value_matcher(value, None)
    assert matches(codec.encode(value))
    assert matches(codec.encode(as_tuples(value)))


@given(JSON, JSON)
def test_values_match_exactly_where_python_says_that_they_are_equal(a: Any, b: Any) -> None:
    assert value_matcher(a, None)(codec.encode(b)) == (a == b)


@given(st.text(), st.binary())
def test_any_output_is_compared(expected: str, output: bytes) -> None:
    for how in ("lines", "tokens", "token_set"):
        for tolerance in (None, 1e-6):
            assert text_matcher(expected, how, tolerance)(output) in (True, False)
    assert value_matcher(expected, None)(output) in (True, False)


@given(st.text())
def test_a_text_matches_itself(text: str) -> None:
    output = text.encode()
    for how in ("lines", "tokens", "token_set"):
        for tolerance in (None, 1e-6):
            assert text_matcher(text, how, tolerance)(output)


@pytest.mark.parametrize(
    ("expected", "output", "how", "tolerance", "same"),
    [
        ("1 2\n", "1 2", "lines", None, True),
        ("1 2\n", "1 2  \r\n\n", "lines", None, True),
        ("1 2\n", "1  2\n", "lines", None, False),
        ("1 2\n", " 1 2\n", "lines", None, False),
        ("1\n2\n", "1\n\n2\n", "lines", None, False),
        ("", "\n\n", "lines", None, True),
        ("1 2", "1\n2", "lines", None, False),
        ("1 2", "1\n 2", "tokens", None, True),
        ("1 2", "2 1", "tokens", None, False),
        ("1 2", "2 1", "token_set", None, True),
        ("1 1 2", "2 2 1", "token_set", None, False),
        ("0.3333", "0.33331", "lines", 1e-4, True),
        ("0.3333", "0.34", "lines", 1e-4, False),
        ("1000000.5", "1000001.0", "lines", 1e-6, True),
        ("x 0.5 y", "x 0.50 y", "lines", 1e-9, True),
        ("x 0.5 y", "z 0.50 y", "lines", 1e-9, False),
        ("3", "3.0", "lines", 1e-9, True),
        ("3", "4", "lines", 1.0, False),
        ("007", "7", "lines", 1e-9, True),
        ("nan", "nan", "lines", 1e-9, True),
        ("0.5", "nan", "lines", 1.0, False),
        ("0.5", "inf", "lines", 1.0, False),
        ("1e400", "5", "lines", 1.0, False),
        ("1e400", "1e999", "lines", 1.0, False),
        ("1e400", "1e400", "lines", 1.0, True),
        ("0.5", "0.5" + "0" * 1000, "lines", 1e-9, False),
        ("0.5", "٠.٥", "lines", 1e-9, False),
    ],
)
def test_outputs(expected: str, output: str, how: Any, tolerance: Any, same: bool) -> None:
    assert text_matcher(expected, how, tolerance)(output.encode()) is same


@pytest.mark.parametrize(
    ("expected", "value", "tolerance", "same"),
    [
        ([1, 2], (1, 2), None, True),
        ([1, 2], {1, 2}, None, False),
        ({"1": [2]}, {1: (2,)}, None, True),
        ({"true": 1}, {True: 1}, None, True),
        ({"1": 1}, {(1,): 1}, None, False),
        (1, True, None, True),
        (1, 1.0, None, True),
        (0.3, 0.1 + 0.2, None, False),
        (0.3, 0.1 + 0.2, 1e-9, True),
        ([0.3, {"a": 0.3}], [0.1 + 0.2, {"a": 0.1 + 0.2}], 1e-9, True),
        (0.3, math.nan, 1.0, False),
        (0.3, math.inf, 1.0, False),
        (5, 6, 1.0, False),
        (2.9999999, 3, 1e-6, True),
        (math.inf, 5.0, 1.0, False),
        (math.inf, math.inf, 1.0, True),
        (math.inf, -math.inf, 1.0, False),
        (10**400, 5.0, 1.0, False),
        (0.5, 10**400, 1.0, False),
        ({"1": 1}, {1: 1, "1": 1}, None, False),
        ({"k" * 400: 1}, {16**3600: 1}, None, False),
        ("a", b"a", None, False),
        (None, 0, None, False),
        (1 << 200, 1 << 200, None, True),
        ([], None, None, False),
    ],
)
def test_values(expected: Any, value: object, tolerance: Any, same: bool) -> None:
    assert value_matcher(expected, tolerance)(codec.encode(value)) is same


def test_what_is_far_longer_than_expected_is_not_even_read() -> None:
    flood = json.dumps(["list", *[1] * 100_000]).encode()
    assert value_matcher([1], None)(flood) is False
