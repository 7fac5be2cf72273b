"""Finds out, before anything is scored, whether the sandbox holds on this machine.

A layer may be missing (an old kernel, a container's own filter) or present and without
effect; so besides asking which layers there are, the probe runs canaries, which try what
must not be possible, through the same path as every submission.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from verifiers.sandbox.pool import Program, Sandbox, SandboxError

MANDATORY = ("no_new_privs", "rlimits", "landlock", "seccomp")
"""Without one of these nothing is scored, unless a degraded sandbox is allowed."""

CANARIES = Path(__file__).with_name("canaries.py")


async def probe(sandbox: Sandbox) -> tuple[str, ...]:
    """Finds out why the sandbox does not hold here, if so, and notes it in `sandbox.faults`.

    Never raises: a sandbox that cannot even run the canaries is a fault like others.
    """
    sandbox.faults = await faults_of(sandbox)
    return sandbox.faults


async def faults_of(sandbox: Sandbox) -> tuple[str, ...]:
    if sys.platform != "linux":
        return ("programs are only run on Linux",)
    try:
        async with sandbox.session(Program(CANARIES.read_bytes(), inputs=[b""])) as session:
            execution = await session.run([0])
    except SandboxError as error:
        return (str(error),)
    missing = [f"{layer} is missing" for layer in MANDATORY if layer not in sandbox.layers]
    if execution.verdict != "ok":
        return (*missing, f"the canaries end with {execution.verdict}")
    escaped = json.loads(execution.outputs[0])["done"]
    return (*missing, *(f"a program can {deed}" for deed in escaped))
