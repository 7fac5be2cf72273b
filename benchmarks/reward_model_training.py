"""What the reward model's training reaches: on people's preferences, and on an exact truth.

Five folds of the public harmless test set of hh-rlhf, cut by opening, with the packaged
encoder: the head alone on frozen features, and every layer trained. And a synthetic task with
an exact truth, learned by a transformer from scratch with a tokenizer of its own.

Every accuracy stands beside that of a model that sees length alone, whose direction is learned
from the same training folds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from judges.reward_model.bases import load_base
from judges.reward_model.data import Pair, fold_of, split
from judges.reward_model.metrics import Accuracy, accuracy, by_length, longer_wins
from judges.reward_model.options import Options
from judges.reward_model.texts import Texts, encode_pairs, features_of, scores_of
from judges.reward_model.train import fit_head, train

HARMLESS = Path("preferences/hh_harmless_test.jsonl.gz")
FOLDS = 5

FROZEN = Options(base="minilm", train="head")
FINE_TUNED = Options(base="minilm", train="all", precision="bf16")


@dataclass
class Tested:
    """The pairs of all folds, each judged by the model that was not trained on it."""

    pairs: list[Pair]
    differences: list[float]
    by_length: list[float]


def folds_of(pairs: Sequence[Pair], only: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Indices to train on and to test on."""
    for fold in only:
        apart = [fold_of(pair, FOLDS) == fold for pair in pairs]
        yield (
            [index for index, out in enumerate(apart) if not out],
            [index for index, out in enumerate(apart) if out],
        )


def part_of(texts: Texts, indices: Sequence[int]) -> Texts:
    return Texts([texts.ids[2 * i + side] for i in indices for side in (0, 1)], texts.pad_id)


def validation_of(pairs: Sequence[Pair], options: Options) -> list[int]:
    _, apart = split(pairs, options.validation, options.seed)
    chosen = {id(pair) for pair in apart}
    return [index for index, pair in enumerate(pairs) if id(pair) in chosen]


def frozen(pairs: Sequence[Pair], options: Options, only: Sequence[int]) -> Tested:
    network, tokenizer = load_base(options.base, [], options.seed)
    kept, texts, _ = encode_pairs(pairs, tokenizer, options.max_length, options.truncation)
    features = features_of(network, texts, options.micro_batch_tokens)
    tested = Tested([], [], [])
    for trained, held_out in folds_of(kept, only):
        mine = [kept[i] for i in trained]
        rows = [2 * i + side for i in trained for side in (0, 1)]
        head, _ = fit_head(features[rows], mine, validation_of(mine, options), options)
        with torch.no_grad():
            rewards = head(features).mean(1)
        add(tested, kept, mine, held_out, (rewards[0::2] - rewards[1::2])[held_out].tolist())
    return tested


def fine_tuned(pairs: Sequence[Pair], options: Options, only: Sequence[int]) -> Tested:
    tested = Tested([], [], [])
    for fold in only:
        network, tokenizer = load_base(options.base, [], options.seed)
        kept, texts, _ = encode_pairs(pairs, tokenizer, options.max_length, options.truncation)
        [(trained, held_out)] = folds_of(kept, [fold])
        mine = [kept[i] for i in trained]
        started = time.process_time()
        progress = train(
            network, part_of(texts, trained), mine, validation_of(mine, options), options
        )
        rewards = scores_of(network, part_of(texts, held_out), options.micro_batch_tokens).mean(1)
        differences = (rewards[0::2] - rewards[1::2]).tolist()
        add(tested, kept, mine, held_out, differences)
        now = accuracy([kept[i] for i in held_out], differences)
        print(
            f"fold {fold}: {shown(now)}, {progress.update} updates, best {progress.best_update}, "
            f"{time.process_time() - started:.0f} s of CPU",
            flush=True,
        )
    return tested


def add(
    tested: Tested,
    pairs: Sequence[Pair],
    trained: Sequence[Pair],
    held_out: Sequence[int],
    differences: Sequence[float],
) -> None:
    mine = [pairs[i] for i in held_out]
    tested.pairs += mine
    tested.differences += differences
    tested.by_length += by_length(mine, longer=longer_wins(trained))


def shown(measured: Accuracy) -> str:
    if measured.value is None:
        return "no pairs"
    return f"{measured.value:.1%} [{measured.low:.1%}, {measured.high:.1%}]"
