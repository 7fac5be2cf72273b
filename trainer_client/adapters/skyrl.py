"""SkyRL-Gym: a single-turn environment whose reward comes from the service.

    register(id="assay", entry_point=environment(RemoteScorer("http://127.0.0.1:8000", "math")))

Rows need `reward_spec.ground_truth`, as those of SkyRL's own environments do. What could not
be scored raises `Unscored`.
"""

from __future__ import annotations

from typing import Any

from trainer_client.adapters.remote import RemoteScorer


def environment(remote: RemoteScorer) -> type[Any]:
    """A `BaseTextEnv` for `skyrl_gym.register`."""
    from skyrl_gym.envs.base_text_env import (  # type: ignore[import-not-found, unused-ignore]
        BaseTextEnv,
        BaseTextEnvStepOutput,
    )

    class RewardedOnce(BaseTextEnv):  # type: ignore[misc, unused-ignore]
        """One answer, one reward."""

        def __init__(self, env_config: Any = None, extras: Any = None) -> None:
            super().__init__()
            self.reference = (extras or {})["reward_spec"]["ground_truth"]
            self.prompt: Any = None

        def init(self, prompt: Any) -> tuple[Any, dict[str, Any]]:
            self.prompt = prompt
            return prompt, {}

        def step(self, action: str) -> Any:
            sample = {"prompt": self.prompt, "completion": action, "reference": self.reference}
            [score] = remote.score([sample])
            return BaseTextEnvStepOutput(
                observations=[],
                reward=score.reward_or_raise(),
                done=True,
                metadata={"outcome": score.outcome, **score.components},
            )

    return RewardedOnce
