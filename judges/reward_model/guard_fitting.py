"""Thresholds of the guards, fitted to a stated rate of false alarms on natural texts.

What is learned from texts (the table of rarities, the relevance classifier) is learned on
one half of the prompts and measured on the other, and the reverse, so that every threshold
rests on texts that its measure had not seen. What is stored is then learned from all.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judges.reward_model.guards import (
    Embed,
    GuardName,
    Guards,
    Measures,
    Relevance,
    plain,
    text_measures,
)
from judges.reward_model.render import Prompt
from judges.reward_model.text_measures import Rarity

if TYPE_CHECKING:
    from torch import Tensor

SHARES: dict[GuardName, float] = {
    "short": 0.05,
    "repetition": 0.1,
    "symbols": 0.05,
    "skeleton": 0.05,
    "echo": 0.05,
    "injection": 0.05,
    "distance": 0.1,
    "relevance": 0.55,
}
"""How the permitted false alarms are divided. Degenerate texts lie far from natural ones in
every measure but relevance, which therefore gets the most."""

FALSE_ALARM_RATE = 0.01
MIN_TEXTS = 100
"""Of which half choose the thresholds: fewer cannot tell one in a hundred."""

PENALTY = 0.5
"""Of the squared weights of the relevance classifier. Its inputs outnumber the prompts."""

STRANGERS = 5
"""Other prompts that each completion is paired with, to learn what does not belong."""

STEPS = 24
"""Tried on the way from `GENEROUS` times the shares down to the shares themselves."""

GENEROUS = 4.0
"""Flags overlap, so all guards together raise fewer false alarms than the sum of theirs."""

BEYOND = 0.1
"""Where not even one false alarm is permitted, a threshold lies so far above the largest
natural measure, as a share of that one's distance from the median."""

Natural = tuple[str, str]
"""A prompt as plain text and a completion that nobody degraded."""


class TooFewTexts(ValueError):
    """Guards cannot be fitted to so little."""


def fit_guards(
    texts: Sequence[tuple[Prompt, str]],
    *,
    embed: Embed | None = None,
    false_alarm_rate: float = FALSE_ALARM_RATE,
) -> dict[str, JsonValue]:
    """The `guards` of a model's card.

    Args:
        texts: prompts and natural completions, good and bad ones alike, of many prompts.
        embed: embeds texts by the model's own encoder; without it there is no relevance guard.
        false_alarm_rate: the share of natural texts that may be flagged, all guards together.

    Raises:
        TooFewTexts: there are fewer than `MIN_TEXTS`.
    """
    natural = [(plain(prompt), completion) for prompt, completion in texts]
    if len(natural) < MIN_TEXTS:
        raise TooFewTexts(f"guards are fitted to {MIN_TEXTS} texts or more, not {len(natural)}")
    folds = [half_of(prompt) for prompt, _ in natural]
    measures = [text_measures(*text, rarity) for text, rarity in out_of_fold_rarity(natural, folds)]
    relevance = None
    if embed is not None and len({prompt for prompt, _ in natural}) > STRANGERS:
        prompts, completions = embedded(natural, embed)
        for half in (0, 1):
            learned = fit_relevance(prompts, completions, [fold != half for fold in folds])
            for i in (i for i, fold in enumerate(folds) if fold == half):
                measures[i]["relevance"] = -learned(prompts[i].tolist(), completions[i].tolist())
        relevance = fit_relevance(prompts, completions, [True] * len(natural))
    thresholds = choose_thresholds(measures, false_alarm_rate)
    guards = Guards(
        false_alarm_rate=false_alarm_rate,
        texts=len(natural),
        thresholds=thresholds,
        alarms={
            name: sum(each[name] > limit for each in measures) / len(measures)
            for name, limit in thresholds.items()
        },
        rarity=Rarity.of(completion for _, completion in natural).dumped(),
        relevance=relevance,
    )
    return guards.model_dump(mode="json")


def half_of(prompt: str) -> int:
    return hashlib.blake2b(prompt.encode(errors="replace")).digest()[0] % 2


def out_of_fold_rarity(
    natural: Sequence[Natural], folds: Sequence[int]
) -> list[tuple[Natural, Rarity]]:
    """Each text with a table of rarities that was made without its half."""
    halves = [
        Rarity.of(text for (_, text), fold in zip(natural, folds, strict=True) if fold != half)
        for half in (0, 1)
    ]
    return [(text, halves[fold]) for text, fold in zip(natural, folds, strict=True)]


def choose_thresholds(measures: Sequence[Measures], rate: float) -> dict[GuardName, float]:
    """The strictest thresholds that together flag at most `rate` of these natural texts."""
    values = {name: sorted(each[name] for each in measures) for name in measures[0]}
    permitted = math.floor(rate * len(measures))
    for step in range(STEPS + 1):
        factor = GENEROUS ** (1 - step / STEPS)
        thresholds = {name: limit(values[name], rate * SHARES[name] * factor) for name in values}
        flagged = sum(any(each[n] > t for n, t in thresholds.items()) for each in measures)
        if flagged <= permitted:
            break
    return thresholds


def limit(ordered: Sequence[float], rate: float) -> float:
    """The least value that at most `rate` of the ordered ones exceed."""
    count = len(ordered)
    exceeding = math.floor(rate * count)
    if exceeding:
        return ordered[count - 1 - exceeding]
    return ordered[-1] + BEYOND * (ordered[-1] - ordered[count // 2])


# --- relevance --------------------------------------------------------------------------


def embedded(natural: Sequence[Natural], embed: Embed) -> tuple[Tensor, Tensor]:
    """Embeddings of the prompts and of the completions: (texts, hidden) each."""
    import torch

    prompts = sorted({prompt for prompt, _ in natural})
    rows = dict(zip(prompts, embed(prompts), strict=True))
    completions = embed([completion for _, completion in natural])
    return torch.tensor([list(rows[prompt]) for prompt, _ in natural]), torch.tensor(
        [list(row) for row in completions]
    )


def fit_relevance(prompts: Tensor, completions: Tensor, chosen: Sequence[bool]) -> Relevance:
    """A logistic regression that tells completions of their prompt from those of others.

    Args:
        prompts, completions: embeddings, (texts, hidden) each, row by row of one pair.
        chosen: which texts to learn from.
    """
    import torch

    rows = torch.tensor(chosen).nonzero().flatten()
    own, theirs = prompts[rows], completions[rows]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(rows), (STRANGERS, len(rows)), generator=generator)
    strange = torch.cat([interactions(own[each], theirs) for each in drawn])
    is_other = torch.cat([(own[each] != own).any(dim=1) for each in drawn])
    true, false = interactions(own, theirs), strange[is_other]
    mean, std = true.mean(0), true.std(0) + 1e-6
    weights = minimised(logistic_loss((true - mean) / std, (false - mean) / std), true.shape[1])
    slope, bias = weights[:-1] / std, float(weights[-1] - (weights[:-1] * mean / std).sum())
    product, difference = slope.chunk(2)
    return Relevance(
        product=tuple(round(w, 6) for w in product.tolist()),
        difference=tuple(round(w, 6) for w in difference.tolist()),
        bias=bias,
    )


def interactions(prompts: Tensor, completions: Tensor) -> Tensor:
    """p * c and |p - c|: (texts, 2 * hidden)."""
    import torch

    return torch.cat([prompts * completions, (prompts - completions).abs()], dim=1)


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
