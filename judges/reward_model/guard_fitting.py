"""Thresholds of the guards, fitted to a stated rate of false alarms on natural texts.

What is learned from texts (the table of rarities, the relevance classifier) is learned on
one half of the prompts and measured on the other, and the reverse, so that every threshold
rests on texts that its measure had not seen. What is stored is then learned from all.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
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

HOLLOW_WEIGHT = 0.1
"""Of texts that answer nothing, beside answers to other prompts. More, and the classifier knows
filler by its words and is worse at telling answers apart."""

LEAST_SPREAD = 0.1
"""Of an input of the relevance classifier, added to its own: a share of the mean over inputs."""

STRANGERS = 5
"""Other prompts that each completion is paired with, to learn what does not belong."""

MAX_TEXTS = 2_000
"""Read by the encoder when guards are fitted: a minute on a CPU."""

RELEVANCE_SHARE = 0.5
"""Of the permitted false alarms, those that the relevance guard may raise. Relevant and
irrelevant texts overlap, where other degenerate texts lie far from all natural ones."""

ATTACKED = 40
"""Prompts on which each kind of attack is tried when thresholds are chosen."""

BEYOND = 0.3
"""Where nothing degenerate tells how far a threshold may lie above the largest natural measure,
it is so far, as a share of that one's distance from the median."""

UNSEEN = 1.0
"""A threshold at one of n natural measures flags one text more of n others than it did of these."""

UNSEEN_BEYOND = 0.5
"""The same, for one that lies beyond them all."""

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
            without a letter or digit are degenerate whoever wrote them, and left out.
        degenerate: prompts out of the natural ones, and completions that guards should find:
            the permitted false alarms go to the guards that find most of them.
        embed: embeds texts by the model's own encoder; without it there is no relevance guard.
        false_alarm_rate: the share of natural texts that may be flagged, all guards together.

    Raises:
        TooFewTexts: there are fewer than `MIN_TEXTS`.
    """
    natural = [text for text in natural if any(map(str.isalnum, text[1]))]
    if len(natural) < MIN_TEXTS:
        raise TooFewTexts(f"guards are fitted to {MIN_TEXTS} texts or more, not {len(natural)}")
    learned, halves = learn(natural, degenerate, embed)
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
    completions = [completion for _, completion in natural]
    tables = Tables(Rarity.of(completions), WordOrder.of(completions))
    if vectors is None:
        return Learned(tables, None, lambda text: ())
    hollow = vectors.of_pairs(under_many_prompts(degenerate))
    return Learned(tables, fit_relevance(*vectors.of_pairs(natural), *hollow), vectors)


def under_many_prompts(degenerate: Sequence[Pair]) -> list[Pair]:
    """Those that were tried on several prompts, and so answer none. Others hold natural text."""
    counts = Counter(said for _, said in {(plain(prompt), said) for prompt, said in degenerate})
    return [(prompt, completion) for prompt, completion in degenerate if counts[completion] > 1]


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

    def of_pairs(self, pairs: Sequence[Pair]) -> tuple[list[Vector], list[Vector]]:
        """Of the prompts, and of the completions."""
        rows = self.of([text for prompt, said in pairs for text in (plain(prompt), said)])
        return rows[0::2], rows[1::2]


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
    unseen: float
    """How many further texts it is expected to flag, of as many as it was fitted to."""


Levels = dict[GuardName, Level]


def choose_thresholds(
    natural: Sequence[Measures], degenerate: Sequence[Measures], rate: float
) -> dict[GuardName, float]:
    """Thresholds that flag at most `rate` of the natural texts, all together.

    They start where no natural text is flagged, save that relevance, without which an answer
    to another prompt is never found, has its share of false alarms from the start. Then, step
    by step, that guard is made stricter which finds most further degenerate texts for each
    further false alarm.
    """
    permitted = rate * len(natural)
    levels = {
        name: levels_of([m[name] for m in natural], [m[name] for m in degenerate], int(permitted))
        for name in natural[0]
    }
    chosen = {name: each[0] for name, each in levels.items()}
    share = max(permitted * RELEVANCE_SHARE, expected_alarms(chosen))
    for level in levels.get("relevance", ()):
        if expected_alarms(stricter := {**chosen, "relevance": level}) <= share:
            chosen = stricter
    while step := best_step(levels, chosen, permitted):
        chosen = step
    return {name: level.limit for name, level in chosen.items()}


def levels_of(natural: Sequence[float], degenerate: Sequence[float], most: int) -> list[Level]:
    """A level for each number of natural texts that a guard may flag, 0 first.

    Each lies as far above the natural texts that it lets pass as it can without missing what
    it would find right above them.
    """
    ordered = sorted(natural, reverse=True)
    top, median = ordered[0], ordered[len(ordered) // 2]
    levels = []
    for count, low in enumerate(ordered[: most + 1]):
        higher = [value for value in degenerate if value > low]
        nearest = min(higher, default=low + 2 * BEYOND * (top - median))
        if count:
            nearest = min(nearest, ordered[count - 1])
        limit = low + (nearest - low) / 2
        flagged, found = above(natural, limit), above(degenerate, limit)
        levels.append(Level(limit, flagged, found, UNSEEN if count else UNSEEN_BEYOND))
    return levels


def above(values: Sequence[float], limit: float) -> int:
    """The positions of the values above `limit`, as the bits of an integer."""
    return sum(1 << position for position, value in enumerate(values) if value > limit)


def expected_alarms(chosen: Levels) -> float:
    """Among as many natural texts as the thresholds were fitted to, but others."""
    flagged = reduce(or_, (level.alarms for level in chosen.values()), 0)
    return flagged.bit_count() + sum(level.unseen for level in chosen.values())


def found_by(chosen: Levels) -> int:
    return reduce(or_, (level.finds for level in chosen.values()), 0).bit_count()


def best_step(
    levels: dict[GuardName, list[Level]], chosen: Levels, permitted: float
) -> Levels | None:
    """The change of one guard that finds most for each false alarm; None where none helps."""
    alarms, found = expected_alarms(chosen), found_by(chosen)
    best, best_worth = None, 0.0
    for name, candidates in levels.items():
        for level in candidates:
            changed = {**chosen, name: level}
            gain, more = found_by(changed) - found, expected_alarms(changed) - alarms
            worth = gain / max(more, UNSEEN_BEYOND)
            if worth > best_worth and alarms + more <= permitted:
                best, best_worth = changed, worth
    return best


# --- relevance --------------------------------------------------------------------------


def fit_relevance(
    prompts: Sequence[Vector],
    completions: Sequence[Vector],
    hollow_prompts: Sequence[Vector] = (),
    hollow_completions: Sequence[Vector] = (),
) -> Relevance:
    """A logistic regression that tells completions of their prompt from those of others, and
    from those that answer none.

    Args:
        prompts, completions: embeddings, row by row of one pair.
        hollow_prompts, hollow_completions: the same, of pairs whose completion answers nothing.
    """
    import torch

    own, theirs = rows_of(prompts), rows_of(completions)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(own), (STRANGERS, len(own)), generator=generator)
    strange = torch.cat([interactions(own[each], theirs) for each in drawn])
    is_other = torch.cat([(own[each] != own).any(dim=1) for each in drawn])
    true, false = interactions(own, theirs), strange[is_other]
    mean, std = true.mean(0), spread(true, own.shape[1])
    wrong = [(1.0, (false - mean) / std)]
    if hollow_prompts:
        hollow = interactions(rows_of(hollow_prompts), rows_of(hollow_completions))
        wrong.append((HOLLOW_WEIGHT, (hollow - mean) / std))
    weights = minimised(logistic_loss((true - mean) / std, wrong), true.shape[1])
    slope, bias = weights[:-1] / std, float(weights[-1] - (weights[:-1] * mean / std).sum())
    product, completion = slope.chunk(2)
    return Relevance(
        product=tuple(round(w, 6) for w in product.tolist()),
        completion=tuple(round(w, 6) for w in completion.tolist()),
        bias=bias,
    )


def rows_of(vectors: Sequence[Vector]) -> Tensor:
    """(texts, hidden)"""
    import torch

    return torch.tensor([*map(list, vectors)])


def interactions(prompts: Tensor, completions: Tensor) -> Tensor:
    """p * c and c: (texts, 2 * hidden)."""
    import torch

    return torch.cat([prompts * completions, completions], dim=1)


def spread(rows: Tensor, hidden: int) -> Tensor:
    """What the inputs are divided by: (2 * hidden). What hardly varies among natural texts may
    do so in others, and would then count for more than all the rest."""
    import torch

    std = rows.std(0)
    product, completion = (part + LEAST_SPREAD * part.mean() + 1e-6 for part in std.split(hidden))
    return torch.cat([product, completion / FREEDOM])


def logistic_loss(
    true: Tensor, false: Sequence[tuple[float, Tensor]]
) -> Callable[[Tensor], Tensor]:
    """The mean loss over each class, times the weight of the class, plus the penalty."""
    from torch.nn.functional import softplus

    def loss(weights: Tensor) -> Tensor:
        slope, bias = weights[:-1], weights[-1]
        total = softplus(-(true @ slope + bias)).mean()
        for weight, rows in false:
            total = total + weight * softplus(rows @ slope + bias).mean()
        return total / 2 + PENALTY * slope @ slope

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
