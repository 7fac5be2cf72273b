"""Whether more data would help: held-out accuracy by the share of the training prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from judges.reward_model.report import metrics
from judges.reward_model.report.report import Curve
from judges.reward_model.train.data import Pair, split
from judges.reward_model.train.texts import Texts, scores_of
from judges.reward_model.train.train import fit_head, train

if TYPE_CHECKING:
    from judges.reward_model.train.pipeline import Workshop

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
