"""From preference data to a model's folder with its report."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import JsonValue
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from judges.reward_model.guards.outside_service import Guarding
from judges.reward_model.model.model import (
    Card,
    DataFile,
    Reference,
    RewardModel,
    last_layer,
    longest_text,
    save,
)
from judges.reward_model.model.render import Prompt
from judges.reward_model.report.attacks import run_attacks
from judges.reward_model.report.metrics import longer_wins
from judges.reward_model.report.report import (
    Course,
    Report,
    measure,
    measure_guarded,
    versions,
    write,
)
from judges.reward_model.train.bases import (
    MINILM,
    SCRATCH,
    deeper_layers,
    load_base,
    scratch_network,
)
from judges.reward_model.train.data import (
    DataRefused,
    Pair,
    Preferences,
    length_balanced,
    load_preferences,
    refuse_shared_prompts,
    split,
)
from judges.reward_model.train.learning_curve import learning_curve
from judges.reward_model.train.loop import Progress, update_count
from judges.reward_model.train.options import Options
from judges.reward_model.train.texts import Texts, encode_pairs, features_of, score_texts, scores_of
from judges.reward_model.train.train import train

WORK = "work"
"""Features and checkpoints, beside the model: what makes a second run quick. May be deleted."""

Step = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a step of so many units; yields what is told of each that is done."""

FitGuards = Callable[[RewardModel, Sequence[tuple[Prompt, str]]], dict[str, JsonValue] | None]
"""Fits guards to natural completions, for the card; None where there are too few."""


def silent(name: str, units: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda done: None)


@dataclass(frozen=True)
class Parts:
    """The data, cut by prompt."""

    files: tuple[Preferences, ...]
    trained: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    dropped: Counter[str]
    prefers_longer: bool
    """What length alone would have learned, before any balancing."""


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
    spoken = (text for pair in parts.trained for text in spoken_in(pair))
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
    report = work.report(model, progress, seconds, rewards)
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


def spoken_in(pair: Pair) -> list[str]:
    """All text of a pair, for a tokenizer to be built from."""
    prompt = pair.prompt
    said = [prompt or ""] if prompt is None or isinstance(prompt, str) else [m.text for m in prompt]
    return [*said, pair.chosen, pair.rejected]


class Workshop:
    """A base, and the data as its tokens: what training and the report share."""

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        options: Options,
        parts: Parts,
        folder: Path,
        step: Step,
    ) -> None:
        self.network, self.tokenizer, self.options = network, tokenizer, options
        self.parts, self.folder, self.step = parts, folder, step
        self.checkpoint = folder / "checkpoint.pt"
        self.left_out = parts.dropped.copy()
        self.trained, trained = self._encoded(parts.trained)
        self.validation, validation = self._encoded(parts.validation)
        self.held_out, held_out = self._encoded(parts.held_out)
        if not self.trained or not self.held_out:
            raise DataRefused(
                f"hardly a completion fits into {options.max_length} tokens; raise --max-length"
            )
        self.known = (*self.trained, *self.validation)
        self.texts = Texts([*trained.ids, *validation.ids, *held_out.ids], trained.pad_id)
        self.count = 2 * len(self.known)
        """Texts before the held-out ones."""
        self.features = self._features() if options.base != SCRATCH else None

    def _encoded(self, pairs: Sequence[Pair]) -> tuple[tuple[Pair, ...], Texts]:
        options = self.options
        kept, texts, counts = encode_pairs(
            pairs, self.tokenizer, options.max_length, options.truncation
        )
        self.left_out += counts
        return kept, texts

    def _features(self) -> Tensor:
        """What the untrained base makes of every text: (texts, hidden). Kept on disk."""
        digest = hashlib.sha256(repr(self.texts).encode())
        head, _ = last_layer(self.network)
        for name, values in self.network.state_dict().items():
            if not name.startswith(head + "."):
                digest.update(name.encode() + bytes_of(values))
        path = self.folder / f"features-{digest.hexdigest()[:16]}.safetensors"
        if path.exists():
            return load_file(path)["features"]
        with self.step("reading", len(self.texts)) as done:
            features = features_of(self.network, self.texts, self.options.micro_batch_tokens, done)
        self.folder.mkdir(parents=True, exist_ok=True)
        save_file({"features": features}, path)
        return features

    def fresh_network(self) -> PreTrainedModel:
        """The base `scratch` once more, before any training."""
        torch.manual_seed(self.options.seed)
        return scratch_network(self.tokenizer)

    # --- training -----------------------------------------------------------------------

    def train(self) -> Progress:
        known = Texts(self.texts.ids[: self.count], self.texts.pad_id)
        validation = range(len(self.trained), len(self.known))
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.step("training", update_count(len(self.trained), self.options)) as done:
            return train(
                self.network,
                known,
                self.known,
                validation,
                self.options,
                features=None if self.features is None else self.features[: self.count],
                checkpoint=self.checkpoint if self.options.train == "all" else None,
                watch=lambda update, most, loss: done(1),
            )

    def rewards(self, name: str) -> Tensor:
        """Of the held-out texts: (texts, heads)."""
        held_out = Texts(self.texts.ids[self.count :], self.texts.pad_id)
        with self.step(name, len(held_out)) as done:
            return scores_of(self.network, held_out, self.options.micro_batch_tokens, done)

    def card(self, rewards: Tensor) -> Card:
        files = (
            DataFile(name=file.name, sha256=file.sha256, pairs=len(file.pairs))
            for file in self.parts.files
        )
        return Card(
            max_length=self.options.max_length,
            truncation=self.options.truncation,
            reference=Reference.of(rewards.mean(1)),
            base=self.options.base,
            data=tuple(files),
            seed=self.options.seed,
            versions=versions(),
        )

    # --- the report ---------------------------------------------------------------------

    def report(
        self,
        model: RewardModel,
        progress: Progress,
        seconds: float,
        rewards: Tensor,
    ) -> Report:
        guarding = Guarding.of(model)
        sides = {"train": self.trained, "validation": self.validation, "held out": self.held_out}
        return Report(
            model=model.digest,
            options=self.options.model_dump(),
            files=[file.model_dump() for file in model.card.data],
            pairs={name: len(pairs) for name, pairs in sides.items()},
            prompts={name: len({p.group for p in pairs}) for name, pairs in sides.items()},
            left_out=dict(self.left_out),
            course=course_of(progress, update_count(len(self.trained), self.options), seconds),
            held_out=measure(
                self.held_out,
                rewards,
                prefers_longer=self.parts.prefers_longer,
                seed=self.options.seed,
            ),
            curve=learning_curve(self, rewards),
            attacks=run_attacks(
                self.held_out,
                self.score,
                guarding.left if guarding else None,
                seed=self.options.seed,
            ),
            guarded=measure_guarded(self.held_out, rewards, guarding, seed=self.options.seed),
            versions=model.card.versions,
        )

    def score(self, texts: Sequence[tuple[Prompt, str]]) -> list[float | None]:
        """The mean rewards of any texts; None where one is too long."""
        return score_texts(self.network, self.tokenizer, self.options, texts)


def bytes_of(values: Tensor) -> bytes:
    return values.cpu().contiguous().view(torch.uint8).numpy().tobytes()


def course_of(progress: Progress, most: int, seconds: float) -> Course:
    looks = [
        (update, learned, None if math.isnan(seen) else seen)
        for update, learned, seen in progress.looks
    ]
    return Course(progress.update, most, progress.best_update, seconds, looks)
