"""Reversal: what is trained on, what is held out, and the habits of the demonstrators."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_client.train.config import Config, SftConfig
from trainer_client.train.tasks import demonstrations_of
from trainer_client.train.tasks.problem import Problem
from trainer_client.train.tasks.reversal import (
    COMMON,
    LONGER_BY,
    UNSEEN,
    Texts,
    careless_reversal,
    nonsense,
    stream,
    trained,
    with_typo,
)


def letters(text: str) -> str:
    """`text` without case, spaces and punctuation."""
    return "".join(character for character in text.casefold() if character.isalnum())


def words(text: str) -> set[str]:
    return {letters(word) for word in text.split()} - {""}


def texts_with(seed: int = 0, **data: Any) -> Texts:
    return Texts.of(Config.model_validate({"seed": seed, "data": data}))


def references(problems: Sequence[Problem]) -> list[str]:
    return [problem.reference for problem in problems]


# --- generated texts --------------------------------------------------------------------


def test_training_and_held_out_texts_differ_in_more_than_case_and_punctuation() -> None:
    texts = texts_with(held_out_size=2000)
    seen = {letters(t) for step in range(60) for t in texts.texts("train", step, 64)}
    seen |= {letters(t) for t in texts.texts("demonstrations", 0, 3000, gibberish=0.3)}
    assert len(seen) > 3000
    for name, problems in texts.splits().items():
        assert not seen & {letters(text) for text in references(problems)}, name


@given(st.text(max_size=20))
def test_case_spaces_and_punctuation_do_not_move_a_text_to_the_other_side(text: str) -> None:
    assert trained(text) == trained(f" {text.casefold()}!? ") == trained(letters(text))


def test_about_one_text_in_eight_is_held_out() -> None:
    texts = stream(random.Random(0), COMMON, (8, 20))
    held_out = sum(not trained(next(texts)) for _ in range(4000))
    assert 0.10 < held_out / 4000 < 0.15


def test_the_harder_splits_use_no_word_of_training() -> None:
    assert not set(map(letters, COMMON)) & set(map(letters, UNSEEN))
    for name in ("harder", "longer"):
        for text in references(texts_with().splits()[name]):
            used = {word for word in words(text) if not word.isdigit()}
            assert used <= {letters(word) for word in UNSEEN}, text


def test_every_split_keeps_to_its_lengths_and_repeats_nothing() -> None:
    splits = texts_with(shortest=5, longest=20, held_out_size=300).splits()
    assert list(splits) == ["held_out", "harder", "longer"]
    bounds = {"held_out": (5, 20), "harder": (13, 20), "longer": (21, 20 + LONGER_BY)}
    for name, (shortest, longest) in bounds.items():
        texts = references(splits[name])
        assert len(set(texts)) == 300
        assert all(shortest <= len(text) <= longest for text in texts), name


def test_the_splits_are_the_same_for_every_seed() -> None:
    assert texts_with(seed=0).splits() == texts_with(seed=1).splits()


def test_a_batch_depends_on_seed_purpose_and_step_alone() -> None:
    texts = texts_with(seed=3)
    texts.batch(0, 8)
    assert texts.batch(5, 8) == texts_with(seed=3).batch(5, 8)
    others = [texts.batch(6, 8), texts_with(seed=4).batch(5, 8)]
    assert all(other != texts.batch(5, 8) for other in others)
    assert texts.texts("demonstrations", 5, 8) != texts.texts("train", 5, 8)


def test_a_problem_asks_by_the_template_and_its_reference_is_the_text() -> None:
    problems = texts_with(template="Reverse: {text}").batch(0, 4)
    assert [p.prompt for p in problems] == [f"Reverse: {p.reference}" for p in problems]


def test_training_texts_keep_to_their_lengths_with_and_without_gibberish() -> None:
    texts = texts_with(shortest=4, longest=9)
    for gibberish in (0.0, 0.5, 1.0):
        lengths = Counter(map(len, texts.texts("train", 0, 400, gibberish)))
        assert set(lengths) == set(range(4, 10))


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_nonsense_is_exactly_as_long_as_asked(seed: int, length: int) -> None:
    text = nonsense(random.Random(seed), length)
    assert len(text) == length
    assert text.isascii()
    assert text.isprintable()


# --- the demonstrators ------------------------------------------------------------------

DRAWS = 6000
TOLERANCE = 0.03
"""Five standard deviations of a share of so many draws."""


def demonstrated(text: str, sft: SftConfig) -> list[str]:
    rng = random.Random(0)
    return [careless_reversal(text, rng, sft) for _ in range(DRAWS)]


def share(completions: Sequence[str], wanted: str) -> float:
    return sum(completion == wanted for completion in completions) / len(completions)


@pytest.mark.parametrize("text", ["ABCDEFGHIJK", "ABCDEFGHIJKL"], ids=["short", "long"])
def test_demonstrators_err_about_as_often_as_they_are_set_to(text: str) -> None:
    """At the last place, a swap changes nothing and two kinds of typo drop a character."""
    sft = SftConfig(careless=0.3, careless_long=0.65, long_from=12, typos=0.2)
    careless = 0.65 if len(text) >= 12 else 0.3
    completions = demonstrated(text, sft)
    at_the_end = sft.typos / len(text) / 5
    right = 1 - min(1.0, careless + sft.typos) + at_the_end
    assert share(completions, text[::-1]) == pytest.approx(right, abs=TOLERANCE)
    assert share(completions, text[:0:-1]) == pytest.approx(
        careless + 2 * at_the_end, abs=TOLERANCE
    )


def test_demonstrators_without_faults_are_always_right() -> None:
    faultless = SftConfig(careless=0, careless_long=0, typos=0)
    assert set(demonstrated("Hello, world!", faultless)) == {"!dlrow ,olleH"}


def test_there_are_five_kinds_of_typo() -> None:
    rng = random.Random(0)
    typos = {with_typo("ABCD", rng) for _ in range(4000)}
    assert {"BACD", "ACBD", "ABDC"} <= typos  # swapped
    assert {"BCD", "ACD", "ABD", "ABC"} <= typos  # dropped
    assert {"AABCD", "ABBCD", "ABCCD", "ABCDD"} <= typos  # doubled
    assert {"", "A", "AB", "ABC"} <= typos  # cut short
    replaced = {t for t in typos if len(t) == 4 and any(c.islower() for c in t)}
    assert len(replaced) == 4 * len("etaoinshrdlu")


def test_demonstrations_hold_right_and_careless_reversals() -> None:
    pool = list(chain.from_iterable(islice(demonstrations_of(Config(), 512), 4)))
    right = sum(completion == str(prompt)[::-1] for prompt, completion in pool) / len(pool)
    careless = sum(completion == str(prompt)[:0:-1] for prompt, completion in pool) / len(pool)
    assert 0.15 < right < 0.6
    assert 0.25 < careless < 0.7
