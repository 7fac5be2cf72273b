"""A NeMo-RL environment whose rewards come from the service. Needs a NeMo-RL checkout.

In a run it is a Ray actor: `ray.remote(environment(remote)).remote()`.
Start the service first: `assay serve`.
"""

from __future__ import annotations

import os

from trainer_client.adapters.nemo_rl import environment
from trainer_client.adapters.remote import RemoteScorer

LOGS = [
    [{"role": "user", "content": "Reverse abc"}, {"role": "assistant", "content": reply}]
    for reply in ("cba", "abc", "cba")
]
METADATA = [{"ground_truth": reference} for reference in ("abc", "abc", None)]


def main() -> None:
    remote = RemoteScorer(os.environ.get("ASSAY_URL", "http://127.0.0.1:8000"), "string_reversal")
    step = environment(remote)().step(LOGS, METADATA)
    for reward, told in zip(step.rewards.tolist(), step.metadata, strict=True):
        print(reward, told["valid"], told["outcome"])


if __name__ == "__main__":
    main()
