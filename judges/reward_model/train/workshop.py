"""A base, and the data as its tokens: what training, its card and its report share.

And whether more data would help: held-out accuracy by the share of the training prompts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from judges.reward_model.model.baseline import Baseline
from judges.reward_model.model.card import Card
from judges.reward_model.model.model import last_layer
from judges.reward_model.preferences import DataRefused, Pair, Preferences, split
from judges.reward_model.report import metrics
from judges.reward_model.report.report import Curve, versions
from judges.reward_model.train.bases import SCRATCH, scratch_network
from judges.reward_model.train.loop import Progress, update_count
from judges.reward_model.train.options import Options
from judges.reward_model.train.texts import Texts, encode_pairs, features_of, scores_of
from judges.reward_model.train.train import fit_head, train

WORK = "work"
"""Features and checkpoints, beside the model: what makes a second run quick. May be deleted."""

Step = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a step of so many units; yields what is told of each that is done."""

HEAD_SHARES = tuple(tenth / 10 for tenth in range(1, 11))
WHOLE_SHARES = (0.1, 0.3)
"""Fewer where every layer is trained again for each."""

HEAD_ALONE = "The head, trained again on shares of the prompts."
STAND_IN = (
    "A cheap stand-in: heads on the base as it was before its training. They cost seconds; "
    "training every layer again for each share would take as long as the training itself."
)
WHOLE = "Trained again from random weights on shares of the prompts."

Point = tuple[float, int, float | None]


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


class Workshop:
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
                digest.update(
                    name.encode() + values.cpu().contiguous().view(torch.uint8).numpy().tobytes()
                )
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
        return Card(
            max_length=self.options.max_length,
            truncation=self.options.truncation,
            reference=Baseline.of(rewards.mean(1)),
            base=self.options.base,
            data=tuple(file.as_file() for file in self.parts.files),
            seed=self.options.seed,
            versions=versions(),
        )


# --- more data? -------------------------------------------------------------------------


def learning_curve(work: Workshop, rewards: Tensor) -> Curve:
    """
    Args:
        rewards: of the held-out texts by the model trained on everything: (texts, heads).
    """
    if work.features is None:
        points = [_whole_point(work, share) for share in WHOLE_SHARES]
        return Curve(WHOLE, [*points, (1.0, len(work.trained), _accuracy(work, rewards))])
    how = HEAD_ALONE if work.options.train == "head" else STAND_IN
    with work.step("learning curve", len(HEAD_SHARES)) as done:
        curve = Curve(how)
        for share in HEAD_SHARES:
            curve.points.append(_head_point(work, work.features, share))
            done(1)
    return curve


def _head_point(work: Workshop, features: Tensor, share: float) -> Point:
    pairs, rows, validation = _part(work, share)
    if len(pairs) == len(validation):
        return share, 0, None
    options = work.options.model_copy(update={"train": "head"})
    head, _ = fit_head(features[rows], pairs, validation, options)
    with torch.no_grad():
        rewards = head(features[work.count :])
    return share, len(pairs) - len(validation), _accuracy(work, rewards)


def _whole_point(work: Workshop, share: float) -> Point:
    pairs, rows, validation = _part(work, share)
    count = len(pairs) - len(validation)
    if not count:
        return share, 0, None
    network = work.fresh_network()
    texts = Texts([work.texts.ids[row] for row in rows], work.texts.pad_id)
    with work.step(f"learning curve: {share:.0%}", 1):
        train(network, texts, pairs, validation, work.options)
    held_out = Texts(work.texts.ids[work.count :], work.texts.pad_id)
    rewards = scores_of(network, held_out, work.options.micro_batch_tokens)
    return share, count, _accuracy(work, rewards)


def _part(work: Workshop, share: float) -> tuple[list[Pair], list[int], list[int]]:
    """Some of the training prompts and all of validation: pairs, rows of texts, validation."""
    _, kept = split(work.trained, share, work.options.seed + 2)
    wanted = {id(pair) for pair in kept}
    first = len(work.trained)
    chosen = [i for i, pair in enumerate(work.known) if i >= first or id(pair) in wanted]
    pairs = [work.known[i] for i in chosen]
    rows = [2 * i + side for i in chosen for side in (0, 1)]
    return pairs, rows, list(range(len(kept), len(pairs)))


def _accuracy(work: Workshop, rewards: Tensor) -> float | None:
    mean = rewards.mean(1)
    differences = (mean[0::2] - mean[1::2]).tolist()
    return metrics.accuracy(work.held_out, differences, work.options.seed).value
