"""Builds the image and tries it as a container engine confines it: `make test-container`.

Run with no privileges at all as the image's own user, and as root with those that the engine
leaves it; both times its root file system cannot be written. Hostile programs must fare as they
do elsewhere, honest ones be accepted, and SIGTERM end the service within its time.

ENGINE is docker or podman, BUILD_FLAGS and RUN_FLAGS are more of its flags. Where it reaches no
registry, any root file system with a `python` can be imported as python:3.12-slim beforehand.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.verifiers.code_execution.programs import CASES, CHECK, STDIO, Listed, listed, sample
from tests.verifiers.code_execution.test_attacks import (
    AFTER_A_DEED,
    PRINTING,
    SCORER,
    SPECIAL,
)

ROOT = Path(__file__).parent.parent
IMAGE = "assay-under-test"
KEY = "under-test"
READY_S = 60
STOP_S = 30

PLACES = {
    "as its own user": ["--read-only", "--cap-drop", "all"],
    "as root": ["--read-only", "--user", "0", "--tmpfs", "/tmp"],
}


def main() -> None:
    engine = os.environ.get("ENGINE") or shutil.which("docker") or shutil.which("podman")
    if engine is None:
        print("skipped: there is neither docker nor podman")
        return
    command = shlex.split(engine)
    run([*command, "build", *flags("BUILD_FLAGS"), "--tag", IMAGE, str(ROOT)])
    faults = [
        f"{place}: {fault}"
        for place, given in PLACES.items()
        for fault in faults_in(command, [*flags("RUN_FLAGS"), *given])
    ]
    sys.exit("\n".join(faults) or None)


def flags(variable: str) -> list[str]:
    return shlex.split(os.environ.get(variable, ""))


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def faults_in(engine: list[str], given: list[str]) -> Iterator[str]:
    """What goes wrong in one container."""
    with container(engine, given) as (name, client):
        if client.get("/readyz").status_code != 200:
            yield f"not ready: {client.get('/readyz').text}"
        yield from wrong_verdicts(client)
        yield from healthcheck_faults([*engine, "exec", name], client.base_url.port or 0)
        started = time.monotonic()
        run([*engine, "stop", "--time", str(STOP_S), name])
        if time.monotonic() - started > STOP_S / 2:
            yield "it does not end on SIGTERM"
        if (status := run([*engine, "inspect", "--format", "{{.State.ExitCode}}", name])) != "0":
            yield f"it ends with status {status}"


@contextlib.contextmanager
def container(engine: list[str], given: list[str]) -> Iterator[tuple[str, httpx.Client]]:
    """The service in a container that shares this machine's network, ready or given up."""
    port = free_port()
    served = ["serve", "--host", "127.0.0.1", "--port", str(port)]
    settings = ["--network", "host", "--env", f"ASSAY_API_KEYS={KEY}"]
    name = run([*engine, "run", "--detach", *settings, *given, IMAGE, *served])
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as it:
            wait_for(it)
            yield name, it
    finally:
        run([*engine, "rm", "--force", name])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            client.get("/healthz")
            return
        time.sleep(0.2)
    raise TimeoutError("the service does not answer")


def wrong_verdicts(client: httpx.Client) -> Iterator[str]:
    """Programs that do not fare as the collections say."""
    for program in listed("deeds"):
        source = program.source + AFTER_A_DEED + PRINTING
        yield from unless(client, program, source, STDIO, {None})
    for program in (*listed("harms"), *listed("forged_outputs")):
        source = program.source.replace(*SPECIAL.get(program.name, ("", "")))
        yield from unless(client, program, source, STDIO, {program.outcome})
    for reference in (CASES, CHECK):
        for program in listed("forged_functions"):
            yield from unless(client, program, program.source, reference, {None})
        for program in honest("honest_functions"):
            yield from unless(client, program, program.source, reference, {"correct"})
    for program in honest("honest_programs"):
        yield from unless(client, program, program.source, STDIO, {"correct"})


def honest(collection: str) -> list[Listed]:
    """Those that need nothing that the image lacks."""
    return [program for program in listed(collection) if "numpy" not in program.source]


def unless(
    client: httpx.Client,
    program: Listed,
    source: str,
    reference: dict[str, object],
    outcomes: set[str | None],
) -> Iterator[str]:
    """Nothing, where the program has one of `outcomes`; None is any but acceptance."""
    limits = {} if outcomes == {"correct"} else SCORER
    body = {"scorer": {"type": "code", **limits}, "samples": [sample(source, reference)]}
    (result,) = client.post("/v1/score", json=body).json()["scores"]
    found = result["outcome"]
    fits = found in outcomes or (None in outcomes and found != "correct")
    if result["error"] is not None or not fits:
        yield f"{program.name}: {found}, {result['error']}"


def healthcheck_faults(execute: list[str], port: int) -> Iterator[str]:
    """The Dockerfile's own command, at the port in use."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = re.search(r"^HEALTHCHECK .*?CMD (\[.+?\])$", dockerfile, re.M | re.S)
    assert command is not None
    words = json.loads(command[1].replace(":8000/", f":{port}/"))
    if subprocess.run([*execute, *words]).returncode:
        yield "its health check fails"


if __name__ == "__main__":
    main()
