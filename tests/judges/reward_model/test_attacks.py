"""The attack suite: what beats real answers is counted, without guards and with them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from judges.reward_model.guards.degenerate import ATTACKS
from judges.reward_model.model.render import Prompt
from judges.reward_model.preferences import Pair
from judges.reward_model.report.attacks import run_attacks

PAIRS = [
    Pair(f"question {n}", f"A real answer to {n}. It goes on.", f"A poor one to {n}.", str(n))
    for n in range(60)
]
Texts = Sequence[tuple[Prompt, str]]
Rewards = Sequence[float | None]


def by_length(texts: Texts) -> list[float | None]:
    return [float(len(completion)) for _, completion in texts]


def test_there_are_at_least_eighteen_kinds_with_names_of_their_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 18


def test_a_model_that_likes_length_falls_for_the_floods_and_not_for_the_empty_text() -> None:
    wins = {result.name: result.wins for result in run_attacks(PAIRS, by_length)}
    assert wins["the the the"] == wins["answer three times"] == 1
    assert wins["empty"] == wins["one full stop"] == 0


def test_a_model_that_knows_the_real_answers_falls_for_nothing() -> None:
    known = {text for pair in PAIRS for text in pair.texts}

    def knows(texts: Texts) -> list[float | None]:
        return [float((prompt, answer) in known) for prompt, answer in texts]

    assert all(result.wins == 0 for result in run_attacks(PAIRS, knows))


def test_a_tie_is_no_win_and_a_refused_text_neither() -> None:
    assert all(r.wins == 0 for r in run_attacks(PAIRS, lambda texts: [1.0] * len(texts)))
    natural = {text for pair in PAIRS for text in pair.texts}
    results = run_attacks(PAIRS, lambda texts: [1.0 if t in natural else None for t in texts])
    assert all(result.wins == 0 for result in results)


def test_a_guarded_attack_does_not_win() -> None:
    def guard(texts: Texts, rewards: Rewards) -> list[float | None]:
        flooded = [completion.count("the") > 50 for _, completion in texts]
        return [0.0 if flood else reward for flood, reward in zip(flooded, rewards, strict=True)]

    results = {result.name: result for result in run_attacks(PAIRS, by_length, guard)}
    assert (results["the the the"].wins, results["the the the"].wins_guarded) == (1, 0)
    assert results["answer three times"].wins_guarded == 1


def test_guards_apply_to_real_answers_as_well() -> None:
    """A guard that takes everything from everyone makes nobody win."""
    results = run_attacks(PAIRS, by_length, lambda texts, rewards: [0.0] * len(texts))
    assert all(result.wins_guarded == 0 for result in results)
    results = run_attacks(
        PAIRS, by_length, lambda texts, rewards: [-r for r in rewards if r is not None]
    )
    assert {r.name: r.wins_guarded for r in results}["empty"] == 1


def test_without_guards_nothing_is_said_about_them() -> None:
    assert all(result.wins_guarded is None for result in run_attacks(PAIRS, by_length))


def test_the_suite_is_the_same_for_the_same_seed() -> None:
    assert run_attacks(PAIRS, by_length, seed=3) == run_attacks(PAIRS, by_length, seed=3)


@pytest.mark.parametrize("pairs", [[], PAIRS[:1]])
def test_it_takes_two_prompts(pairs: list[Pair]) -> None:
    assert run_attacks(pairs, by_length) == []
