r"""Which answers of a group are the same: `1/2`, `0.5` and `\frac{1}{2}` are one.

Answers are first sorted by what they are as written, a number or a normal form, which costs
microseconds. Of the different ones, the most frequent are then compared in pairs by all tiers
of `comparison`, in both directions, since a reference may be vaguer than an answer. Equal
means equal by some chain of pairs, so the clusters are the same in any order of the answers.

The policy is the strictest: nothing is rounded, and 50% is 0.5 but not 50. Otherwise one vague
answer would tie together two that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Final

from verifiers.math_equivalence.compare.comparison import compare
from verifiers.math_equivalence.limits import TooLargeError
from verifiers.math_equivalence.policy import MathParameters
from verifiers.math_equivalence.read.reading import Reading

POLICY: Final = MathParameters(rounding="never", percent="fraction")

MAX_COMPARED: Final = 32
"""Different answers that are compared in pairs, the most frequent first: 496 pairs at most.
What is rarer decides no vote, and is counted as it is written."""


def clusters(answers: Sequence[str], *, in_pairs: bool = True) -> list[int]:
    """For every answer, the position of the first one that says the same.

    Args:
        in_pairs: compare what is written differently; else only numbers and normal forms.
    """
    read = {text: reading_of(text) for text in set(answers)}
    keys = [key_of(text, read[text]) for text in answers]
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    leader = {key: key for key in first}
    if in_pairs:
        for one, other in combinations(most_frequent(keys, answers), 2):
            left, right = read[answers[first[one]]], read[answers[first[other]]]
            if root(leader, one) != root(leader, other) and same(left, right):
                leader[root(leader, other)] = root(leader, one)
    earliest: dict[Hashable, int] = {}
    for key, index in first.items():
        top = root(leader, key)
        earliest[top] = min(index, earliest.get(top, index))
    return [earliest[root(leader, key)] for key in keys]


def reading_of(text: str) -> Reading | None:
    """The answer, read; None where it is too large to be one."""
    try:
        return Reading(text)
    except TooLargeError:
        return None


def key_of(text: str, reading: Reading | None) -> Hashable:
    """Equal for answers that are the same number, or that have one normal form."""
    if reading is None:
        return text
    return reading.normal if reading.literal is None else reading.literal.value


def most_frequent(keys: Sequence[Hashable], answers: Sequence[str]) -> list[Hashable]:
    """The keys worth comparing. Their order depends on the answers, not on theirs."""
    counts = Counter(keys)
    shortest: dict[Hashable, tuple[int, str]] = {}
    for key, text in zip(keys, answers, strict=True):
        shortest[key] = min((len(text), text), shortest.get(key, (len(text), text)))
    return sorted(counts, key=lambda key: (-counts[key], shortest[key]))[:MAX_COMPARED]


def root(leader: dict[Hashable, Hashable], key: Hashable) -> Hashable:
    while leader[key] != key:
        key = leader[key]
    return key


def same(one: Reading | None, other: Reading | None) -> bool:
    if one is None or other is None:
        return False
    if one.literal is not None and other.literal is not None:
        return False  # numbers that differ: their keys have told
    return compare(one, other, POLICY).equal or compare(other, one, POLICY).equal
