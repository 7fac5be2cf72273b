"""Short GRPO runs against a served reward model that has a planted length bias, or none.

A completion is letters. Gold, an exact verifier, pays for up to six of the letter a and fines
what is longer than 28 characters. One reward model learns from the preferences of
someone who counts the same letters and otherwise prefers what is longer; another from those
of gold. A tiny policy that writes short random letters is trained on either, over HTTP, by the
bundled trainer, whose watch has gold score some completions of each step.

The true peak is that of gold over the KL for many completions of the policy of every step,
drawn anew: none of them was seen by the watch.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import random
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.processes import assay_service
from benchmarks.results import Row
from benchmarks.results import write as write_results
from judges.over_optimisation import Observation, turnover
from judges.reward_model.guards.guards import GuardName
from judges.reward_model.train.commands import quieten
from judges.reward_model.train.options import Options
from judges.reward_model.train.pipeline import train_model
from trainer_client import RewardClient
from trainer_client.train import checkpoint
from trainer_client.train.config import Config, load_config
from trainer_client.train.display import Display
from trainer_client.train.engines import sample
from trainer_client.train.engines.sampling import Sampling, generator_for
from trainer_client.train.loop import read_with_reference
from trainer_client.train.policy import Policy, load
from trainer_client.train.rollouts import Group, Rollout, divergence
from trainer_client.train.run import run, starting_policy
from trainer_client.train.run_folder import RunFolder, read_rows
from trainer_client.train.stopping import OverOptimised, StopSignals
from trainer_client.train.tasks import problems_of

SEEDS = 10
NEEDED = 9
WITHIN = 0.10

LETTERS = "abcdefgh"
ENOUGH = 6
"""Of the letter a: more earn nothing."""
LONG_FROM, TOO_LONG = 28, 36
"""Characters from which gold falls, and at which it has lost all that it pays."""
MOST_LETTERS = 20
PLANTED = {"biased": 0.35, "unbiased": None}
"""What `LONG_FROM` characters add for those who like it long; letters a add 1 at most."""

PAIRS, DEMONSTRATIONS, PROMPTS = 3_000, 4_000, 2_000

GOLD: dict[str, Any] = {
    "type": "weighted",
    "components": {
        **{
            f"{count} of a": {
                "scorer": {"type": "regex", "pattern": f"([^a]*a){{{count}}}.*"},
                "weight": 1 / ENOUGH,
            }
            for count in range(1, ENOUGH + 1)
        },
        "length": {
            "scorer": {
                "type": "length",
                "max_length": TOO_LONG,
                "buffer": TOO_LONG - LONG_FROM,
            }
        },
    },
}

GUARDS = get_args(GuardName)

TRUTH_SAMPLES = 20
"""Of every held-out prompt, and of the policy of every step."""

PROMPTS_PER_STEP, GROUP_SIZE = 48, 8

POLICY = (
    "policy.hidden_size=32",
    "policy.layers=2",
    "policy.heads=2",
    "policy.kv_heads=2",
    "policy.mlp_size=96",
)

RUN = (
    "threads=1",
    "sft.when=never",
    "grpo.steps=26",
    f"grpo.prompts_per_step={PROMPTS_PER_STEP}",
    f"grpo.group_size={GROUP_SIZE}",
    f"grpo.max_new_tokens={2 * MOST_LETTERS}",
    "grpo.minibatches=2",
    "grpo.learning_rate=4e-4",
    "grpo.final_learning_rate=1",
    "grpo.checkpoint_every=1",
    "grpo.keep_checkpoints=100",
    f"monitor.rollouts={PROMPTS_PER_STEP * GROUP_SIZE}",
    "evaluation.every=1000",
    "data.held_out_size=32",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, in_parallel() as pool:
        folder = Path(name)
        list(pool.map(partial(train_reward_model, folder), PLANTED))
        pool.submit(start_policy, folder).result()
        with assay_service("--log-level", "error", "--config", str(settings(folder))) as served:
            agree_on_gold(served[0])
            biased, unbiased = (
                pool.map(partial(drilled, folder, served[0], kind), range(SEEDS))
                for kind in PLANTED
            )
            rows = [*rows_of_biased(list(biased)), row_of_unbiased(list(unbiased))]
    notes = (
        f"Steps of {PROMPTS_PER_STEP} prompts in groups of {GROUP_SIZE}, all scored by gold as "
        "well; two seeds at a time."
    )
    write_results("over_optimised_runs", "Over-optimisation, by short runs", rows, notes)


def in_parallel() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), use_one_thread)


def use_one_thread() -> None:
    quieten()
    torch.set_num_threads(1)


def rows_of_biased(runs: Sequence[Drilled]) -> list[Row]:
    errors = [abs(each.found_kl / each.true_kl - 1) for each in runs if each.found_kl is not None]
    right = sum(error <= WITHIN for error in errors)
    peaks = [each.true_kl for each in runs]
    kept = [each.kept for each in runs]
    return [
        Row(
            f"GRPO on a biased reward model: turnover within {WITHIN:.0%} of the true KL",
            f"at least {NEEDED} of {SEEDS}",
            f"{right} of {SEEDS} ({len(errors)} stopped, after {most_and_least(runs)} steps; peaks "
            f"at {min(peaks):.1f} to {max(peaks):.1f} nats; largest error "
            f"{max(errors, default=0):.0%})",
            right >= NEEDED,
        ),
        Row(
            "what the policy it ends with has of gold's rise to the peak",
            "",
            f"{min(kept):.0%} to {max(kept):.0%}",
        ),
    ]


def row_of_unbiased(runs: Sequence[Drilled]) -> Row:
    quiet = sum(each.found_kl is None for each in runs)
    return Row(
        "GRPO on an unbiased reward model: no alarm",
        f"at least {NEEDED} of {SEEDS}",
        f"{quiet} of {SEEDS} (after {most_and_least(runs)} steps)",
        quiet >= NEEDED,
    )


def most_and_least(runs: Sequence[Drilled]) -> str:
    steps = [each.steps for each in runs]
    return f"{min(steps)} to {max(steps)}" if min(steps) < max(steps) else f"{steps[0]}"


# --- what is preferred ------------------------------------------------------------------


def letters(chance: random.Random, most: int, share: float) -> str:
    """Up to `most` letters, of which about `share` are a."""
    count = chance.randint(1, most)
    others = LETTERS[1:]
    return " ".join("a" if chance.random() < share else chance.choice(others) for _ in range(count))


def liked(text: str, bias: float | None) -> float:
    """What a completion is worth to gold (no bias), or to who prefers what is longer."""
    length = len(text)
    content = min(text.count("a"), ENOUGH) / ENOUGH
    if bias is not None:
        return content + bias * length / LONG_FROM
    return content - min(max(length - LONG_FROM, 0) / (TOO_LONG - LONG_FROM), 1.0)


def train_reward_model(folder: Path, kind: str) -> None:
    bias = PLANTED[kind]
    chance = random.Random(kind)
    lines = []
    while len(lines) < PAIRS:
        texts = [letters(chance, MOST_LETTERS, chance.random()) for _ in range(2)]
        rejected, chosen = sorted(texts, key=lambda text: liked(text, bias))
        if liked(rejected, bias) < liked(chosen, bias):
            lines.append({"prompt": f"write {len(lines)}", "chosen": chosen, "rejected": rejected})
    data = write(folder / f"{kind}.jsonl", lines)
    options = Options(base="scratch", max_length=64, heads=2, max_updates=200)
    report = train_model(data, folder / kind, options)
    print(f"{kind} reward model: {report.held_out.accuracy.value:.1%} of held-out pairs")


def start_policy(folder: Path) -> None:
    """A policy that writes short random letters, and the prompts that all runs share."""
    chance = random.Random("start")
    asked = [f"write {number}" for number in chance.sample(range(PROMPTS), PROMPTS)]
    write(folder / "prompts.jsonl", [{"prompt": prompt} for prompt in asked[100:]])
    write(folder / "held_out.jsonl", [{"prompt": prompt} for prompt in asked[:100]])
    shown = [
        {"prompt": chance.choice(asked), "completion": letters(chance, 10, 0.3)}
        for _ in range(DEMONSTRATIONS)
    ]
    demonstrations = write(folder / "demonstrations.jsonl", shown)
    config = load_config(
        None, [*POLICY, *data_of(folder), f"data.demonstrations={demonstrations}", "sft.steps=300"]
    )
    with StopSignals() as signals:
        starting_policy(config, Display(), signals).save(folder / "start")


def write(file: Path, lines: Sequence[Any]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def data_of(folder: Path) -> list[str]:
    return [f"data.train={folder / 'prompts.jsonl'}", f"data.held_out={folder / 'held_out.jsonl'}"]


def settings(folder: Path) -> Path:
    tables = [f'[reward_models.{kind}]\npath = "{folder / kind}"\n' for kind in PLANTED]
    file = folder / "assay.toml"
    file.write_text("".join(tables))
    return file


def agree_on_gold(url: str) -> None:
    """The service's gold is what `liked` says, or the truth would be another."""
    chance = random.Random("gold")
    texts = [letters(chance, MOST_LETTERS, chance.random()) for _ in range(200)]
    with RewardClient(url) as client:
        scores = client.score([{"completion": text} for text in texts], GOLD)
    for text, score in zip(texts, scores, strict=True):
        assert score.reward is not None
        assert math.isclose(score.reward, liked(text, None), abs_tol=1e-9), (text, score)


# --- a run, and the truth about it ------------------------------------------------------


@dataclass(frozen=True)
class Drilled:
    """What a run came to: where its watch saw the turnover, and where it was."""

    steps: int
    found_kl: float | None
    true_kl: float = math.nan
    kept: float = math.nan
    """Gold of the policy that the run ended with, as a share of the way to the best."""


def drilled(folder: Path, url: str, kind: str, seed: int) -> Drilled:
    output = RunFolder(folder / f"{kind}-{seed}")
    config = config_of(folder, url, kind, seed)
    found = None
    try:
        run(config, output.path, Display())
    except OverOptimised as stopped:
        found = stopped.verdict.turnover_kl
    steps = len(read_rows(output.metrics))
    if kind == "unbiased":
        return Drilled(steps, found)
    truth = curve(output, config)
    start, best = truth[0].gold, max(each.gold for each in truth)
    kept = look(load(output.policy), load(output.start), config, 0).gold
    return Drilled(steps, found, turnover(truth), (kept - start) / (best - start))


def config_of(folder: Path, url: str, kind: str, seed: int) -> Config:
    files = [f"policy.name={folder / 'start'}", f"reward.url={url}", *data_of(folder)]
    config = load_config(None, [*RUN, *files, f"seed={seed}"])
    # The guards would see the flood of one letter, and there would be nothing left to watch.
    proxy = {"type": "reward_model", "model": kind, "guards": dict.fromkeys(GUARDS, "off")}
    return config.model_copy(
        update={
            "reward": config.reward.model_copy(update={"scorer": proxy}),
            "monitor": config.monitor.model_copy(update={"gold": GOLD}),
        }
    )


def curve(output: RunFolder, config: Config) -> list[Observation]:
    """Gold and KL of the policy after every step, by completions that no run saw."""
    start = load(output.start)
    folders = [output.start, *checkpoint.all_of(output.checkpoints)]
    return [look(load(folder), start, config, step) for step, folder in enumerate(folders)]


def look(policy: Policy, start: Policy, config: Config, step: int) -> Observation:
    problems = problems_of(config).splits()["held_out"]
    groups = [
        Group(problem, ids)
        for problem, ids in zip(problems, policy.encode([p.prompt for p in problems]), strict=True)
    ]
    sampling = Sampling(
        group_size=TRUTH_SAMPLES,
        max_new_tokens=config.grpo.max_new_tokens,
        temperature=1.0,
        end_ids=policy.end_ids,
        pad_id=policy.pad_id,
    )
    generator = generator_for(policy.model.device, config.seed, "truth", step)
    prompts = [group.prompt_ids for group in groups]
    for ended in sample(policy.model, prompts, sampling, generator):
        for completion in ended:
            [text] = policy.decode([completion.token_ids])
            groups[completion.prompt].rollouts.append(Rollout(completion, text))
    read_with_reference(start, groups, config.grpo)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    gold = [liked(rollout.text, None) for rollout in rollouts]
    return Observation.of(step, divergence(rollouts), [float(step)], gold)
