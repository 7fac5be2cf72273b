"""Replies of judges: all verdicts that were asked for, or none."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.llm.base import Reply
from judges.rubric.forms import YES_NO, Between, Form, OneOf
from judges.rubric.parse import Malformed, verdicts_in, weighted_verdict
from tests.judges.rubric.rows import rows

NONCE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHER = "ffffffffffffffffffffffffffffffff"
FORMS: dict[str, Form] = {"c1": YES_NO, "c2": Between(1, 5)}

FUZZED = 10_000


def values_in(reply: Reply) -> dict[str, float] | None:
    """The value of each verdict; None where there is no valid reply."""
    try:
        return {key: v.value for key, v in verdicts_in(reply, NONCE, FORMS).items()}
    except Malformed:
        return None


@pytest.mark.parametrize("row", rows("replies"))
def test_a_reply_is_read_rightly_or_not_at_all(row: dict[str, Any]) -> None:
    text = row["reply"].replace("NONCE", NONCE).replace("OTHER", OTHER)
    expected = None if row["expect"] == "failed" else row["expect"]
    assert values_in(Reply(text, row.get("finish_reason", "stop"))) == expected, row["why"]


def test_the_battery_is_whole() -> None:
    assert len(rows("replies")) == 34


PIECES = ['{"', '"}', "{", "}", "[", "]", '"', "\\", ",", ":", "\n", "```", "</think>", "<think>"]
PIECES += ["NaN", "-Infinity", "1e999", "-1", "6", "3", "true", "false", "null", "３", "\ud800"]
PIECES += [NONCE, OTHER, '"nonce"', '"verdicts"', '"verdict"', '"reason"', '"c1"', '"c2"', '"c3"']
"""What a fuzzed reply is mutated with."""


def whole_reply(source: random.Random) -> tuple[str, dict[str, Any]]:
    given = {"c1": source.random() < 0.5, "c2": source.randint(1, 5)}
    verdicts = {key: {"reason": "r", "verdict": value} for key, value in given.items()}
    return json.dumps({"nonce": NONCE, "verdicts": verdicts}), given


def mutated(text: str, source: random.Random) -> str:
    """One cut, insertion, replacement, or doubling at a random place."""
    start = source.randrange(len(text) + 1)
    end = min(len(text), start + source.choice([0, 1, 1, 2, 5, 20, len(text)]))
    middle = source.choice(["", source.choice(PIECES), text[start:end] * 2])
    return text[:start] + middle + text[end:]


def stated(text: str, given: dict[str, Any]) -> bool:
    """Whether the text itself states these verdicts, as a reader finds them."""
    flat = "".join(text.split())
    return all(f'"verdict":{json.dumps(value)}' in flat for value in given.values())


def test_of_ten_thousand_fuzzed_replies_none_gives_a_number_that_was_not_said() -> None:
    source = random.Random(20_112)
    read = 0
    for _ in range(FUZZED):
        text, _given = whole_reply(source)
        for _ in range(source.randint(1, 3)):
            text = mutated(text, source)
        try:
            found = verdicts_in(Reply(text), NONCE, FORMS)
        except Malformed:
            continue
        read += 1
        assert found.keys() == FORMS.keys()
        assert all(math.isfinite(v.value) and 0.0 <= v.value <= 1.0 for v in found.values())
        assert NONCE in text
        assert stated(text, {key: v.given for key, v in found.items()})
    assert 0 < read < FUZZED, "some mutations leave a reply whole, and most do not"


@given(st.text(st.characters(), max_size=400) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_arbitrary_replies_raise_nothing_else(text: str) -> None:
    found = values_in(Reply(text))
    assert found is None or found.keys() == FORMS.keys()


@pytest.mark.parametrize("text", ['{"a":' * 30_000, "{" * 199_000, "[" * 199_000, '"' * 199_000])
def test_floods_are_refused(text: str) -> None:
    assert values_in(Reply(text)) is None
    assert values_in(Reply(f"{text}{NONCE}")) is None


def test_a_reason_is_cut_short_and_does_not_tell_the_nonce() -> None:
    reply = {
        "nonce": NONCE,
        "verdicts": {
            "c1": {"reason": f"{NONCE} says so " * 100, "verdict": True},
            "c2": {"reason": "", "verdict": 1},
        },
    }
    reason = verdicts_in(Reply(json.dumps(reply)), NONCE, FORMS)["c1"].reason
    assert NONCE not in reason
    assert len(reason) <= 300


def test_a_complaint_repeats_nothing_of_the_reply() -> None:
    secret = "pay me"
    texts = [
        json.dumps({"nonce": NONCE, "verdicts": {secret: {"verdict": True}}}),
        json.dumps({"nonce": NONCE, secret: 1}),
        json.dumps({"nonce": NONCE, "verdicts": {"c1": {"verdict": secret}, "c2": {secret: 1}}}),
    ]
    for text in texts:
        with pytest.raises(Malformed) as fault:
            verdicts_in(Reply(text), NONCE, FORMS)
        assert secret not in str(fault.value)


CHOICE = OneOf({"bad": 0.0, "fair": 0.5, "good": 1.0})


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"bad": 0.2, "fair": 0.2, "good": 0.6}, 0.7),
        ({"good": 1.0}, 1.0),
        ({"bad": 0.0, "fair": 0.9999, "good": 0.0}, 0.5),
    ],
)
def test_probabilities_are_averaged(told: dict[str, float], expected: float) -> None:
    assert weighted_verdict(Reply("good", probabilities=told), CHOICE).value == expected


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"good": 0.5},
        {"good": 1.5, "bad": -0.5},
        {"good": math.nan, "bad": 1.0},
        {"good": 0.5, "superb": 0.5},
        {"good": 1.0, "bad": 1.0},
    ],
)
def test_what_is_no_distribution_is_no_verdict(told: dict[str, float] | None) -> None:
    with pytest.raises(Malformed):
        weighted_verdict(Reply("good", probabilities=told), CHOICE)
