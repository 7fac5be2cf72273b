"""Where rewards come from: what every adapter is given."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from trainer_client.client import RewardClient
from trainer_client.types import GroupScores, Score
from trainer_client.wire import Spec

KEY_VARIABLE = "ASSAY_API_KEY"
"""Where the key is looked for, so that it need not stand in a trainer's configuration."""


@dataclass(frozen=True)
class RemoteScorer:
    """A scorer of a service. It can be pickled: each process connects for itself.

    Args:
        url: where the service is.
        scorer: a name, or `{"type": NAME, **parameters}`.
        run: the training run that asks: the service counts what its judges spend for it.
        max_outage_s: how long an unreachable service is waited for.
    """

    url: str
    scorer: Spec
    run: str | None = None
    max_outage_s: float = 300.0
    api_key: str | None = field(default=None, repr=False)

    @property
    def client(self) -> RewardClient:
        key = self.api_key or os.environ.get(KEY_VARIABLE)
        return connection(os.getpid(), self.url, key, self.max_outage_s)

    def score(self, samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        return self.client.score(samples, self.scorer, run=self.run)

    async def score_async(self, samples: Sequence[Mapping[str, Any]]) -> list[Score]:
        future = self.client.submit(samples, self.scorer, run=self.run)
        return await asyncio.wrap_future(future)

    def groups(self, groups: Sequence[Mapping[str, Any]], **options: Any) -> list[GroupScores]:
        return self.client.groups(groups, self.scorer, run=self.run, **options)


@lru_cache(maxsize=64)
def connection(process: int, url: str, api_key: str | None, max_outage_s: float) -> RewardClient:
    """One client a process and service, closed when the process ends."""
    client = RewardClient(url, api_key=api_key, max_outage_s=max_outage_s)
    atexit.register(client.close)
    return client
