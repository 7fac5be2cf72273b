"""Supervised fine-tuning: the cold start that gives reinforcement learning something to amplify.

The loss is the cross-entropy of completion tokens; prompts are context.

The demo's demonstrators are careless on purpose; `tasks/reversal.py` says how. A policy
trained on them to the end of a decaying learning rate has the whole mechanism of reversal
with the demonstrators' habits on top. That is the start reinforcement learning is good at: it
removes errors from a policy that contains the skill. It hardly teaches a skill that is
missing; `examples/` has that experiment, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch.nn import functional

from trainer_client.train.config import Config
from trainer_client.train.optimizer import adamw, for_scratch, learning_rate, take_step
from trainer_client.train.packing import completion_logits, plain
from trainer_client.train.policy import Policy
from trainer_client.train.tasks import demonstrations_of

MAX_GRAD_NORM = 1.0

POOL = 16
"""Batches drawn together and sorted by length, so that little padding is computed."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A demonstration as token ids; `packing` sees it as a group of one completion."""

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
        rate = learning_rate(step, settings, settings.decay_from)
        take_step(optimizers, rate, MAX_GRAD_NORM)
        on_step(step + 1, loss.item(), len(layout.targets))


# --- demonstrations ---------------------------------------------------------------------


def demonstrations(policy: Policy, config: Config) -> Iterator[list[Tokenized]]:
    """Batches without end."""
    size = config.sft.batch_size
    for number, pool in enumerate(demonstrations_of(config, size * POOL)):
        pairs = sorted(pool, key=lambda pair: len(pair[0]) + len(pair[1]))
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        random.Random(f"{config.seed}/order/{number}").shuffle(batches)
        for batch in batches:
            prompts = policy.encode([prompt for prompt, _ in batch])
            completions = policy.tokenize([completion for _, completion in batch])
            yield [
                Tokenized(prompt, [[*completion, policy.tokenizer.eos_token_id]])
                for prompt, completion in zip(prompts, completions, strict=True)
            ]
