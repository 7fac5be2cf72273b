"""Lays tokens out for a forward pass, with or without repeating the prompts.

`packed` makes one row of a group: its prompt once, then its completions one after another.
A mask hides the completions from each other and positions restart behind the prompt, so
every token is computed from what it would have seen alone. `plain` makes one row of a
completion. Both give the same log-probabilities and gradients up to rounding; `packed`
does not compute a prompt once for each of its completions.

Completion tokens come out as one flat list in the same order from both, so nothing else
knows how the rows were laid out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel


class Group(Protocol):
    """A prompt and some completions of it, as token ids."""

    @property
    def prompt_ids(self) -> list[int]: ...

    @property
    def completion_ids(self) -> list[list[int]]: ...


G = TypeVar("G", bound=Group)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the model reads, and where it predicts each completion token."""

    input_ids: Tensor  # (rows, length)
    position_ids: Tensor  # (rows, length)
    mask: Tensor | None  # (rows, 1, length, length), true where seen; None: all earlier ones
    predictors: Tensor  # (tokens,) places in the flattened rows which predict ...
    targets: Tensor  # (tokens,) ... these completion tokens


def plain(groups: Sequence[Group], pad_id: int) -> Layout:
    """One row a completion: its prompt, then itself."""
    pairs = [(group.prompt_ids, ids) for group in groups for ids in group.completion_ids]
    length = max(len(prompt) + len(ids) for prompt, ids in pairs)
    rows, predictors, targets = [], list[int](), list[int]()
    for index, (prompt, ids) in enumerate(pairs):
        last = index * length + len(prompt) - 1
        predictors += range(last, last + len(ids))
        targets += ids
        rows.append(padded(prompt + ids, length, pad_id))
    positions = torch.arange(length).expand(len(rows), -1)
    return Layout(
        torch.tensor(rows), positions, None, torch.tensor(predictors), torch.tensor(targets)
    )


def packed(groups: Sequence[Group], pad_id: int) -> Layout:
    """One row a group: its prompt, then its completions."""
    length = max(row_length(group) for group in groups)
    rows, positions, segments, predictors, targets = [], [], [], [], []
    for index, group in enumerate(groups):
        width = len(group.prompt_ids)
        row, position, segment = list(group.prompt_ids), list(range(width)), [0] * width
        for number, ids in enumerate(group.completion_ids, start=1):
            first = index * length + len(row)
            predictors += [index * length + width - 1, *range(first, first + len(ids) - 1)]
            targets += ids
            row += ids
            position += range(width, width + len(ids))
            segment += [number] * len(ids)
        rows.append(padded(row, length, pad_id))
        positions.append(padded(position, length, 0))
        segments.append(padded(segment, length, -1))
    return Layout(
        torch.tensor(rows),
        torch.tensor(positions),
        seen(torch.tensor(segments)),
        torch.tensor(predictors),
        torch.tensor(targets),
    )


def padded(values: list[int], length: int, filler: int) -> list[int]:
    return values + [filler] * (length - len(values))


def row_length(group: Group) -> int:
    """The length of a group's packed row."""
    return len(group.prompt_ids) + sum(map(len, group.completion_ids))


def seen(segments: Tensor) -> Tensor:
    """Who sees whom: earlier tokens of the prompt (segment 0) and of the own segment."""
    own = segments[:, :, None] == segments[:, None, :]
    prompt = (segments == 0)[:, None, :]
    return (own | prompt).tril()[:, None]


def micro_batches(groups: Sequence[G], tokens: int) -> Iterator[list[G]]:
    """Groups of like lengths together, about `tokens` tokens at a time."""
    batch: list[G] = []
    for group in sorted(groups, key=row_length):
        if batch and (len(batch) + 1) * row_length(group) > tokens:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def completion_logits(model: PreTrainedModel, layout: Layout) -> Tensor:
    """The logits that predict each completion token, (tokens, vocabulary)."""
    device = model.device
    logits: Tensor = model(
        input_ids=layout.input_ids.to(device),
        position_ids=layout.position_ids.to(device),
        attention_mask=None if layout.mask is None else layout.mask.to(device),
        use_cache=False,
    ).logits
    return logits.flatten(0, 1)[layout.predictors.to(device)]


def log_probs_of(logits: Tensor, targets: Tensor) -> Tensor:
    """The log-probability of each target, (tokens,)."""
    targets = targets.to(logits.device)
    return logits.float().log_softmax(-1).gather(-1, targets[:, None]).squeeze(-1)
