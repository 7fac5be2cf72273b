"""The scoring step of an Atropos environment, and what it sends to the rollout server.

Start the service first: `assay serve`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from trainer_client.adapters.atropos import scored_group
from trainer_client.adapters.remote import RemoteScorer

COMPLETIONS = ["cba", "abc", "bca"]
TOKENS = [list(map(ord, text)) for text in COMPLETIONS]


def group(reference: str | None) -> dict[str, Any] | None:
    remote = RemoteScorer(os.environ.get("ASSAY_URL", "http://127.0.0.1:8000"), "string_reversal")
    return asyncio.run(scored_group(remote, COMPLETIONS, TOKENS, TOKENS, reference=reference))


def main() -> None:
    scored = group("abc")
    print(scored and scored["scores"])
    print(group(None))


if __name__ == "__main__":
    main()
