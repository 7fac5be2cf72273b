"""OpenRLHF: `--reward.remote_url FILE.py`, a file of yours that says

    reward_func = reward_function(RemoteScorer("http://127.0.0.1:8000", "math"))

OpenRLHF cannot hold a missing reward: an exception here is swallowed and ends the run later,
far from its cause. What could not be scored is 0.0 with `valid` 0.0 in the extra logs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trainer_client.adapters.logs import components
from trainer_client.adapters.remote import RemoteScorer
from trainer_client.adapters.texts import SPECIAL_TOKENS, after_prompt
from trainer_client.types import Score


def reward_function(
    remote: RemoteScorer,
    *,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    parts: Sequence[str] = (),
) -> Callable[..., dict[str, Any]]:
    """A `reward_func(queries, prompts, labels)`.

    Args:
        special_tokens: taken off the end of completions.
        parts: components of a composite scorer to log.
    """

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any
    ) -> dict[str, Any]:
        import torch

        texts = map(lambda q, p: after_prompt(q, p, special_tokens), queries, prompts)
        rows = zip(prompts, texts, labels, strict=True)
        known = [
            {"id": str(index), "prompt": prompt, "completion": text, "reference": label}
            for index, (prompt, text, label) in enumerate(rows)
            if text is not None
        ]
        found = {score.id: score for score in remote.score(known)} if known else {}
        logs = [log_of(found.get(str(index)), parts) for index in range(len(queries))]
        rewards = torch.tensor([log.pop("reward") for log in logs])
        extra = {name: torch.tensor([log[name] for log in logs]) for name in logs[0]}
        return {"rewards": rewards, "scores": rewards, "extra_logs": extra}

    return reward_func


def log_of(score: Score | None, parts: Sequence[str]) -> dict[str, float]:
    """What is told of one completion, under the same names for every one."""
    return {
        "reward": (score and score.reward) or 0.0,
        "valid": float(score is not None and score.scored),
        "correct": float(score is not None and score.outcome == "correct"),
        **components(score, parts),
    }
