"""The whole loop on one machine: a service of its own, a cold start, GRPO, the figures."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from trainer_client.train.config import Config
from trainer_client.train.display import Display
from trainer_client.train.report import HELD_OUT, by_split, percent
from trainer_client.train.run import run
from trainer_client.train.run_folder import RunFolder, read_rows

READY = "Assay is ready at "

START_TIMEOUT_S = 60.0

STOP_TIMEOUT_S = 10.0


class NoService(Exception):
    """The demo could not start a reward service."""


def demo(config: Config, output: Path, display: Display, *, resume: bool = False) -> str:
    """Trains against a service that lives as long as the demo. Returns the figures as text.

    Raises:
        NoService: it is not installed beside the trainer, or does not start.
        See `run.run` for the rest.
    """
    started = time.perf_counter()
    with service(display) as url:
        config = config.model_copy(update={"reward": config.reward.model_copy(update={"url": url})})
        folder = run(config, output, display, resume=resume)
    return figures(folder, time.perf_counter() - started)


@contextlib.contextmanager
def service(display: Display) -> Iterator[str]:
    """A reward service on a free port of this machine: its address. Always stopped.

    Also where this process is killed: its end of the pipe closes then, and so the service ends.
    """
    program = Path(sys.executable).with_name("assay")
    if not program.exists():
        raise NoService(
            f"there is no {program.name} beside {sys.executable}: install the service there "
            "(`make demo` does), or run `assay-trainer grpo` against one that runs elsewhere"
        )
    options = ("--port", "0", "--log-level", "warning", "--until-stdin-closes")
    process = subprocess.Popen(
        [str(program), "serve", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = address(process)
        display.say(f"The reward service runs at {url} (pid {process.pid})")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def address(process: subprocess.Popen[str]) -> str:
    """What the service prints once it is ready."""
    assert process.stdout is not None
    late = threading.Timer(START_TIMEOUT_S, process.kill)  # ends the wait below
    late.start()
    line = process.stdout.readline()
    late.cancel()
    if not line.startswith(READY):
        raise NoService("the reward service does not start; what it says is above")
    return line.removeprefix(READY).strip()


def figures(folder: RunFolder, seconds: float) -> str:
    """What came of the run, for people to read."""
    splits = by_split(read_rows(folder.evaluations))
    lines = ["", f"{'split':10} {'texts':>6} {'greedy':>18} {'sampled':>18}"]
    for split, rows in splits.items():
        first, last = rows[0], rows[-1]
        cells = [
            f"{percent(first[name]):>7} -> {percent(last[name]):>7}"
            for name in ("greedy", "sampled")
        ]
        lines.append(f"{split:10} {last['problems']:6} {cells[0]:>18} {cells[1]:>18}")
    lines += [
        "",
        f"Held-out exact match went from {percent(splits[HELD_OUT][0]['greedy'])} to "
        f"{percent(splits[HELD_OUT][-1]['greedy'])} (greedy), on rewards served over HTTP, "
        f"in {seconds:.0f} s.",
        f"Report: {folder.report}",
        f"Curves: {folder.curves}",
        f"Policy: {folder.policy} (AutoModelForCausalLM.from_pretrained loads it)",
        "What this shows, and what it does not, is in the report.",
    ]
    return "\n".join(lines)
