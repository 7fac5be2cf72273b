"""A task of verifiers (and so of prime-rl) whose reward comes from the service.

Start the service first: `assay serve`.
"""

from __future__ import annotations

import asyncio
import os

import verifiers.v1 as vf
from verifiers.v1.configs.agent import AgentConfig

from trainer_client.adapters.remote import RemoteScorer
from trainer_client.adapters.verifiers import reward

URL = os.environ.get("ASSAY_URL", "http://127.0.0.1:8000")


class ReverseData(vf.TaskData):
    answer: str | None = None


class Reverse(vf.Task[ReverseData, vf.State]):
    assay = reward(RemoteScorer(URL, "string_reversal"))


def trace_of(task: Reverse, reply: str) -> vf.Trace:
    """What a rollout that ended in `reply` leaves behind."""
    nodes = [
        vf.MessageNode(message=vf.UserMessage(content=task.data.prompt_text)),
        vf.MessageNode(message=vf.AssistantMessage(content=reply), parent=0, sampled=True),
    ]
    seed = vf.TraceTask(type=type(task).__name__, data=task.data)
    return vf.Trace(task=seed, agent=vf.AgentInfo(config=AgentConfig()), nodes=nodes)


async def scored(reply: str, answer: str | None) -> vf.Trace:
    """The trace with its reward.

    Raises:
        TaskError: it could not be scored. A rollout stores that on its trace.
    """
    task = Reverse(ReverseData(prompt="Reverse abc", answer=answer))
    trace = trace_of(task, reply)
    await task.score(trace)
    return trace


def main() -> None:
    for reply in ("cba", "abc"):
        trace = asyncio.run(scored(reply, "abc"))
        print(reply, {name: given.value for name, given in trace.rewards.items()})
    try:
        asyncio.run(scored("cba", None))
    except vf.TaskError as error:
        print("cba", error)


if __name__ == "__main__":
    main()
