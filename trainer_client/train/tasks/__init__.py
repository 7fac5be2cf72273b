"""What the policy is asked and shown, a file a task.

| task     | problems                  | chosen by                 | demonstrations by             |
| reversal | generated texts           | default                   | default                       |
| jsonl    | {"prompt", "reference"}   | `data.train`, `.held_out` | `data.demonstrations`         |

Nothing here keeps a cursor. The problems of a step are a function of the seed and the step
alone, so a resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from trainer_client.train.config import Config
from trainer_client.train.tasks import jsonl, reversal
from trainer_client.train.tasks.problem import Demonstration, Problems


def problems_of(config: Config) -> Problems:
    """What `config` says to train on.

    Raises:
        ConfigError: a file cannot be read, or a held-out prompt is also trained on.
    """
    return jsonl.Listed.of(config) if config.data.train else reversal.Texts.of(config)


def demonstrations_of(config: Config, size: int) -> Iterator[list[Demonstration]]:
    """What `config` says to imitate, `size` demonstrations at a time, without end.

    Raises:
        ConfigError: the file cannot be read.
    """
    listed = config.data.demonstrations
    return (jsonl.demonstrations if listed else reversal.demonstrations)(config, size)
