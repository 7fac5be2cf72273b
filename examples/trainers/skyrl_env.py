"""A SkyRL-Gym environment whose reward comes from the service.

Start the service first: `assay serve`.
"""

from __future__ import annotations

import os

import skyrl_gym
from skyrl_gym.envs.registration import register

from trainer_client import Unscored
from trainer_client.adapters.remote import RemoteScorer
from trainer_client.adapters.skyrl import environment

PROMPT = [{"role": "user", "content": "Reverse abc"}]


def main() -> None:
    remote = RemoteScorer(os.environ.get("ASSAY_URL", "http://127.0.0.1:8000"), "string_reversal")
    register(id="assay", entry_point=environment(remote))
    for action, reference in (("cba", "abc"), ("abc", "abc"), ("cba", None)):
        env = skyrl_gym.make("assay", extras={"reward_spec": {"ground_truth": reference}})
        env.init(PROMPT)
        try:
            step = env.step(action)
            print(action, step["reward"], step["done"])
        except Unscored as error:
            print(action, error)


if __name__ == "__main__":
    main()
