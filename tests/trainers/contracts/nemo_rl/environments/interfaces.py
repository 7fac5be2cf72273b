"""What NeMo-RL's environment interface demands, as read from its repository (Apache-2.0).

Every member is batched. `rewards` and `terminateds` are tensors of one number a row; metadata
is what an environment keeps of each row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch


class EnvironmentReturn(NamedTuple):
    observations: list[dict[str, str]]
    metadata: list[Any]
    next_stop_strings: list[Any]
    rewards: torch.Tensor
    terminateds: torch.Tensor
    answers: list[str | None] | None = None


class EnvironmentInterface(ABC):
    @abstractmethod
    def step(self, message_log_batch: list[Any], metadata: list[Any]) -> EnvironmentReturn: ...

    @abstractmethod
    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, Any]]: ...
