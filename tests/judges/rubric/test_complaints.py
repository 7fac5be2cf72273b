"""What is said of a reply that is no verdict, and where the verdict is looked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from judges.llm.base import Reply
from judges.rubric.forms import YES_NO, OneOf
from judges.rubric.parse import Malformed, verdicts_in, weighted_verdict

NONCE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
CUT_OFF = "it did not come to its end"
NOT_ONE = "it must hold exactly one JSON object that begins with the nonce"
BROKEN = "its JSON object is incomplete or broken"
OTHER_KEYS = 'the object must have the keys "nonce" and "verdicts" and no others'
MAX_CHARACTERS = 200_000


def reply(verdicts: Any, **more: Any) -> str:
    return json.dumps({"nonce": NONCE, "verdicts": verdicts, **more})


YES, NO = reply({"c1": {"verdict": True}}), reply({"c1": {"verdict": False}})


def value_in(text: str) -> float:
    return verdicts_in(Reply(text), NONCE, {"c1": YES_NO})["c1"].value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (reply({"c1": {"verdict": True}}, more=1), OTHER_KEYS),
        (reply(["c1"]), '"verdicts" must be an object'),
        (reply({}), 'the verdict for "c1" is missing'),
        (
            reply({"c1": {"verdict": True}, "c2": {"verdict": True}}),
            "there is a verdict for something that was not asked",
        ),
        (reply({"c1": ["verdict"]}), '"c1" must be an object with a "verdict"'),
        (reply({"c1": {"reason": ""}}), '"c1" must be an object with a "verdict"'),
        (
            reply({"c1": {"verdict": True, "reason": 1}}),
            '"c1" may have a "reason" in words, and nothing else',
        ),
        (
            reply({"c1": {"verdict": True, "doubt": "some"}}),
            '"c1" may have a "reason" in words, and nothing else',
        ),
        ("x" * (MAX_CHARACTERS + 1), "it is far too long"),
        (f" <think>{YES}", CUT_OFF),
        ("none", NOT_ONE),
        (YES + YES, NOT_ONE),
        (YES[:-1], BROKEN),
        (YES.replace("true", "NaN"), BROKEN),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(Malformed) as fault:
        value_in(text)
    assert str(fault.value) == message


def test_a_reply_that_was_cut_off_is_told_so() -> None:
    with pytest.raises(Malformed) as fault:
        verdicts_in(Reply(YES, "length"), NONCE, {"c1": YES_NO})
    assert str(fault.value) == CUT_OFF


@pytest.mark.parametrize(
    "text",
    [
        YES + " " * (MAX_CHARACTERS - len(YES)),
        f" <think>{NO}</think>{YES}",
        f"<think>a</think>{YES}</think>",
        f"{NO}</think>{YES}",
        f"{NO}</think>{NO}</think>{YES}",
        f"{NO}{NO}</think>{YES}",
    ],
    ids=["just short enough", "reasoned", "closed once more", "opened by the prompt", "twice", "2"],
)
def test_the_verdict_is_the_one_after_the_reasoning(text: str) -> None:
    assert value_in(text) == 1.0


def test_a_reason_is_kept_with_the_nonce_blotted_out() -> None:
    text = reply({"c1": {"verdict": True, "reason": f"{NONCE} says so"}, "c2": {"verdict": True}})
    found = verdicts_in(Reply(text), NONCE, {"c1": YES_NO, "c2": YES_NO})
    assert [verdict.reason for verdict in found.values()] == ["… says so", ""]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (None, "the judge tells no probabilities"),
        ({"good": 0.5, "fine": 0.5}, "there is a probability of something that was not asked"),
        ({"good": 1.5, "bad": -0.5}, "a probability lies outside [0, 1]"),
        ({"good": 1.5}, "a probability lies outside [0, 1]"),
        ({"good": 0.5}, "the probabilities do not sum to 1"),
    ],
)
def test_what_is_wrong_with_probabilities_is_told(
    told: dict[str, float] | None, message: str
) -> None:
    with pytest.raises(Malformed) as fault:
        weighted_verdict(Reply("", probabilities=told), OneOf({"bad": 0.0, "good": 1.0}))
    assert str(fault.value) == message
