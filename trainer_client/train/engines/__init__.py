"""How completions are written, a file an engine.

An engine takes (model, prompts, sampling, generator) and hands out whole groups as they end.

| engine    | models                                                                      |
| cached    | Qwen2 and Qwen3: `decoder.py` reads a prompt once for its whole group         |
| generated | any other causal language model, by `generate` of transformers              |

Both sample from the plain distribution at the temperature, whatever habits a model brings
along, and say the log-probability of every token that they chose: the update is made from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedModel

from trainer_client.train.engines.cached import cached
from trainer_client.train.engines.decoder import supports
from trainer_client.train.engines.generated import generated
from trainer_client.train.engines.sampling import Completion, Sampling


def sample(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    generator: torch.Generator,
) -> Iterator[list[Completion]]:
    """`group_size` completions of every prompt, in whole groups, as they end."""
    engine = cached if supports(model) else generated
    groups = max(1, sampling.batch_size // sampling.group_size)
    for first in range(0, len(prompts), groups):
        for ended in engine(model, prompts[first : first + groups], sampling, generator):
            yield [replace(completion, prompt=first + completion.prompt) for completion in ended]
