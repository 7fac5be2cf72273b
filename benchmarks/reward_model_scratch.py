"""A synthetic task with an exact truth, learned by a transformer from scratch.

The completion with the larger share of words on the prompt's topic is preferred. The
transformer has random weights and a tokenizer of its own; length is measured beside it.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import torch

from benchmarks.results import Row, write
from benchmarks.reward_model_training import shown
from judges.reward_model.train.commands import quieten
from judges.reward_model.train.options import Options
from judges.reward_model.train.pipeline import train_model

TOPICS = {
    "animals": "cat dog horse cow sheep goat mouse bird",
    "colours": "red blue green yellow brown black white pink",
    "food": "bread cheese rice apple soup cake pear egg",
    "tools": "hammer saw nail drill wrench axe rope spade",
}
SYNTHETIC_PAIRS = 6_000
LEAST_GAP = 0.1
"""Between the shares of words on the topic: what is nearer than this is no preference."""


def main() -> None:
    torch.set_num_threads(2)
    quieten()
    write(
        "reward_model_scratch",
        "A reward model from random weights",
        synthetic_rows(),
        "Seconds by the clock, with the learning curve, the attacks and the plots; beside them "
        "those that the processor worked, which other programs on the machine do not change.",
    )


def synthetic_rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        data.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in topic_pairs()))
        started, worked = time.monotonic(), time.process_time()
        report = train_model(data, Path(folder) / "model", Options(base="scratch"))
        seconds = time.monotonic() - started
        busy = time.process_time() - worked
    found, length = report.held_out.accuracy, report.held_out.length_only
    assert found.value is not None
    what = f"a synthetic task with an exact truth, {SYNTHETIC_PAIRS:,} pairs, from scratch"
    return [
        Row(what, "at least 95 %", shown(found), found.value >= 0.95),
        Row(f"{what}: length alone", "", shown(length)),
        Row(
            f"{what}: seconds, with the report",
            "under 180",
            f"{seconds:.0f}, of them {busy:.0f} of CPU",
            seconds < 180,
        ),
    ]


def topic_pairs(count: int = SYNTHETIC_PAIRS, seed: int = 0) -> Iterator[dict[str, str]]:
    chance = random.Random(seed)
    made = 0
    while made < count:
        topic = chance.choice(list(TOPICS))
        (worse, rejected), (better, chosen) = sorted(word_list(topic, chance) for _ in range(2))
        if better - worse >= LEAST_GAP:
            made += 1
            prompt = f"List {chance.randint(2, 999)} {topic}."
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def word_list(topic: str, chance: random.Random) -> tuple[float, str]:
    """The share of words on the topic, and the words, whose number says nothing."""
    others = [word for name, words in TOPICS.items() if name != topic for word in words.split()]
    length = chance.randint(4, 14)
    on_topic = chance.randint(0, length)
    words = chance.choices(TOPICS[topic].split(), k=on_topic)
    words += chance.choices(others, k=length - on_topic)
    chance.shuffle(words)
    return on_topic / length, " ".join(words)
