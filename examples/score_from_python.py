"""Scores a group of completions from Python, and handles what could not be scored.

Start the service first: `assay serve`.
"""

from __future__ import annotations

import os

from trainer_client import RewardClient

SAMPLES = [
    {"id": "p0/0", "group": "p0", "completion": "dlroW ,olleH", "reference": "Hello, World"},
    {"id": "p0/1", "group": "p0", "completion": "Hello, World", "reference": "Hello, World"},
    {"id": "p0/2", "group": "p0", "completion": "dlroW ,olleH"},  # no reference: unscorable
]


def main() -> None:
    with RewardClient(os.environ.get("ASSAY_URL", "http://127.0.0.1:8000")) as client:
        for score in client.score(SAMPLES, scorer="string_reversal"):
            if score.error is not None:
                print(f"{score.id}: could not be scored ({score.error.code})")
            else:
                print(f"{score.id}: {score.reward} ({score.outcome})")


if __name__ == "__main__":
    main()
