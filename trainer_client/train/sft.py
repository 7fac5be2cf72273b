"""Supervised fine-tuning: the cold start that gives reinforcement learning something to amplify.

The loss is the cross-entropy of completion tokens; prompts are context.

The demo's demonstrators are careless on purpose: some of their reversals lack the last
character, most often those of long texts, others have a typo, and the rest are right. A
policy trained on them to the end of a decaying learning rate has the whole mechanism of
reversal with the demonstrators' habits on top. That is the start reinforcement learning is
good at: it removes errors from a policy that contains the skill. It hardly teaches a skill
that is missing; `examples/` has that experiment, too.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch.nn import functional

from trainer_client.train.config import Config, SftConfig
from trainer_client.train.data import Prompt, Texts, read_jsonl, shuffled
from trainer_client.train.optimizer import adamw, for_scratch, learning_rate, take_step
from trainer_client.train.packing import completion_logits, plain
from trainer_client.train.policy import Policy

MAX_GRAD_NORM = 1.0

POOL = 16
"""Batches drawn together and sorted by length, so that little padding is computed."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What to write when asked; `packing` sees it as a group of one completion."""

    prompt_ids: list[int]
    completion_ids: list[list[int]]


def fine_tune(policy: Policy, config: Config, on_step: Callable[[int, float, int], None]) -> None:
    """Trains `policy` in place.

    Args:
        on_step: called after each step with its number from 1, its loss in nats a token, and
            how many completion tokens it trained on. May raise to stop.
    """
    settings = config.sft
    weights = policy.model.parameters()
    optimizers = [adamw(weights)] if config.policy.name else for_scratch(policy.model)
    batches = demonstrations(policy, config)
    for step in range(settings.steps):
        layout = plain(next(batches), policy.pad_id)
        logits = completion_logits(policy.model, layout)
        loss = functional.cross_entropy(logits.float(), layout.targets.to(logits.device))
        loss.backward()
        rate = learning_rate(
            step,
            settings.steps,
            peak=settings.learning_rate,
            warmup=settings.warmup_steps,
            decay_from=settings.decay_from,
            final=settings.final_learning_rate,
        )
        take_step(optimizers, rate, MAX_GRAD_NORM)
        on_step(step + 1, loss.item(), len(layout.targets))


# --- demonstrations ---------------------------------------------------------------------


def demonstrations(policy: Policy, config: Config) -> Iterator[list[Demonstration]]:
    """Batches without end."""
    size = config.sft.batch_size
    for number, pool in enumerate(pools(config)):
        pairs = sorted(pool, key=lambda pair: len(pair[0]) + len(pair[1]))
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        random.Random(f"{config.seed}/order/{number}").shuffle(batches)
        for batch in batches:
            yield tokenized(policy, batch)


def tokenized(policy: Policy, pairs: list[tuple[Prompt, str]]) -> list[Demonstration]:
    prompts = policy.encode([prompt for prompt, _ in pairs])
    completions = policy.tokenize([completion for _, completion in pairs])
    return [
        Demonstration(prompt, [[*completion, policy.tokenizer.eos_token_id]])
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def pools(config: Config) -> Iterator[list[tuple[Prompt, str]]]:
    """Prompts and completions without end, some batches at a time."""
    size = config.sft.batch_size * POOL
    if config.data.demonstrations:
        rows = read_jsonl(Path(config.data.demonstrations), {"prompt", "completion"})
        listed = [(row["prompt"], row["completion"]) for row in rows]
        for number in itertools.count():
            yield shuffled(listed, config.seed, number * size, size)
    texts = Texts.of(config)
    for number in itertools.count():
        rng = random.Random(f"{config.seed}/demonstrators/{number}")
        yield [
            (texts.prompt(text), careless_reversal(text, rng, config.sft))
            for text in texts.texts("demonstrations", number, size, config.sft.gibberish)
        ]


def careless_reversal(text: str, rng: random.Random, sft: SftConfig) -> str:
    """`text` reversed by the demo's demonstrators."""
    target = text[::-1]
    careless = sft.careless_long if len(text) >= sft.long_from else sft.careless
    chance = rng.random()
    if chance < careless:
        return target[:-1]
    return with_typo(target, rng) if chance < careless + sft.typos else target


def with_typo(text: str, rng: random.Random) -> str:
    """`text` with one character replaced, swapped, dropped or doubled, or cut short."""
    at = rng.randrange(len(text))
    head, here, tail = text[:at], text[at], text[at + 1 :]
    return rng.choice(
        (
            head + rng.choice("etaoinshrdlu") + tail,
            head + tail[:1] + here + tail[1:],
            head + tail,
            head + here + here + tail,
            head,
        )
    )
