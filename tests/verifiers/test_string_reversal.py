"""What holds for the reversal of any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from verifiers.base import Sample
from verifiers.boundary import attempt
from verifiers.registry import Registry
from verifiers.string_reversal import Unit, reversal, units

REGISTRY = Registry()
UNITS: list[Unit] = ["character", "codepoint", "word"]
PIECES = [
    "a",
    "é",
    "e\u0301",
    "🇩",
    "🇪",
    "👍🏽",
    "👩\u200d👧",
    "\u1112\u1161\u11ab",
    "\r\n",
    " ",
    "שׁ",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.sampled_from(PIECES)).map(
    "".join
)


@given(TEXTS, st.sampled_from(UNITS))
def test_the_reversal_has_the_same_units_in_reverse_order(text: str, unit: Unit) -> None:
    joined = " " if unit == "word" else ""
    assert reversal(text, unit) == joined.join(reversed(units(text, unit)))


@given(TEXTS)
def test_units_lose_nothing(text: str) -> None:
    assert "".join(units(text, "character")) == text
    assert "".join(units(text, "codepoint")) == text


@given(st.lists(st.sampled_from("🇩🇪🇫a\u0301\u200d👩\r\n한"), max_size=12).map("".join))
def test_characters_are_the_grapheme_clusters_of_the_unicode_library(text: str) -> None:
    assert units(text, "character") == regex.findall(r"\X", text)


@given(TEXTS, st.sampled_from(UNITS))
def test_the_right_answer_is_right_by_every_measure(text: str, unit: Unit) -> None:
    assume(text.strip())
    assume("<think>" not in reversal(text, unit) and "</think>" not in reversal(text, unit))
    for partial in ("none", "prefix", "position", "edit"):
        scorer = REGISTRY.build({"type": "string_reversal", "unit": unit, "partial": partial})
        score = attempt(scorer, Sample(completion=reversal(text, unit), reference=text))
        assert (score.reward, score.outcome) == (1.0, "correct")


@given(TEXTS, TEXTS, st.sampled_from(UNITS), st.sampled_from(["prefix", "position", "edit"]))
def test_a_wrong_answer_never_earns_everything(
    text: str, answer: str, unit: Unit, partial: str
) -> None:
    assume(text.strip())
    spec = {"type": "string_reversal", "unit": unit, "partial": partial}
    score = attempt(REGISTRY.build(spec), Sample(completion=answer, reference=text))
    assert score.reward is not None
    assert (score.reward == 1.0) == (score.outcome == "correct")


@pytest.mark.parametrize("partial", ["prefix", "position", "edit"])
def test_each_right_character_more_earns_more(partial: str) -> None:
    scorer = REGISTRY.build({"type": "string_reversal", "partial": partial})
    rewards = [
        attempt(
            scorer, Sample(completion="dcba"[:known] + "x" * (4 - known), reference="abcd")
        ).reward
        for known in range(5)
    ]
    assert rewards == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert all(less < more for less, more in pairwise(rewards))


def test_a_quarter_of_a_megabyte_of_flags_is_cut_in_one_pass() -> None:
    assert len(units("🇩🇪" * 32_768, "character")) == 32_768
