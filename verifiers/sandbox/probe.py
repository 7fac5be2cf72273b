"""Finds out, before anything is scored, whether the sandbox holds on this machine.

A layer may be missing (an old kernel, a container's own filter) or present and without
effect; so besides asking which layers there are, the probe runs canaries, which try what
must not be possible, through the same path as every submission.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from verifiers.sandbox.pool import Program, Sandbox, SandboxError

MANDATORY = ("no_new_privs", "rlimits", "landlock", "seccomp")
"""Without one of these nothing is scored, unless a degraded sandbox is allowed."""

CANARIES = Path(__file__).with_name("canaries.py")


@dataclass(frozen=True)
class Findings:
    """What the probe saw. `faults` is empty where the sandbox holds."""

    layers: tuple[str, ...]
    faults: tuple[str, ...]


async def probe(sandbox: Sandbox) -> Findings:
    """Never raises: a sandbox that cannot even run the canaries is a fault like others."""
    if sys.platform != "linux":
        return Findings((), ("programs are only run on Linux",))
    try:
        async with sandbox.session(Program(CANARIES.read_bytes(), inputs=[b""])) as session:
            execution = await session.run([0])
    except SandboxError as error:
        return Findings(sandbox.layers, (str(error),))
    missing = [f"{layer} is missing" for layer in MANDATORY if layer not in sandbox.layers]
    if execution.verdict != "ok":
        return Findings(sandbox.layers, (*missing, f"the canaries end with {execution.verdict}"))
    escaped = json.loads(execution.outputs[0])["done"]
    return Findings(sandbox.layers, (*missing, *(f"a program can {deed}" for deed in escaped)))
