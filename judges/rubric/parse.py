"""Reads a judge's reply: all verdicts that were asked for, or none. Pure, and never guesses.

The verdict is the one JSON object in the reply that begins with the question's nonce, alone or
inside prose or a fence. Whatever else there is may be quoted from a completion, which can forge
anything but the nonce, and is not looked at: so it can neither pass for the verdict nor spoil it.
Two objects with the nonce, a key too many, too few or twice, a verdict outside its form, NaN, or
a reply that was cut off are no verdict at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judges.llm.base import Reply
from judges.rubric.forms import Form, NotAVerdict

MAX_REPLY_CHARACTERS = 200_000
"""Sixty verdicts with reasons take a tenth of that."""

REASONING, REASONED = "<think>", "</think>"

COMPLETE = frozenset({"stop", "end_turn", "eos", "stop_sequence"})
"""How a reply ends that was not cut off, filtered or diverted, in endpoints' various words."""

MAX_REASON_CHARACTERS = 300

PROBABILITY_TOLERANCE = 1e-3


class Malformed(ValueError):
    """A reply that is no verdict. The message repeats nothing of the reply."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision of a judge."""

    given: bool | float | str | None
    """As the judge wrote it; None where it gave probabilities."""
    value: float
    """In [0, 1]."""
    reason: str = ""


def verdicts_in(reply: Reply, nonce: str, forms: Mapping[str, Form]) -> dict[str, Verdict]:
    """The verdict for each of `forms`.

    Raises:
        Malformed: the reply is anything but exactly these.
    """
    found = verdict_object(reply, nonce)
    if found.keys() != {"nonce", "verdicts"}:
        raise Malformed('the object must have the keys "nonce" and "verdicts" and no others')
    verdicts = found["verdicts"]
    if not isinstance(verdicts, dict):
        raise Malformed('"verdicts" must be an object')
    if missing := sorted(forms.keys() - verdicts.keys()):
        raise Malformed(f'the verdict for "{missing[0]}" is missing')
    if verdicts.keys() - forms.keys():
        raise Malformed("there is a verdict for something that was not asked")
    return {key: read(key, verdicts[key], form, nonce) for key, form in forms.items()}


def read(key: str, member: Any, form: Form, nonce: str) -> Verdict:
    if not isinstance(member, dict) or "verdict" not in member:
        raise Malformed(f'"{key}" must be an object with a "verdict"')
    reason = member.get("reason", "")
    if member.keys() - {"reason", "verdict"} or not isinstance(reason, str):
        raise Malformed(f'"{key}" may have a "reason" in words, and nothing else')
    given = member["verdict"]
    try:
        value = form.value(given)
    except NotAVerdict as fault:
        raise Malformed(f'"{key}": {fault}') from None
    # A nonce that is not told cannot be learned.
    return Verdict(given, value, reason.replace(nonce, "…")[:MAX_REASON_CHARACTERS])


def verdict_object(reply: Reply, nonce: str) -> dict[str, Any]:
    """The only object in the reply that begins with the nonce.

    Raises:
        Malformed: there is none, or more than one, or the reply is incomplete.
    """
    if reply.finish_reason not in COMPLETE:
        raise Malformed("it did not come to its end")
    if len(reply.text) > MAX_REPLY_CHARACTERS:
        raise Malformed("it is far too long")
    text = reply.text
    if text.lstrip().startswith(REASONING):
        _, closed, text = text.partition(REASONED)
        if not closed:
            raise Malformed("it did not come to its end")
    starts = [m.start() for m in re.finditer(rf'\{{\s*"nonce"\s*:\s*"{nonce}"', text)]
    if len(starts) > 1:  # drafts, where a chat template has opened the reasoning
        starts = [start for start in starts if start > text.rfind(REASONED)]
    if len(starts) != 1:
        raise Malformed("it must hold exactly one JSON object that begins with the nonce")
    return object_at(text, starts[0])


def object_at(text: str, start: int) -> dict[str, Any]:
    """The JSON object that begins at `start`, as RFC 8259 has it: no NaN, no key twice."""
    try:
        found, _ = DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        raise Malformed("its JSON object is incomplete or broken") from None
    assert isinstance(found, dict)
    return found


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


DECODER = json.JSONDecoder(object_pairs_hook=without_duplicates, parse_constant=refuse_constant)


def weighted_verdict(reply: Reply, form: Form) -> Verdict:
    """The mean of the options' values under the judge's probabilities (G-Eval, arXiv 2303.16634).

    Raises:
        Malformed: it gave none, or what it gave is no distribution over the options.
    """
    values = form.options()
    told = reply.probabilities
    if told is None:
        raise Malformed("the judge tells no probabilities")
    if told.keys() - values.keys():
        raise Malformed("there is a probability of something that was not asked")
    if not all(0.0 <= share <= 1.0 for share in told.values()):
        raise Malformed("a probability lies outside [0, 1]")
    total = sum(told.values())
    if abs(total - 1.0) > PROBABILITY_TOLERANCE:
        raise Malformed("the probabilities do not sum to 1")
    mean = sum(values[option] * share for option, share in told.items()) / total
    return Verdict(None, min(1.0, max(0.0, mean)))
