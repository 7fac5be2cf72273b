"""Words in the order in which they are written are told from shuffles."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.reward_model.guards.guard import Examples
from judges.reward_model.guards.order import Order, pieces
from tests.judges.reward_model.test_guards import natural_texts

Measure = Callable[[str], float]

TEXTS = [completion for _, completion in natural_texts(300)]
FRESH = [completion for _, completion in natural_texts(200, seed=5)]


def learned(texts: Sequence[str]) -> Order:
    return Order.fit(Examples(texts))


@pytest.fixture(scope="module")
def order() -> Callable[[str], float]:
    return partial(learned(TEXTS).measure, None)


def shuffled(text: str, seed: int = 0) -> str:
    words = text.split()
    random.Random(seed).shuffle(words)
    return " ".join(words)


def reversed_words(text: str) -> str:
    return " ".join(reversed(text.split()))


@pytest.mark.parametrize("spoil", [shuffled, reversed_words])
def test_every_spoilt_text_is_stranger_than_every_written_one(order: Measure, spoil) -> None:
    assert max(map(order, FRESH)) < min(order(spoil(text)) for text in FRESH)


def test_a_list_is_no_shuffle(order: Measure) -> None:
    lists = [f"- Boil rice.\n- Fry eggs.\n- Serve with {word}." for word in ("tea", "salt", "jam")]
    assert learned([*TEXTS, *lists]).measure(None, lists[0]) < 0


def test_one_word_or_two_have_no_order(order: Measure) -> None:
    assert order("") == order("instructed") == order("Boil rice") == 0


def test_a_flood_of_one_pair_weighs_as_one(order: Measure) -> None:
    assert abs(order("the of " * 1_000)) < 10


def test_it_survives_being_stored() -> None:
    order = learned(TEXTS)
    again = Order.load(order.stored())
    assert [again.measure(None, text) for text in FRESH] == [
        order.measure(None, text) for text in FRESH
    ]


@pytest.mark.parametrize("damaged", ["", "AAAA", "é", "AAAA the of"])
def test_a_damaged_table_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"bytes|ASCII|base64"):
        Order.load(damaged)


@pytest.mark.slow
@given(st.text(max_size=300))
def test_any_text_has_a_finite_order(text: str) -> None:
    words, spaces = pieces(text)
    assert len(spaces) == max(len(words) - 1, 0)
    assert abs(learned([text, "some words in a row"]).measure(None, text)) < 100
