"""What a policy learns where a scorer's failures become zeros, and where they don't.

Three runs from one cold start, that of `clean_early_stop.toml`, which leaves GRPO a lot to
teach. In two of them the scorer fails on 60 % of the completions of 12 characters or more,
as one does that times out on long inputs. The reward is half for being right and half for
every character in its place:

    no failures   every completion is scored
    masked        a failure is an error, as Assay reports it: the completion is left out
    zeros         a failure is a reward of 0, as most reward functions make it

A proxy between trainer and service does the failing, so both are what they always are. It
spares the measurements on held-out texts, which are exact in all three runs.

    python examples/false_zeros/compare.py [--output runs/false_zeros] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from trainer_client.train.cli import prepare_environment

prepare_environment()  # before anything imports torch

import httpx
import matplotlib.pyplot as plt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trainer_client.train.config import load_config
from trainer_client.train.display import Display
from trainer_client.train.run import run
from trainer_client.train.run_folder import RunFolder, read_rows

START = Path(__file__).parents[1] / "clean_early_stop.toml"

SCORER = (
    '{type = "weighted", components = {'
    'right = {scorer = "string_reversal", weight = 0.5}, '
    'close = {scorer = {type = "string_reversal", partial = "position"}, weight = 0.5}}}'
)

FAILING_SHARE = 0.6
LONG = 12
"""Characters from which on a completion may fail to score."""

Failures = Literal["none", "masked", "zeros"]
ARMS: dict[str, Failures] = {"no failures": "none", "masked": "masked", "zeros": "zeros"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("runs/false_zeros"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    results = {}
    with service() as url:
        start = ""
        for arm, failures in ARMS.items():
            print(f"\n{arm}")
            with proxy(url, failures) as failing_url:
                folder = train(failing_url, options.output / failures, options.seed, start)
            start = start or str(folder.start)
            results[arm] = [
                row for row in read_rows(folder.evaluations) if row["split"] == "held_out"
            ]
    plot(results, options.output / "curves.png")
    report(results, options.output / "results.md", options.seed)


def train(url: str, output: Path, seed: int, start: str) -> RunFolder:
    """One run. All but the first begin with the first one's cold start."""
    overrides = [
        f"seed={seed}",
        f"reward.url={url}",
        f"reward.scorer={SCORER}",
        "reward.max_unscored_share=1",
    ]
    if start:
        overrides += [f"policy.name={start}", "sft.when=never"]
    return run(load_config(START, overrides), output, Display())


# --- a scorer that fails ----------------------------------------------------------------


def proxied(url: str, failures: Failures) -> Starlette:
    """An application that passes everything on to `url`, and lets some scores fail."""
    client = httpx.AsyncClient(base_url=url, timeout=60)

    async def pass_on(request: Request) -> Response:
        headers = {"Content-Type": "application/json"}
        reply = await client.request(
            request.method, request.url.path, content=await request.body(), headers=headers
        )
        if request.url.path != "/v1/score" or reply.status_code != 200 or failures == "none":
            kind = reply.headers["Content-Type"]
            return Response(reply.content, reply.status_code, media_type=kind)
        samples, answer = (await request.json())["samples"], reply.json()
        for sample, score in zip(samples, answer["scores"], strict=True):
            if fails(sample):
                score.update(failed(failures))
        return JSONResponse(answer)

    return Starlette(routes=[Route("/{path:path}", pass_on, methods=["GET", "POST"])])


def fails(sample: dict[str, Any]) -> bool:
    """Long completions of training groups, by a throw of the dice that repeats itself."""
    if "group" not in sample or len(sample["completion"]) < LONG:
        return False
    thrown = zlib.crc32(f"{sample['prompt']}/{sample['id']}/{sample['completion']}".encode())
    return thrown % 1000 < FAILING_SHARE * 1000


def failed(failures: Failures) -> dict[str, Any]:
    if failures == "zeros":
        return {"reward": 0.0, "outcome": "incorrect"}
    error = {"code": "internal", "message": "the scorer timed out", "retryable": False}
    return {"reward": None, "outcome": None, "error": error}


@contextlib.contextmanager
def proxy(url: str, failures: Failures) -> Iterator[str]:
    port = free_port()
    config = uvicorn.Config(proxied(url, failures), port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def service() -> Iterator[str]:
    command = [str(Path(sys.executable).with_name("assay")), "serve", "--port", "0"]
    command += ["--log-level", "warning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rpartition(" ")[2].strip()
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- what came of it --------------------------------------------------------------------


def plot(results: dict[str, list[dict[str, Any]]], file: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True, sharey=True)
    for axis, measure in zip(axes, ("greedy", "sampled"), strict=True):
        for arm, rows in results.items():
            axis.plot([row["step"] for row in rows], [row[measure] for row in rows], label=arm)
        axis.set(title=f"held-out exact match, {measure}", xlabel="step", ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def report(results: dict[str, list[dict[str, Any]]], file: Path, seed: int) -> None:
    lines = [
        f"Seed {seed}; held-out exact match before and after.",
        "",
        "| run | greedy before | greedy after | sampled before | sampled after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for arm, rows in results.items():
        first, last = rows[0], rows[-1]
        figures = [first["greedy"], last["greedy"], first["sampled"], last["sampled"]]
        lines.append(f"| {arm} | " + " | ".join(f"{figure:.1%}" for figure in figures) + " |")
    file.write_text("\n".join(lines) + "\n")
    file.with_suffix(".json").write_text(json.dumps(results) + "\n")
    print("\n" + "\n".join(lines) + f"\n\nCurves: {file.with_name('curves.png')}")


if __name__ == "__main__":
    main()
