"""NeMo-RL: a single-turn environment whose rewards come from the service.

    env = ray.remote(environment(RemoteScorer("http://127.0.0.1:8000", "math"))).remote()

NeMo-RL has no slot for what could not be scored: its reward is 0.0, and `valid` in its
metadata is false. The metrics tell the share, so that a run can be stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer_client.adapters.remote import RemoteScorer
from trainer_client.adapters.texts import last_reply


def environment(remote: RemoteScorer, *, reference: str = "ground_truth") -> type[Any]:
    """An `EnvironmentInterface` to make a Ray actor of.

    Args:
        reference: the member of a row's metadata that holds what is right.
    """
    import torch
    from nemo_rl.environments.interfaces import (  # type: ignore[import-not-found, unused-ignore]
        EnvironmentInterface,
        EnvironmentReturn,
    )

    class Rewarded(EnvironmentInterface):  # type: ignore[misc, unused-ignore]
        def step(self, message_log_batch: Sequence[Any], metadata: Sequence[Any]) -> Any:
            rows = zip(message_log_batch, metadata, strict=True)
            scores = remote.score([sample(log, row[reference]) for log, row in rows])
            told = [
                {**row, "valid": score.scored, "outcome": score.outcome}
                for row, score in zip(metadata, scores, strict=True)
            ]
            return EnvironmentReturn(
                observations=[{"role": "environment", "content": ""} for _ in scores],
                metadata=told,
                next_stop_strings=[None] * len(scores),
                rewards=torch.tensor([score.reward or 0.0 for score in scores]),
                terminateds=torch.ones(len(scores), dtype=torch.bool),
                answers=[score.answer for score in scores],
            )

        def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
            valid = [row["valid"] for row in batch.get("extra_env_info", ()) if row]
            return batch, {"unscored": 1 - sum(valid) / len(valid)} if valid else {}

    return Rewarded


def sample(log: Sequence[Any], reference: Any) -> dict[str, Any]:
    """The last thing that the policy wrote, and what it was asked."""
    at = last_reply(log)
    before = log if at is None else log[:at]
    return {
        "prompt": [{"role": message["role"], "content": message["content"]} for message in before],
        "completion": "" if at is None else log[at]["content"],
        "reference": reference,
    }
