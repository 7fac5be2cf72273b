"""Words in the order in which they are written are told from shuffles."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.reward_model.guards.word_order import WordOrder, pieces
from tests.judges.reward_model.test_guards import natural_texts

TEXTS = [completion for _, completion in natural_texts(300)]
FRESH = [completion for _, completion in natural_texts(200, seed=5)]


@pytest.fixture(scope="module")
def order() -> WordOrder:
    return WordOrder.of(TEXTS)


def shuffled(text: str, seed: int = 0) -> str:
    words = text.split()
    random.Random(seed).shuffle(words)
    return " ".join(words)


def reversed_words(text: str) -> str:
    return " ".join(reversed(text.split()))


@pytest.mark.parametrize("spoil", [shuffled, reversed_words])
def test_every_spoilt_text_is_stranger_than_every_written_one(order: WordOrder, spoil) -> None:
    assert max(map(order, FRESH)) < min(order(spoil(text)) for text in FRESH)


def test_a_list_is_no_shuffle(order: WordOrder) -> None:
    lists = [f"- Boil rice.\n- Fry eggs.\n- Serve with {word}." for word in ("tea", "salt", "jam")]
    learned = WordOrder.of([*TEXTS, *lists])
    assert learned(lists[0]) < 0


def test_one_word_or_two_have_no_order(order: WordOrder) -> None:
    assert order("") == order("instructed") == order("Boil rice") == 0


def test_a_flood_of_one_pair_weighs_as_one(order: WordOrder) -> None:
    assert abs(order("the of " * 1_000)) < 10


def test_it_survives_being_stored(order: WordOrder) -> None:
    again = WordOrder.loaded(order.dumped())
    assert [again(text) for text in FRESH] == [order(text) for text in FRESH]


@pytest.mark.parametrize("damaged", ["", "AAAA", "é", "AAAA the of"])
def test_a_damaged_table_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"bytes|ASCII|base64"):
        WordOrder.loaded(damaged)


@pytest.mark.slow
@given(st.text(max_size=300))
def test_any_text_has_a_finite_order(text: str) -> None:
    words, spaces = pieces(text)
    assert len(spaces) == max(len(words) - 1, 0)
    assert abs(WordOrder.of([text, "some words in a row"])(text)) < 100
