"""The client of the Assay reward service, and a trainer that uses it.

The client needs httpx and nothing else:

    client.py, async_client.py   the two clients: a thread around an event loop, and its core
    wire.py, group_wire.py       what is sent, and what of a reply is believed; no I/O
    types.py, errors.py          what they give, and what they raise
    adapters/                    rewards in the dialect of each trainer, a module a framework

`train/` is the trainer, and all of this distribution that needs torch; nothing above imports it.
"""

from trainer_client.async_client import AsyncRewardClient, ClientOptions
from trainer_client.client import RewardClient
from trainer_client.errors import (
    ClientClosed,
    Fault,
    InvalidRequest,
    ProtocolError,
    RequestRefused,
    RewardClientError,
    ServiceUnreachable,
    Unscored,
)
from trainer_client.types import (
    GroupScores,
    GroupStatistics,
    MajorityAnswer,
    MonitorVerdict,
    Outage,
    Retry,
    Score,
    ScoreError,
    ScorerIdentity,
)

__all__ = [
    "AsyncRewardClient",
    "ClientClosed",
    "ClientOptions",
    "Fault",
    "GroupScores",
    "GroupStatistics",
    "InvalidRequest",
    "MajorityAnswer",
    "MonitorVerdict",
    "Outage",
    "ProtocolError",
    "RequestRefused",
    "Retry",
    "RewardClient",
    "RewardClientError",
    "Score",
    "ScoreError",
    "ScorerIdentity",
    "ServiceUnreachable",
    "Unscored",
]
