"""What slime's remote reward model does, written down: slime itself is not on PyPI.

It posts each sample by itself, takes the JSON body of the reply for the reward, and tries
anything else again; a reward that is None stops the run at an assertion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp


async def remote_rm(url: str, sample: Mapping[str, Any], *, tries: int, key: str = "") -> Any:
    """The reward of a sample: the body, or with `--reward-key` its member.

    Raises:
        ClientResponseError: the last try got an error status, too.
    """
    payload = {name: sample[name] for name in ("prompt", "response", "label")}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        for left in reversed(range(tries)):
            try:
                async with session.post(url, json=payload) as reply:
                    reply.raise_for_status()
                    body = await reply.json()
                break
            except aiohttp.ClientError:
                if not left:
                    raise
                await asyncio.sleep(0.01)  # there, 2^n seconds
    reward = body[key] if key else body
    assert reward is not None
    return reward
