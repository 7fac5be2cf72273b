"""The client of the Assay reward service, and a GRPO trainer that uses it.

Importing this loads httpx and nothing else; the trainer's modules are imported by name.
"""

from trainer_client.async_client import AsyncRewardClient
from trainer_client.client import RewardClient
from trainer_client.errors import (
    ClientClosed,
    InvalidRequest,
    ProtocolError,
    RequestRefused,
    RewardClientError,
    ServiceUnreachable,
    Unscored,
)
from trainer_client.types import (
    Fault,
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
