"""Atropos: the scoring step of an environment, as one call to `POST /v1/groups`.

    group = await scored_group(remote, completions, tokens, masks, reference=row["answer"])
    return group, []          # from collect_trajectories; Atropos skips a group that is None

Atropos carries scores and has no slot for a missing one: what could not be scored is left out
of the group, tokens and all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from trainer_client.adapters.remote import RemoteScorer

LEAST = 2
"""One completion alone is compared with nothing."""


async def scored_group(
    remote: RemoteScorer,
    completions: Sequence[str],
    tokens: Sequence[list[int]],
    masks: Sequence[list[int]],
    *,
    prompt: Any = None,
    reference: Any = None,
) -> dict[str, Any] | None:
    """A `ScoredDataGroup` of those that were scored, or None where fewer than two were.

    Args:
        tokens, masks: of each completion, as Atropos wants them.
    """
    group = {"prompt": prompt, "reference": reference, "completions": list(completions)}
    [found] = await asyncio.to_thread(remote.groups, [group])
    kept = [index for index, score in enumerate(found.scores) if score.scored]
    if len(kept) < LEAST:
        return None
    return {
        "tokens": [tokens[index] for index in kept],
        "masks": [masks[index] for index in kept],
        "scores": [found.scores[index].reward_or_raise() for index in kept],
    }
