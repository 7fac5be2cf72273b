"""Scoring by a reward model, against the text-classification pipeline of transformers.

160 texts of 10 to 500 tokens through a classifier of MiniLM's size (random weights: the time
does not depend on them). The pipeline takes them in the order they come, 32 at a time and one
at a time; the service's scorer sorts them by length and runs one batch a core. All in turn,
in one process, on the same network and texts.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import Row, write

TEXTS = 160
ROUNDS = 5
WORDS = 20_000
MOST_DIFFERENCE = 1e-6
SIZES = {
    "vocab_size": WORDS + 4,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1_536,
    "num_labels": 1,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        rows = asyncio.run(measure(Path(folder)))
    notes = f"{TEXTS} texts; median of {ROUNDS} rounds, by the clock."
    write("reward_model_serving", "Scoring by a reward model", rows, notes)


def save_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    torch.manual_seed(0)
    BertForSequenceClassification(BertConfig(**SIZES)).save_pretrained(folder)
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    words = [*special, *(f"w{i}" for i in range(WORDS))]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", model_max_length=512, **names
    )
    tokenizer.save_pretrained(folder)


def texts() -> list[tuple[str, str]]:
    """Prompts and completions, together of 10 to 500 tokens, most of them 100 to 300."""
    rng = random.Random(0)
    pairs = []
    for _ in range(TEXTS):
        length = min(max(round(rng.lognormvariate(5.2, 0.7)), 10), 500) - 2
        words = [f"w{rng.randrange(WORDS)}" for _ in range(length)]
        cut = max(length // 4, 1)
        pairs.append((" ".join(words[:cut]), " ".join(words[cut:])))
    return pairs


async def measure(folder: Path) -> list[Row]:
    from transformers import pipeline

    from judges.reward_model.model.render import render

    async with served(folder) as ours, served(folder, dtype="bfloat16") as bf16:
        network = ours.named["reward"].current().model
        pairs = texts()
        plain = [render(*pair, network.tokenizer) for pair in pairs]
        peer = pipeline(
            "text-classification",
            model=network.network,
            tokenizer=network.tokenizer,
            function_to_apply="none",
        )
        runs: dict[str, Callable[[], Any]] = {
            "pipeline, 32 at a time": lambda: scores_of(peer(plain, batch_size=32)),
            "pipeline, one at a time": lambda: scores_of(peer(plain, batch_size=1)),
            "ours": lambda: score(ours, pairs),
            "ours in bfloat16": lambda: score(bf16, pairs),
        }
        seconds, found = await timed(runs)
    return rows(seconds, found)


def served(folder: Path, **settings: Any) -> Any:
    from contextlib import asynccontextmanager

    from judges.reward_model.serve.pool import RewardModels, RewardModelSettings

    @asynccontextmanager
    async def opened() -> Any:
        named = {"reward": RewardModelSettings(path=folder, **settings)}
        models = RewardModels(named, cache_values=0)
        await models.start()
        yield models
        await models.stop()

    return opened()


async def score(models: Any, pairs: list[tuple[str, str]]) -> list[float]:
    from judges.reward_model.serve.scorer import RewardModelParameters, RewardModelScorer
    from verifiers.base import Sample

    scorer = RewardModelScorer(RewardModelParameters(reward="raw"), models.named["reward"])
    samples = [Sample(prompt=prompt, completion=completion) for prompt, completion in pairs]
    return [float(score.reward or 0) for score in await scorer.score(samples)]


def scores_of(answers: list[dict[str, Any]]) -> list[float]:
    return [answer["score"] for answer in answers]


async def timed(
    runs: dict[str, Callable[[], Any]],
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Median seconds of each run, and what it found; the runs take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            result = run()
            found[name] = await result if asyncio.iscoroutine(result) else result
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}, found


def rows(seconds: dict[str, float], found: dict[str, list[float]]) -> list[Row]:
    def against(peer: str, times: float) -> Row:
        ratio = seconds[peer] / seconds["ours"]
        speeds = f"{TEXTS / seconds['ours']:.1f} texts/s against {TEXTS / seconds[peer]:.1f}"
        measured = f"{ratio:.2f}× ({speeds})"
        return Row(f"against the {peer}", f"at least {times}×", measured, ratio >= times)

    ours = found["ours"]
    largest = max(
        abs(a - b)
        for name in ("pipeline, 32 at a time", "pipeline, one at a time")
        for a, b in zip(ours, found[name], strict=True)
    )
    rounding = max(abs(a - b) for a, b in zip(ours, found["ours in bfloat16"], strict=True))
    gain = seconds["ours"] / seconds["ours in bfloat16"]
    return [
        against("pipeline, 32 at a time", 2.4),
        against("pipeline, one at a time", 1.2),
        Row(
            "largest difference of a score from the pipeline's",
            f"under {MOST_DIFFERENCE:.0e}",
            f"{largest:.1e}",
            largest < MOST_DIFFERENCE,
        ),
        Row("bfloat16 against float32", "", f"{gain:.2f}×, scores differ by up to {rounding:.1e}"),
    ]
