"""What is read off test code before it is run."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.base import InvalidReference
from verifiers.code_execution.assertions import plan


@pytest.mark.parametrize(
    ("test_code", "entry_point", "stubs"),
    [
        ("assert f(1) == 2", None, {"f": "f"}),
        ("assert f(g(1)) == 2", None, {"f": "f", "g": "g"}),
        ("assert candidate(1) == 2", "f", {"candidate": "f"}),
        ("def check(candidate):\n    assert candidate(1)", "f", {"candidate": "f"}),
        ("def check(candidate):\n    assert candidate(1)\ncheck(f)", "f", {"f": "f"}),
        ("def check(c):\n    assert c(helper(1))", "f", {"candidate": "f", "helper": "helper"}),
        ("import math\nassert f(math.pi) == [x for x in range(3)]", None, {"f": "f"}),
        ("xs = [1]\nassert f(xs, key=lambda y: y)", None, {"f": "f"}),
        ("for i in range(3):\n    z = i\nassert f(z)", None, {"f": "f"}),
        ("assert sum(1, 2) == 3\nassert sum(2, 2) == 4", None, {"sum": "sum"}),
        ("assert max(f(1)) == 3", None, {"f": "f"}),
        ("assert max([1, 2]) == 2", "max", {"max": "max"}),
        ("assert f('a b').split() == ['a', 'b']", None, {"f": "f"}),
        ("r = f()\nassert r.count(1) == 2", None, {"f": "f"}),
    ],
)
def test_names_that_nobody_defines_are_the_programs(
    test_code: str, entry_point: str | None, stubs: dict[str, str]
) -> None:
    assert plan(test_code, entry_point).stubs == stubs


@pytest.mark.parametrize(
    ("test_code", "obstacle"),
    [
        ("assert Solution().run(1) == 2", ".run of a result"),
        ("s = Stack()\ns.push(1)\nassert True", ".push of a result"),
        ("assert module.f(1)", "module.f"),
        ("import pytest\nassert f(1)", "pytest"),
        ("from unittest import mock\nassert f(1)", "unittest"),
        ("assert isinstance(f(1), Point)", "asks for a Point"),
        ("class Sub(Base):\n    pass\nassert f(1)", "derives from Base"),
        ("try:\n    f(1)\nexcept Custom:\n    pass\nassert f(2)", "catches Custom"),
    ],
)
def test_what_needs_more_than_calls_is_refused_by_the_test_code_alone(
    test_code: str, obstacle: str
) -> None:
    with pytest.raises(InvalidReference, match=obstacle):
        plan(test_code, None)


@pytest.mark.parametrize(
    ("test_code", "values"),
    [
        ("assert f() == LIMIT", ("LIMIT",)),
        ("assert all(map(f, [1]))\nassert f(1)", ("f",)),
        ("assert f(f(1)) == 2", ()),
        ("def check(candidate):\n    assert candidate(LIMIT)", ("LIMIT",)),
        ("xs = [1]\nassert f(xs)", ()),
    ],
)
def test_what_is_read_without_a_call_may_be_a_value(
    test_code: str, values: tuple[str, ...]
) -> None:
    assert plan(test_code, "g").values == values


@given(st.text(alphabet="abf(). =\n\tassertdx:1'[]#\0", max_size=60))
def test_any_text_is_a_plan_or_an_invalid_reference(text: str) -> None:
    with contextlib.suppress(InvalidReference):
        plan(text, "f")
