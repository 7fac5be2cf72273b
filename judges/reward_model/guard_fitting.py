"""Thresholds of the guards, fitted to a stated rate of false alarms on natural texts.

What is learned from texts (the table of rarities, the relevance classifier) is learned on
one half of the prompts and measured on the other, and the reverse, so that every threshold
rests on texts that its measure had not seen. What is stored is then learned from all.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judges.reward_model.attacks import ATTACKS, Attack, Guard, Target
from judges.reward_model.embedding import embed
from judges.reward_model.guards import (
    Embed,
    GuardName,
    Guards,
    Measures,
    Relevance,
    Tables,
    Vector,
    asked,
    plain,
    text_measures,
)
from judges.reward_model.render import Prompt
from judges.reward_model.text_measures import Rarity
from judges.reward_model.word_order import WordOrder

if TYPE_CHECKING:
    from torch import Tensor

    from judges.reward_model.model import RewardModel

FALSE_ALARM_RATE = 0.02
MIN_TEXTS = 100
"""Fewer cannot tell what one text in a hundred looks like."""

PENALTY = 0.5
"""Of the squared weights of the relevance classifier. Its inputs outnumber the prompts."""

FREEDOM = 3.0
"""Of the weights of the completion alone, which do not multiply noise: so much larger before they
cost as much as the others."""

STRANGERS = 5
"""Other prompts that each completion is paired with, to learn what does not belong."""

MAX_TEXTS = 2_000
"""Read by the encoder when guards are fitted: a minute on a CPU."""

RELEVANCE_SHARE = 0.5
"""Of the permitted false alarms, those that the relevance guard may raise. Relevant and
irrelevant texts overlap, where other degenerate texts lie far from all natural ones."""

ATTACKED = 40
"""Prompts on which each kind of attack is tried when thresholds are chosen."""

BEYOND = 0.1
"""Where not even one false alarm is permitted, a threshold lies so far above the largest
natural measure, as a share of that one's distance from the median."""

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
        natural: prompts and completions that nobody degraded, good and bad ones alike.
        degenerate: prompts out of the natural ones, and completions that guards should find:
            the permitted false alarms go to the guards that find most of them.
        embed: embeds texts by the model's own encoder; without it there is no relevance guard.
        false_alarm_rate: the share of natural texts that may be flagged, all guards together.

    Raises:
        TooFewTexts: there are fewer than `MIN_TEXTS`.
    """
    if len(natural) < MIN_TEXTS:
        raise TooFewTexts(f"guards are fitted to {MIN_TEXTS} texts or more, not {len(natural)}")
    learned, halves = learn(natural, embed)
    measures = [
        halves[half_of(prompt)].measure(prompt, completion)
        for prompt, completion in (*natural, *degenerate)
    ]
    thresholds = choose_thresholds(
        measures[: len(natural)], measures[len(natural) :], false_alarm_rate
    )
    alarms = {
        name: sum(each[name] > limit for each in measures[: len(natural)]) / len(natural)
        for name, limit in thresholds.items()
    }
    guards = Guards(
        false_alarm_rate=false_alarm_rate,
        texts=len(natural),
        thresholds=thresholds,
        alarms=alarms,
        rarity=learned.tables.rarity.dumped(),
        order=learned.tables.order.dumped(),
        relevance=learned.relevance,
    )
    return guards.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Learned:
    """What measures rest on that is learned from texts."""

    tables: Tables
    relevance: Relevance | None
    vectors: Callable[[str], Vector]

    def measure(self, prompt: Prompt, completion: str) -> Measures:
        measures = text_measures(prompt, completion, self.tables)
        if self.relevance is not None:
            fits = self.relevance(self.vectors(plain(prompt)), self.vectors(completion))
            measures["relevance"] = -fits
        return measures


def learn(natural: Sequence[Pair], embed: Embed | None) -> tuple[Learned, list[Learned]]:
    """Learned from all texts; and for each half of the prompts, from the other half."""
    parts = [[text for text in natural if half_of(text[0]) != half] for half in (0, 1)]
    prompts = min(len({plain(prompt) for prompt, _ in part}) for part in parts)
    vectors = Remembered(embed) if embed and prompts > STRANGERS else None
    whole, *halves = (learned_from(part, vectors) for part in (natural, *parts))
    return whole, halves


def learned_from(natural: Sequence[Pair], vectors: Remembered | None) -> Learned:
    completions = [completion for _, completion in natural]
    tables = Tables(Rarity.of(completions), WordOrder.of(completions))
    if vectors is None:
        return Learned(tables, None, lambda text: ())
    rows = vectors.of([text for prompt, said in natural for text in (plain(prompt), said)])
    relevance = fit_relevance(rows[0::2], rows[1::2])
    return Learned(tables, relevance, vectors)


class Remembered:
    """Embeddings, each text's once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._vectors: dict[str, Vector] = {}

    def __call__(self, text: str) -> Vector:
        return self.of([text])[0]

    def of(self, texts: Sequence[str]) -> list[Vector]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._embed(new), strict=True))
        return [self._vectors[text] for text in texts]


def guards_of(
    model: RewardModel,
    natural: Sequence[Pair],
    degenerate: Sequence[Pair] | None = None,
    *,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> tuple[dict[str, JsonValue], Guard] | None:
    """Guards fitted to texts by a model's own encoder: for its card, and to be asked.

    At most `MAX_TEXTS` natural ones are used, drawn by a hash of the prompt. The degenerate
    ones are, unless given, every attack of attacks.py on some of the prompts. None where there
    are too few texts.
    """
    if len(natural) < MIN_TEXTS:
        return None
    drawn = sorted(natural, key=lambda text: hash_of(text[0]))[:MAX_TEXTS]
    if degenerate is None:
        degenerate = attacked(drawn, ATTACKS)
    read = partial(embed, model=model)
    card = fit_guards(drawn, degenerate, embed=read, false_alarm_rate=false_alarm_rate)
    guards = Guards.from_card(card)
    assert guards is not None
    return card, lambda texts: [bool(flags) for flags in raised(guards, read, texts)]


def attacked(natural: Sequence[Pair], attacks: Sequence[Attack], seed: int = 0) -> list[Pair]:
    """Attacks of each kind on some of the prompts."""
    chance = random.Random(seed)
    pairs = []
    for prompt, answer in natural[:: max(len(natural) // ATTACKED, 1)][:ATTACKED]:
        _, other = chance.choice(natural)
        target = Target(asked(prompt), answer, other, chance)
        pairs += [(prompt, attack.text(target)) for attack in attacks]
    return pairs


def raised(guards: Guards, read: Embed, texts: Sequence[Pair]) -> list[list[GuardName]]:
    """The flags of each text: an empty list where it looks natural."""
    measures = [guards.measure(*text) for text in texts]
    if guards.relevance is not None:
        vectors = Remembered(read)
        prompts = vectors.of([plain(prompt) for prompt, _ in texts])
        completions = vectors.of([completion for _, completion in texts])
        measures = [
            guards.with_relevance(*each)
            for each in zip(measures, prompts, completions, strict=True)
        ]
    return [guards.flags(each) for each in measures]


def half_of(prompt: Prompt) -> int:
    return hash_of(prompt)[0] % 2


def hash_of(prompt: Prompt) -> bytes:
    return hashlib.blake2b(plain(prompt).encode(errors="replace")).digest()


# --- thresholds -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Level:
    """A threshold that a guard might have, and whom it flags: sets as the bits of integers."""

    limit: float
    alarms: int
    finds: int


def choose_thresholds(
    natural: Sequence[Measures], degenerate: Sequence[Measures], rate: float
) -> dict[GuardName, float]:
    """Thresholds that flag at most `rate` of the natural texts, all together.

    They start where no natural text is flagged, save that relevance, without which an answer
    to another prompt is never found, has its share of false alarms from the start. Then, step
    by step, that guard is made stricter which finds most further degenerate texts for each
    further false alarm. A threshold fitted to few texts flags about one text more of as many
    others: that much is kept back for every guard.
    """
    permitted = max(math.floor(rate * len(natural)) - len(natural[0]), 0)
    levels = {
        name: levels_of([m[name] for m in natural], [m[name] for m in degenerate], permitted)
        for name in natural[0]
    }
    chosen = {name: each[0] for name, each in levels.items()}
    if "relevance" in levels:
        chosen["relevance"] = levels["relevance"][math.floor(permitted * RELEVANCE_SHARE)]
    while step := best_step(levels, chosen, permitted):
        name, level = step
        chosen[name] = level
    return {name: level.limit for name, level in chosen.items()}


def levels_of(natural: Sequence[float], degenerate: Sequence[float], permitted: int) -> list[Level]:
    """One level for each number of natural texts that a guard may flag, 0 first."""
    ordered = sorted(natural)
    top, median = ordered[-1], ordered[len(ordered) // 2]
    limits = [top + BEYOND * (top - median), *reversed(ordered[-1 - permitted : -1])]
    return [Level(limit, above(natural, limit), above(degenerate, limit)) for limit in limits]


def above(values: Sequence[float], limit: float) -> int:
    """The positions of the values above `limit`, as the bits of an integer."""
    return sum(1 << position for position, value in enumerate(values) if value > limit)


def best_step(
    levels: dict[GuardName, list[Level]], chosen: dict[GuardName, Level], permitted: int
) -> tuple[GuardName, Level] | None:
    """The change of one guard that finds most for each false alarm; None where none helps."""
    best, best_worth = None, 0.0
    for name, candidates in levels.items():
        others = [level for other, level in chosen.items() if other != name]
        alarms = reduce(or_, (level.alarms for level in others), 0)
        finds = reduce(or_, (level.finds for level in others), 0)
        now_alarms = (alarms | chosen[name].alarms).bit_count()
        now_finds = (finds | chosen[name].finds).bit_count()
        for level in candidates:
            new_alarms = (alarms | level.alarms).bit_count()
            gain = (finds | level.finds).bit_count() - now_finds
            worth = gain / max(new_alarms - now_alarms, 0.5)
            if gain > 0 and new_alarms <= permitted and worth > best_worth:
                best, best_worth = (name, level), worth
    return best


# --- relevance --------------------------------------------------------------------------


def fit_relevance(prompt_rows: Sequence[Vector], completion_rows: Sequence[Vector]) -> Relevance:
    """A logistic regression that tells completions of their prompt from those of others.

    Args:
        prompt_rows, completion_rows: embeddings, row by row of one pair.
    """
    import torch

    own, theirs = (torch.tensor([*map(list, rows)]) for rows in (prompt_rows, completion_rows))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(own), (STRANGERS, len(own)), generator=generator)
    strange = torch.cat([interactions(own[each], theirs) for each in drawn])
    is_other = torch.cat([(own[each] != own).any(dim=1) for each in drawn])
    true, false = interactions(own, theirs), strange[is_other]
    mean, std = true.mean(0), true.std(0) + 1e-6
    std[own.shape[1] :] /= FREEDOM
    weights = minimised(logistic_loss((true - mean) / std, (false - mean) / std), true.shape[1])
    slope, bias = weights[:-1] / std, float(weights[-1] - (weights[:-1] * mean / std).sum())
    product, completion = slope.chunk(2)
    return Relevance(
        product=tuple(round(w, 6) for w in product.tolist()),
        completion=tuple(round(w, 6) for w in completion.tolist()),
        bias=bias,
    )


def interactions(prompts: Tensor, completions: Tensor) -> Tensor:
    """p * c and c: (texts, 2 * hidden)."""
    import torch

    return torch.cat([prompts * completions, completions], dim=1)


def logistic_loss(true: Tensor, false: Tensor) -> Callable[[Tensor], Tensor]:
    """The mean loss over both classes, each of which weighs half, plus the penalty."""
    from torch.nn.functional import softplus

    def loss(weights: Tensor) -> Tensor:
        slope, bias = weights[:-1], weights[-1]
        right = softplus(-(true @ slope + bias)).mean()
        wrong = softplus(false @ slope + bias).mean()
        return (right + wrong) / 2 + PENALTY * slope @ slope

    return loss


def minimised(loss: Callable[[Tensor], Tensor], inputs: int) -> Tensor:
    """The weights at the minimum of a convex loss: (inputs + 1), the bias last."""
    import torch

    weights = torch.zeros(inputs + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(weights)
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach()
