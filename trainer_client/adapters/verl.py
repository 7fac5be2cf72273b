"""verl: a custom reward function, named in a run's configuration.

    reward.custom_reward_function:
      path: pkg://trainer_client.adapters.verl
      name: compute_score
      reward_kwargs: {url: "http://127.0.0.1:8000", scorer: {type: math}, parts: []}

verl takes the extra keys of the first sample for those of all, so they never vary: `valid` is
0.0 where nothing could be scored, and the reward is then 0.0, which verl has no way to leave
out. Watch `valid`, and filter on it where you can.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from trainer_client.adapters.logs import components
from trainer_client.adapters.remote import RemoteScorer
from trainer_client.wire import Spec


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    url: str,
    scorer: Spec | None = None,
    prompt: str = "question",
    parts: Sequence[str] = (),
    api_key: str | None = None,
    **_: Any,
) -> dict[str, float]:
    """The score of one completion.

    Args:
        scorer: by default the service's preset with the name of the data source.
        prompt: the member of `extra_info` that holds it, for judges; verl itself does not say.
        parts: components of a composite scorer to report.
    """
    spec = data_source if scorer is None else scorer
    remote = RemoteScorer(url, plain(spec), api_key=api_key)
    asked = (extra_info or {}).get(prompt)
    sample = {"prompt": asked, "completion": solution_str, "reference": ground_truth}
    [score] = await remote.score_async([sample])
    return {
        "score": 0.0 if score.reward is None else score.reward,
        "acc": float(score.outcome == "correct"),
        "valid": float(score.scored),
        **components(score, parts),
    }


def plain(spec: Any) -> Spec:
    """A spec from OmegaConf as JSON has it."""
    if isinstance(spec, str):
        return spec
    if not isinstance(spec, dict):
        from omegaconf import OmegaConf  # type: ignore[import-not-found, unused-ignore]

        spec = OmegaConf.to_container(spec)
    return dict(json.loads(json.dumps(spec)))
