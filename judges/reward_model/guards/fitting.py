"""Guards, fitted to a stated rate of false alarms on natural texts.

Thresholds and penalties rest on measures by guards that learned from the other half of the
prompts. What is stored is then learned from all.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judges.reward_model.guards.degenerate import ATTACKS, Attack, Target
from judges.reward_model.guards.guard import EmbeddingGuard, Examples, Guard, TextGuard
from judges.reward_model.guards.guards import GUARDS, Guards, Measures, measures_by
from judges.reward_model.guards.penalties import choose_penalties
from judges.reward_model.guards.relevance import STRANGERS
from judges.reward_model.guards.thresholds import choose_thresholds, expected_of
from judges.reward_model.model.embedding import Embed, Remembered, embed
from judges.reward_model.model.render import Prompt, asked, plain

if TYPE_CHECKING:
    from judges.reward_model.model.model import RewardModel

FALSE_ALARM_RATE = 0.02
MIN_TEXTS = 100
"""Fewer cannot tell what one text in a hundred looks like."""

MAX_TEXTS = 2_000
"""Read by the encoder when guards are fitted: a minute on a CPU."""

ATTACKED = 40
"""Prompts on which each kind of attack is tried when thresholds are chosen."""

Pair = tuple[Prompt, str]
"""A prompt and a completion."""


class TooFewTexts(ValueError):
    """Guards cannot be fitted to so little."""


def fit_guards(
    natural: Sequence[Pair],
    degenerate: Sequence[Pair] = (),
    *,
    embed: Embed | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> dict[str, JsonValue]:
    """The `guards` of a model's card.

    Args:
        natural: prompts and completions that nobody degraded, good and bad ones alike. Those
            without a letter or digit are degenerate whoever wrote them: nothing is learned
            from them, and they count among the permitted false alarms.
        degenerate: prompts out of the natural ones, and completions that guards should find:
            the permitted false alarms go to the guards that find most of them.
        embed: embeds texts by the model's own encoder; without it no guard reads embeddings.
        false_alarm_rate: the share of natural texts that may be flagged, all guards together.
            Fewer are aimed at, so that chance does not carry others over it.

    Raises:
        TooFewTexts: there are fewer than `MIN_TEXTS`.
    """
    permitted = expected_of(false_alarm_rate * len(natural))
    natural, silent = with_letters(natural)
    if len(natural) < MIN_TEXTS:
        raise TooFewTexts(f"guards are fitted to {MIN_TEXTS} texts or more, not {len(natural)}")
    learned, halves = learn(natural, degenerate, embed)
    measures = [
        halves[half_of(prompt)].measure(prompt, completion)
        for prompt, completion in (*natural, *degenerate)
    ]
    usual, odd = measures[: len(natural)], measures[len(natural) :]
    thresholds = choose_thresholds(usual, odd, max(permitted - silent, 0) / len(natural))
    alarms = {
        name: sum(each[name] > limit for each in usual) / len(natural)
        for name, limit in thresholds.items()
    }
    strangers = [
        halves[half_of(prompt)].of_embeddings(prompt, completion)
        for prompt, completion in under_other_prompts(natural if learned.vectors else ())
    ]
    guards = Guards.model_validate(
        {
            "false_alarm_rate": false_alarm_rate,
            "texts": len(natural),
            "thresholds": thresholds,
            "alarms": alarms,
            "penalties": choose_penalties(usual, odd, strangers),
            **learned.stored(),
        }
    )
    return guards.model_dump(mode="json")


def with_letters(texts: Sequence[Pair]) -> tuple[list[Pair], int]:
    """The texts with a letter or digit, and how many have none."""
    found = [text for text in texts if any(map(str.isalnum, text[1]))]
    return found, len(texts) - len(found)


def under_other_prompts(texts: Sequence[Pair], seed: int = 0) -> list[Pair]:
    """The completions, each under another prompt of its half."""
    chance = random.Random(seed)
    prompts = [[prompt for prompt, _ in of_half(texts, half)] for half in (0, 1)]
    moved = [(chance.choice(prompts[half_of(prompt)]), prompt, said) for prompt, said in texts]
    return [(other, said) for other, own, said in moved if plain(other) != plain(own)]


@dataclass(frozen=True, slots=True)
class Learned:
    """Guards that have learned, and what embeds texts for them."""

    guards: Sequence[Guard]
    vectors: Remembered | None

    def measure(self, prompt: Prompt, completion: str) -> Measures:
        text = measures_by(TextGuard, self.guards, prompt, completion)
        return text | self.of_embeddings(prompt, completion)

    def of_embeddings(self, prompt: Prompt, completion: str) -> Measures:
        if self.vectors is None:
            return {}
        texts = plain(prompt), asked(prompt), completion
        return measures_by(EmbeddingGuard, self.guards, *map(self.vectors, texts))

    def stored(self) -> dict[str, JsonValue]:
        empty = {guard.stored_as: None for guard in GUARDS if guard.stored_as}
        return empty | {g.stored_as: g.stored() for g in self.guards if g.stored_as}


def learn(
    natural: Sequence[Pair], degenerate: Sequence[Pair], embed: Embed | None
) -> tuple[Learned, list[Learned]]:
    """Learned from all texts; and for each half of the prompts, from the other half."""
    halves = [(of_half(natural, half), of_half(degenerate, half)) for half in (1, 0)]
    prompts = min(len({plain(prompt) for prompt, _ in part}) for part, _ in halves)
    vectors = Remembered(embed) if embed and prompts > STRANGERS else None
    whole = learned_from(natural, degenerate, vectors)
    return whole, [learned_from(*other, vectors) for other in halves]


def of_half(texts: Sequence[Pair], half: int) -> list[Pair]:
    return [text for text in texts if half_of(text[0]) == half]


def learned_from(
    natural: Sequence[Pair], degenerate: Sequence[Pair], vectors: Remembered | None
) -> Learned:
    examples = Examples([completion for _, completion in natural])
    if vectors is not None:
        hollow = vectors.of_pairs(under_many_prompts(degenerate))
        examples = replace(examples, embedded=vectors.of_pairs(natural), hollow=hollow)
    fitted = (guard.fit(examples) for guard in GUARDS)
    return Learned([guard for guard in fitted if guard is not None], vectors)


def under_many_prompts(degenerate: Sequence[Pair]) -> list[Pair]:
    """Those that were tried on several prompts, and so answer none. Others hold natural text."""
    counts = Counter(said for _, said in {(plain(prompt), said) for prompt, said in degenerate})
    return [(prompt, completion) for prompt, completion in degenerate if counts[completion] > 1]


def guards_of(
    model: RewardModel,
    natural: Sequence[Pair],
    degenerate: Sequence[Pair] | None = None,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> dict[str, JsonValue] | None:
    """Guards fitted to texts by a model's own encoder, for its card.

    At most `MAX_TEXTS` natural ones are used, drawn by a hash of the prompt. The degenerate
    ones are, unless given, every attack of degenerate.py on some of the prompts. None where there
    are too few texts.
    """
    drawn = sorted(natural, key=lambda text: hash_of(text[0]))[:MAX_TEXTS]
    if degenerate is None:
        degenerate = attacked(drawn, ATTACKS)
    read = partial(embed, model=model)
    try:
        return fit_guards(drawn, degenerate, embed=read, false_alarm_rate=false_alarm_rate)
    except TooFewTexts:
        return None


def attacked(natural: Sequence[Pair], attacks: Sequence[Attack], seed: int = 0) -> list[Pair]:
    """Attacks of each kind on some of the prompts."""
    chance = random.Random(seed)
    pairs = []
    for prompt, answer in natural[:: max(len(natural) // ATTACKED, 1)][:ATTACKED]:
        _, other = chance.choice(natural)
        target = Target(asked(prompt), answer, other, chance)
        pairs += [(prompt, attack.text(target)) for attack in attacks]
    return pairs


def half_of(prompt: Prompt) -> int:
    return hash_of(prompt)[0] % 2


def hash_of(prompt: Prompt) -> bytes:
    return hashlib.blake2b(plain(prompt).encode(errors="replace")).digest()
