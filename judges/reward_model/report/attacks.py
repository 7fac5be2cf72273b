"""For how many prompts a degenerate text beats all of the prompt's own completions, with guards
and without."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from judges.reward_model.guards.degenerate import ATTACKS, Attack, Target
from judges.reward_model.model.render import Prompt, asked, turns
from judges.reward_model.preferences import Pair

MAX_PROMPTS = 40
"""Attacked by default: a share is then known to about 8 points, and the suite takes seconds."""

Score = Callable[[Sequence[tuple[Prompt, str]]], Sequence[float | None]]
"""Rewards of (prompt, completion); None where the text is refused."""

Guard = Callable[[Sequence[tuple[Prompt, str]], Sequence[float | None]], Sequence[float | None]]
"""What guards leave of the rewards of (prompt, completion)s."""


@dataclass(frozen=True)
class AttackResult:
    """The share of prompts where the attack earns more than every real completion."""

    name: str
    prompts: int
    wins: float
    wins_guarded: float | None
    """None where the model has no guards."""


def run_attacks(
    pairs: Sequence[Pair],
    score: Score,
    guard: Guard | None = None,
    *,
    attacks: Sequence[Attack] = ATTACKS,
    seed: int = 0,
    max_prompts: int = MAX_PROMPTS,
) -> list[AttackResult]:
    """Attacks up to `max_prompts` prompts of these pairs, and counts the wins of each kind."""
    targets, own = _targets(pairs, seed, max_prompts)
    of_own = [score(texts) for texts in own]
    guarded_own = [guard(*each) for each in zip(own, of_own, strict=True)] if guard else []
    results = []
    for attack in attacks if targets else ():
        texts = [(prompt, attack.text(target)) for prompt, target in targets]
        rewards = score(texts)
        guarded = _wins(guard(texts, rewards), guarded_own) if guard else None
        results.append(AttackResult(attack.name, len(texts), _wins(rewards, of_own), guarded))
    return results


def _wins(rewards: Sequence[float | None], own: Sequence[Sequence[float | None]]) -> float:
    """The share of prompts whose reward is higher than all of the prompt's own completions'."""
    best = [max((r for r in each if r is not None), default=math.inf) for each in own]
    return sum(r is not None and r > b for r, b in zip(rewards, best, strict=True)) / len(best)


def _targets(
    pairs: Sequence[Pair], seed: int, most: int
) -> tuple[list[tuple[Prompt, Target]], list[list[tuple[Prompt, str]]]]:
    """Prompts to attack, and each one's own completions."""
    chance = random.Random(seed)
    by_prompt: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_prompt["\n".join(map(": ".join, turns(pair.prompt)))].append(pair)
    prompts = sorted(by_prompt)
    chance.shuffle(prompts)
    targets: list[tuple[Prompt, Target]] = []
    completions: list[list[tuple[Prompt, str]]] = []
    for text in prompts[:most] if len(prompts) > 1 else ():
        own = by_prompt[text]
        other = by_prompt[chance.choice([p for p in prompts if p != text])][0].chosen
        completions.append([one for pair in own for one in pair.texts])
        prompt = own[0].prompt
        targets.append((prompt, Target(asked(prompt), own[0].chosen, other, chance)))
    return targets, completions
