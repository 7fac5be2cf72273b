"""From preference data to a model's folder with its report, and to a report on other data."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor

from judges.reward_model.guards.guards import Guarding
from judges.reward_model.model.load import longest_text
from judges.reward_model.model.model import RewardModel
from judges.reward_model.model.render import Prompt, turns
from judges.reward_model.model.save import save
from judges.reward_model.preferences import (
    DataRefused,
    Pair,
    length_balanced,
    load_preferences,
    refuse_shared_prompts,
    split,
)
from judges.reward_model.report.attacks import run_attacks
from judges.reward_model.report.files import write
from judges.reward_model.report.metrics import longer_wins
from judges.reward_model.report.report import Course, Report, measure, measure_guarded, versions
from judges.reward_model.train.bases import MINILM, deeper_layers, load_base
from judges.reward_model.train.loop import Progress, update_count
from judges.reward_model.train.options import Options
from judges.reward_model.train.texts import encode_pairs, score_texts, scores_of
from judges.reward_model.train.workshop import WORK, Parts, Step, Workshop, learning_curve

FitGuards = Callable[[RewardModel, Sequence[tuple[Prompt, str]]], dict[str, JsonValue] | None]
"""Fits guards to natural completions, for the card; None where there are too few."""


def silent(name: str, units: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda done: None)


def train_model(
    data: Path,
    output: Path,
    options: Options,
    *,
    held_out: Path | None = None,
    drop_faulty: bool = False,
    fit_guards: FitGuards | None = None,
    step: Step = silent,
) -> Report:
    """Trains on `data`, and leaves the model and its report in `output`.

    Raises:
        DataRefused, ModelRefused, TrainingFailed: with a sentence that says what to do.
    """
    started = time.monotonic()
    parts = cut(data, held_out, options, drop_faulty=drop_faulty)
    spoken = (
        text
        for pair in parts.trained
        for text in (*(said for _, said in turns(pair.prompt)), pair.chosen, pair.rejected)
    )
    network, tokenizer = load_base(options.base, spoken, options.seed)
    network.to("cuda" if torch.cuda.is_available() else "cpu")  # type: ignore[arg-type]
    options = options.model_copy(
        update={"max_length": min(options.max_length, longest_text(network, tokenizer))}
    )
    work = Workshop(network, tokenizer, options, parts, output / WORK, step)
    progress = work.train()
    seconds = time.monotonic() - started
    rewards = work.rewards("measuring")
    deeper = deeper_layers().to(network.device) if options.base == MINILM else None
    model = RewardModel(network, tokenizer, work.card(rewards), deeper=deeper)
    natural = [text for pair in work.known for text in pair.texts]
    fitted = fit_guards(model, natural) if fit_guards else None
    model.card = model.card.model_copy(update={"guards": fitted})
    model = save(model, output)
    work.checkpoint.unlink(missing_ok=True)
    report = report_of(work, model, progress, seconds, rewards)
    write(report, output)
    return report


def cut(data: Path, held_out: Path | None, options: Options, *, drop_faulty: bool) -> Parts:
    """Reads the data and cuts it into training, validation and held-out pairs."""
    first = load_preferences(data, drop_faulty=drop_faulty)
    files = [first]
    if held_out is None:
        known, tested = split(first.pairs, options.held_out, options.seed)
    else:
        files.append(load_preferences(held_out, drop_faulty=drop_faulty))
        known, tested = first.pairs, files[1].pairs
        refuse_shared_prompts(known, tested)
    trained, validation = split(known, options.validation, options.seed + 1)
    prefers_longer = longer_wins(trained)
    dropped = sum((file.dropped for file in files), Counter[str]())
    if options.length_balance:
        balanced = length_balanced(trained, options.seed)
        dropped["left out to balance lengths"] = len(trained) - len(balanced)
        trained = balanced
    for name, part in {"to train on": trained, "to report on": tested}.items():
        if not part:
            raise DataRefused(
                f"no pairs are left {name}: {first.name} has {len(first.pairs)} pairs of "
                f"{len({pair.group for pair in first.pairs})} prompts; bring more prompts, "
                "or change --held-out-share"
            )
    return Parts(tuple(files), trained, validation, tested, dropped, prefers_longer)


# --- reports ----------------------------------------------------------------------------


def report_of(
    work: Workshop, model: RewardModel, progress: Progress, seconds: float, rewards: Tensor
) -> Report:
    """
    Args:
        rewards: of the held-out texts: (texts, heads).
    """
    sides = {"train": work.trained, "validation": work.validation, "held out": work.held_out}
    looks = [
        (update, learned, None if math.isnan(seen) else seen)
        for update, learned, seen in progress.looks
    ]
    most = update_count(len(work.trained), work.options)
    return Report(
        model=model.digest,
        options=work.options.model_dump(),
        files=[file.model_dump() for file in model.card.data],
        pairs={name: len(pairs) for name, pairs in sides.items()},
        prompts={name: len({p.group for p in pairs}) for name, pairs in sides.items()},
        left_out=dict(work.left_out),
        course=Course(progress.update, most, progress.best_update, seconds, looks),
        curve=learning_curve(work, rewards),
        versions=model.card.versions,
        **measured(model, work.held_out, rewards, work.options, work.parts.prefers_longer),
    )


def evaluate_model(model: RewardModel, data: Path, *, drop_faulty: bool = False) -> Report:
    """Measures a trained model on other preference pairs, all of them held out.

    Length alone is here told the better direction on these very pairs, which only flatters it.

    Raises:
        DataRefused, GuardsRefused: with a sentence that says what to do.
    """
    preferences = load_preferences(data, drop_faulty=drop_faulty)
    card = model.card
    options = Options(max_length=card.max_length, truncation=card.truncation)
    pairs, texts, counts = encode_pairs(
        preferences.pairs, model.tokenizer, options.max_length, options.truncation
    )
    if not pairs:
        raise DataRefused(f"no pair of {data.name} fits into the model's {card.max_length} tokens")
    rewards = scores_of(model.network, texts, options.micro_batch_tokens)
    return Report(
        model=model.digest,
        options={"base": card.base, "max_length": card.max_length, "heads": model.heads},
        files=[preferences.as_file().model_dump()],
        pairs={"held out": len(pairs)},
        prompts={"held out": len({pair.group for pair in pairs})},
        left_out=dict(preferences.dropped + counts),
        course=None,
        curve=None,
        versions=versions(),
        **measured(model, pairs, rewards, options, longer_wins(pairs)),
    )


def measured(
    model: RewardModel,
    pairs: Sequence[Pair],
    rewards: Tensor,
    options: Options,
    prefers_longer: bool,
) -> dict[str, Any]:
    """What the report says of held-out pairs, with the model's guards and without."""
    seed, guarding = options.seed, Guarding.of(model)
    score = partial(score_texts, model.network, model.tokenizer, options)
    return {
        "held_out": measure(pairs, rewards, prefers_longer=prefers_longer, seed=seed),
        "attacks": run_attacks(pairs, score, guarding.left if guarding else None, seed=seed),
        "guarded": measure_guarded(pairs, rewards, guarding, seed=seed),
    }
