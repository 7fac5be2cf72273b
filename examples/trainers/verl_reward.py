"""verl's naive reward manager with the service behind its custom reward function.

In a run the same is configuration:

    reward.custom_reward_function.path=…/trainer_client/adapters/verl.py
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.url=http://127.0.0.1:8000

Start the service first: `assay serve`.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial

import numpy as np
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from trainer_client.adapters.verl import compute_score

ROWS = [("cba", "abc"), ("abc", "abc"), ("cba", None)]


class Characters:
    """All of a tokenizer that the manager uses: a code point a token."""

    def decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> str:
        return "".join(map(chr, ids.tolist()))


def row(completion: str, reference: str | None) -> DataProto:
    ids = torch.tensor([list(map(ord, completion))])
    return DataProto.from_dict(
        tensors={"responses": ids, "attention_mask": torch.ones_like(ids)},
        non_tensors={
            "data_source": np.array(["string_reversal"], dtype=object),
            "reward_model": np.array([{"ground_truth": reference}], dtype=object),
            "extra_info": np.array([{}], dtype=object),
        },
    )


async def rewards(url: str) -> list[dict[str, object]]:
    manager = NaiveRewardManager(
        OmegaConf.create({}), Characters(), partial(compute_score, url=url)
    )
    return [await manager.run_single(row(*each)) for each in ROWS]


def main() -> None:
    for reward in asyncio.run(rewards(os.environ.get("ASSAY_URL", "http://127.0.0.1:8000"))):
        print(reward["reward_score"], reward["reward_extra_info"])


if __name__ == "__main__":
    main()
