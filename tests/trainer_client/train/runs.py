"""Whole runs of the trainer that take seconds, and what they are compared by."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from click.testing import Result
from typer.testing import CliRunner

from tests.trainer_client.scripted_server import Act, Received, ScriptedServer, hang, send

STEPS = 8

CHECKPOINT_EVERY = 2

EVALUATE_EVERY = 3

SETTINGS = (
    "threads=1",
    "policy.hidden_size=16",
    "policy.layers=1",
    "policy.heads=2",
    "policy.kv_heads=2",
    "policy.head_dim=8",
    "policy.mlp_size=16",
    "data.shortest=2",
    "data.longest=6",
    "data.held_out_size=8",
    # Part of the reward for part of the answer: policies this small are never quite right,
    # and a run without spread would equal any other.
    'reward.scorer={type = "string_reversal", partial = "edit"}',
    "sft.steps=3",
    f"grpo.steps={STEPS}",
    "grpo.prompts_per_step=4",
    "grpo.group_size=4",
    "grpo.max_new_tokens=8",
    f"grpo.checkpoint_every={CHECKPOINT_EVERY}",
    f"evaluation.every={EVALUATE_EVERY}",
    "evaluation.samples=2",
    "evaluation.max_new_tokens=8",
)


def options(*settings: str) -> list[str]:
    """The command-line options of a tiny run with these settings on top."""
    return [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]


def trainer(*arguments: str) -> subprocess.Popen[str]:
    """`assay-trainer` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "trainer_client.train.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assay_trainer(*arguments: str) -> Result:
    """The same in this process, which has loaded torch already."""
    from trainer_client.train.cli import app

    return CliRunner().invoke(app, arguments)


# --- what a run left --------------------------------------------------------------------


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Every row of a file of JSON lines, without the times, which are never the same twice."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def weights(policy: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(policy / "model.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    left, right = weights(first), weights(second)
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


def assert_same_run(folder: Path, other: Path) -> None:
    """Number for number: no step lost, none made twice, the same policy in the end."""
    for name in ("metrics.jsonl", "evaluations.jsonl", "samples.jsonl"):
        assert rows_of(folder / name) == rows_of(other / name), name
    assert same_weights(folder / "policy", other / "policy")


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


# --- services in front of the real one --------------------------------------------------


def forward(url: str, change: Callable[[list[dict[str, Any]]], Any] | None = None) -> Act:
    """Hands a request on to the service at `url`, and may change the scores on their way."""

    async def act(request: Received, writer: asyncio.StreamWriter) -> None:
        headers = {"content-type": "application/json"}
        reply = await asyncio.to_thread(
            httpx.post, url + request.path, content=request.body, headers=headers, trust_env=False
        )
        document = reply.json()
        if change is not None and "scores" in document:
            document["scores"] = change(document["scores"])
        await send(writer, reply.status_code, json.dumps(document).encode())

    return act


def is_training(request: Received) -> bool:
    """Whether it asks for rewards of a training step, not for a measurement."""
    return "group" in request.document.get("samples", [{}])[0]


class Gate:
    """Lets a run get through `steps` steps, then does something else.

    So a run is caught in the middle of a step, however fast or slow the machine is.
    """

    def __init__(self, url: str, steps: int, then: Act = hang) -> None:
        self._forward, self._then = forward(url), then
        self._left = steps
        self.reached = threading.Event()

    def __call__(self, request: Received) -> Act:
        if not is_training(request):
            return self._forward
        self._left -= 1
        if self._left >= 0:
            return self._forward
        self.reached.set()
        return self._then


def vanish(server: ScriptedServer) -> Act:
    """The service ends in the middle of a request, and nobody listens on its port."""

    async def act(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        server.stop_soon()

    return act
