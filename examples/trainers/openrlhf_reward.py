"""OpenRLHF: `--reward.remote_url examples/trainers/openrlhf_reward.py`.

Start the service first: `assay serve`.
"""

from __future__ import annotations

import os

from trainer_client.adapters.openrlhf import reward_function
from trainer_client.adapters.remote import RemoteScorer

URL = os.environ.get("ASSAY_URL", "http://127.0.0.1:8000")

reward_func = reward_function(RemoteScorer(URL, "string_reversal"))


def main() -> None:
    prompt = "<|user|>Reverse abc<|assistant|>"
    queries = [prompt + "cba<|end|>", prompt + "abc<|end|>", prompt + "cba<|end|>"]
    found = reward_func(queries, [prompt] * 3, ["abc", "abc", None])
    print(found["rewards"].tolist(), found["extra_logs"]["valid"].tolist())


if __name__ == "__main__":
    main()
