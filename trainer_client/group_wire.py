"""What goes over the wire for groups and how it is read. No I/O here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import NoneType
from typing import Any, Literal

import httpx

from trainer_client.errors import InvalidRequest, ProtocolError
from trainer_client.types import GroupScores, GroupStatistics, MajorityAnswer, Score
from trainer_client.wire import (
    Batch,
    document_in,
    encoded,
    error_of,
    ids_of,
    member,
    scores_of,
    slices,
)

Select = Literal["best", "shortest_correct", "majority"]

NUMBERS = tuple(field.name for field in fields(GroupStatistics) if field.name != "pass_at_k")


def group_batches(
    groups: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    run: str | None,
    *,
    batch_size: int,
) -> list[Batch]:
    """The groups as batches, in order and never cut. One without an id gets its index as one.

    Raises:
        InvalidRequest: a value is not JSON, an id is no string or used twice, or a group has
            no list of completions.
    """
    head = encoded({**options, **({"run": run} if run else {})}, "the request")[:-1]
    ids = ids_of(groups, "group")
    items, counts = [], []
    for name, group in zip(ids, groups, strict=True):
        completions = group.get("completions")
        if not isinstance(completions, list | tuple):
            raise InvalidRequest(f"group {name!r} has no list of completions")
        items.append(encoded({**group, "id": name}, f"group {name!r}"))
        counts.append(len(completions))
    deadline_s = float(options["deadline_s"])
    return [
        Batch(head, ids[part], tuple(items[part]), deadline_s, "groups", tuple(counts[part]))
        for part in slices([len(item) for item in items], counts, batch_size)
    ]


def groups_in(response: httpx.Response, batch: Batch) -> list[GroupScores]:
    """The groups of a 200 reply to a batch.

    Raises:
        ProtocolError: they break the contract in any way.
    """
    items = member(document_in(response), "groups", list)
    if len(items) != len(batch.ids):
        raise ProtocolError(f"{len(items)} groups came back for {len(batch.ids)}")
    sent = zip(items, batch.ids, batch.counts, strict=True)
    return [group_of(item, name, count) for item, name, count in sent]


def group_of(item: Any, name: str, count: int) -> GroupScores:
    try:
        if member(item, "id", str) != name:
            raise ProtocolError(f"group {item['id']!r} came in its place")
        names = [f"{name}/{index}" for index in range(count)]
        scores = scores_of(member(item, "scores", list), names)
        majority = member(item, "majority", dict, NoneType)
        return GroupScores(
            id=name,
            scores=scores,
            advantages=advantages_of(member(item, "advantages", list), scores),
            selected=place(item, "selected", scores),
            majority=None if majority is None else majority_of(majority, scores),
            comparison_error=error_of(member(item, "comparison_error", dict, NoneType)),
            statistics=statistics_of(member(item, "statistics", dict)),
        )
    except (ProtocolError, ValueError, OverflowError) as error:
        raise ProtocolError(f"group {name!r} is unusable: {error}") from error


def advantages_of(items: Sequence[Any], scores: Sequence[Score]) -> list[float | None]:
    """Finite numbers, and None exactly where there is no reward."""
    if [item is None for item in items] != [score.reward is None for score in scores]:
        raise ProtocolError("the advantages do not fit the scores")
    return [number({"advantage": item}, "advantage") for item in items]


def majority_of(item: Mapping[str, Any], scores: Sequence[Score]) -> MajorityAnswer:
    index, share = place(item, "index", scores), number(item, "share")
    if index is None or share is None:
        raise ProtocolError("the majority lacks a member")
    return MajorityAnswer(member(item, "answer", str), member(item, "votes", int), index, share)


def statistics_of(item: Mapping[str, Any]) -> GroupStatistics:
    passes = member(item, "pass_at_k", dict)
    return GroupStatistics(
        pass_at_k={int(k): number(passes, k) for k in passes},
        **{name: number(item, name) for name in NUMBERS},  # type: ignore[arg-type]
    )


def place(item: Mapping[str, Any], name: str, scores: Sequence[Score]) -> int | None:
    index: int | None = member(item, name, int, NoneType)
    if index is not None and not 0 <= index < len(scores):
        raise ProtocolError(f"{name} is {index} in a group of {len(scores)}")
    return index


def number(item: Mapping[str, Any], name: str) -> float | None:
    value: float | None = member(item, name, int, float, NoneType)
    if value is not None and not math.isfinite(value):
        raise ProtocolError(f"{name} is not finite")
    return value
