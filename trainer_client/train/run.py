"""A whole run: the cold start, reinforcement learning, the report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from trainer_client.client import RewardClient
from trainer_client.train import checkpoint
from trainer_client.train import policy as policies
from trainer_client.train.config import Config, ConfigError, save_config
from trainer_client.train.display import Display
from trainer_client.train.loop import Session, measure_on, train
from trainer_client.train.monitoring import best_policy
from trainer_client.train.policy import Policy
from trainer_client.train.report import write_report
from trainer_client.train.run_folder import RunFolder
from trainer_client.train.sft import fine_tune
from trainer_client.train.stopping import OverOptimised, StopSignals
from trainer_client.train.tasks import problems_of
from trainer_client.types import MonitorVerdict

API_KEY = "ASSAY_API_KEY"
"""The environment variable that holds the service's key, if it wants one."""

WATCHED_S = 0.3
"""How long the machine is watched for idle cores."""

TINY = 2
"""More threads than this do not make a model of a million parameters faster."""

PROC_STAT = Path("/proc/stat")


def run(config: Config, output: Path, display: Display, *, resume: bool = False) -> RunFolder:
    """Trains as `config` says and writes everything into `output`.

    Raises:
        ConfigError: the folder holds another run, or there is nothing to resume.
        Stopped, TooManyUnscored, RewardClientError: see `loop.train`.
        OverOptimised: see there. The policy is then that of about where gold was best.
    """
    folder = RunFolder(output)
    last = opened(folder, resume)
    state = None if last is None else checkpoint.load_state(last)
    set_threads(config, display, None if state is None else state.threads)
    problems_of(config)  # what is missing is told before the minutes of a cold start
    save_config(config, folder.config)
    with ready_service(config, display) as client, StopSignals() as signals:
        if not folder.start.exists():
            start = starting_policy(config, display, signals, folder)
            with checkpoint.whole_or_absent(folder.start) as partial:
                start.save(partial)
        policy = policies.load(last or folder.start, device_of(config))
        reference = policies.load(folder.start, device_of(config))
        session = Session(config, policy, reference, folder, client, display, signals)
        try:
            train(session, state)
        except OverOptimised as stopped:
            finish(folder, best_measured(session, stopped.verdict))
            raise
    finish(folder, policy)
    return folder


def best_measured(session: Session, verdict: MonitorVerdict) -> Policy:
    """The policy of the checkpoint that is nearest to where gold was best."""
    saved = checkpoint.nearest(session.folder.checkpoints, best_policy(verdict))
    policy = policies.load(saved, device_of(session.config))
    session.display.say(f"the policy of {saved.name}, about where gold was best:")
    splits = problems_of(session.config).splits()
    measure_on(replace(session, policy=policy), splits, checkpoint.step_of(saved))
    return policy


def finish(folder: RunFolder, policy: Policy) -> None:
    policy.save(folder.policy)
    folder.close()
    write_report(folder)


def opened(folder: RunFolder, resume: bool) -> Path | None:
    """Makes or enters the run's folder. Returns the checkpoint to go on from, if any."""
    if resume and not folder.config.exists():
        raise ConfigError(f"{folder.path} holds no run to resume")
    if not resume and folder.config.exists():
        raise ConfigError(f"{folder.path} already holds a run: --resume it, or name another folder")
    folder.path.mkdir(parents=True, exist_ok=True)
    saved = checkpoint.all_of(folder.checkpoints)
    return saved[-1] if saved else None


@contextmanager
def ready_service(config: Config, display: Display) -> Iterator[RewardClient]:
    """A client of the service, once that is ready. Until then Ctrl-C ends the program at once."""
    try:
        client = RewardClient(
            config.reward.url,
            api_key=os.environ.get(API_KEY),
            max_outage_s=config.reward.max_outage_s,
            on_outage=display.outage,
        )
    except ValueError as error:
        raise ConfigError(f"reward.url: {error}") from None
    with client:
        client.wait_until_ready()
        yield client


def device_of(config: Config) -> str:
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def starting_policy(
    config: Config, display: Display, signals: StopSignals, folder: RunFolder | None = None
) -> Policy:
    """The policy that reinforcement learning starts from, after its cold start if it has one."""
    device = device_of(config)
    if config.policy.name:
        policy = policies.load(config.policy.name, device)
    else:
        policy = policies.from_scratch(config.policy, config.seed)
        model: Any = policy.model
        model.to(device)
    if config.cold_start:
        warm_up(policy, config, display, signals, folder)
    return policy


def warm_up(
    policy: Policy,
    config: Config,
    display: Display,
    signals: StopSignals,
    folder: RunFolder | None,
) -> None:
    """Fine-tunes on demonstrations, under a progress bar."""
    began = time.perf_counter()
    seen = 0
    with display.bar("Cold start", config.sft.steps) as bar:

        def on_step(step: int, loss: float, tokens: int) -> None:
            nonlocal seen
            seen += tokens
            speed = seen / (time.perf_counter() - began)
            bar.update(step, f"loss {loss:.3f}  {speed:,.0f} tokens/s")
            signals.check()

        fine_tune(policy, config, on_step)
    seconds = time.perf_counter() - began
    display.say(f"cold start: {config.sft.steps} steps in {seconds:.1f} s")
    if folder is not None:
        facts = {"steps": config.sft.steps, "tokens": seen, "seconds": seconds}
        folder.cold_start.write_text(json.dumps(facts))


# --- threads ----------------------------------------------------------------------------
#
# Small models gain from a second core when it is free. When it is not, two threads that wait
# for each other at the end of every operation are slower than one, by up to ten times where
# the waiting is done by spinning.


def set_threads(config: Config, display: Display, before: int | None = None) -> None:
    """Settles torch's threads and says so. `before` is what a resumed run had."""
    transformers_logging.disable_progress_bar()
    if config.threads != "auto":
        threads = config.threads
    else:
        threads = before or choose_threads(None if config.policy.name else TINY)
    torch.set_num_threads(threads)
    display.say(f"{threads} thread{'s' if threads > 1 else ''} of torch")
    if before is not None and threads != before:
        display.say(
            f"The run had {before} until now: sums are rounded otherwise from here on, so its "
            "numbers will not be those of an uninterrupted run."
        )


def choose_threads(most: int | None = None) -> int:
    """As many as there are idle cores, and at least one; at most `most`."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    idle = round(idle_cores()) if PROC_STAT.exists() else round(cores - os.getloadavg()[0])
    return max(1, min(cores, idle, most or cores))


def idle_cores() -> float:
    """How many cores had nothing to do just now.

    The load average is no good here: it lags by a minute, and a run often starts right
    after an installation that kept every core busy.
    """
    before, since = idle_ticks(), time.monotonic()
    time.sleep(WATCHED_S)
    return (idle_ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - since)


def idle_ticks() -> int:
    """Clock ticks that all cores together spent idle or waiting for a disk."""
    times = PROC_STAT.read_text().split("\n", 1)[0].split()[1:]
    return int(times[3]) + int(times[4])
