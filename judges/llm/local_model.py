"""A judge that is a transformers model in this process: a checkpoint of a policy, say.

It reads the options' probabilities and writes no text, so there is none to parse:

    p(option | turns) = product over the option's tokens of p(token | turns, tokens before)

divided by the sum over all options. Where one option begins another, the end of the reply
counts as a last token of each, for else the longer could never win. Questions that arrive
while a batch runs make up the next. Only this module of the judges' calls knows torch, and
imports it when the model is loaded.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import itertools
import logging
import math
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judges.llm.backend import Call
from judges.llm.base import Ask, Reply, Usage
from judges.llm.decisions import check_options
from judges.llm.failures import Unusable
from verifiers.errors import JudgeFailed

logger = logging.getLogger(__name__)

SAMPLED_BLOCKS = 64
BLOCK_BYTES = 64 * 1024
"""Of a large file these blocks stand for all: training changes every weight."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An ask as tokens."""

    ask: Ask
    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence for the model: a prompt with all but the last token of an option."""

    tokens: tuple[int, ...]
    prompt_length: int


class LocalBackend:
    """Scores options with the model of a folder.

    Args:
        max_batch_tokens: of one forward pass, padding included.

    Raises:
        ValueError: the folder holds no model.
    """

    def __init__(self, path: Path, *, device: str = "cpu", max_batch_tokens: int = 8_192) -> None:
        if not (path / "config.json").is_file():
            raise ValueError("the folder holds no model: there is no config.json in it")
        self._path = path
        self._device = device
        self._max_batch_tokens = max_batch_tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-judge")
        self._model: Any = None
        self._tokenizer: Any = None
        self._fault: str | None = "its model is not loaded yet"
        self._waiting: list[tuple[Prepared, asyncio.Future[dict[str, float]]]] = []
        self._pump: asyncio.Task[None] | None = None
        self.fingerprint = folder_digest(path)

    # --- its life ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Loads the model. A failure is a fault of the judge, and no end of the service."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except Exception:
            logger.exception("a local judge cannot be loaded")
            self._fault = "its model cannot be loaded"
        else:
            self._fault = None

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        self._thread.shutdown(wait=False)
        self._model = self._tokenizer = None
        self._fault = "its model was closed"

    def fault(self) -> str | None:
        return self._fault

    def _load(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(self._path, local_files_only=True)
        self._model = model.to(torch.device(self._device)).eval()

    # --- asks -------------------------------------------------------------------------------

    async def answer(self, ask: Ask, call: Call) -> Reply:
        check_options(ask)
        if self._fault is not None:
            raise JudgeFailed(self._fault)
        prepared = self._prepare(ask)
        usage = Usage(prompt_tokens=len(prepared.prompt), calls=1)

        async def send(_: float) -> Reply:
            probabilities = await self._queued(prepared)
            best = max(ask.options, key=lambda option: probabilities[option])
            return Reply(best, "stop", probabilities, usage)

        return await call(usage, send)

    def _prepare(self, ask: Ask) -> Prepared:
        prompt = tuple(self._conversation(ask))
        options = [tuple(self._plain(option)) for option in ask.options]
        if any(a != b and a[: len(b)] == b for a in options for b in options):
            options = [(*option, self._tokenizer.eos_token_id) for option in options]
        if not all(options) or len(set(options)) < len(options):
            raise JudgeFailed("the model's tokens do not tell the options apart", retryable=False)
        longest = len(prompt) + max(map(len, options))
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if limit is not None and longest > limit:
            message = f"the question has {longest:,} tokens, and the model reads {limit:,}"
            raise JudgeFailed(message, retryable=False)
        return Prepared(ask, prompt, tuple(options))

    def _conversation(self, ask: Ask) -> Iterator[int]:
        """The tokens of the turns, up to where the judge's own begins.

        Special tokens come from the chat template alone. A turn that spells one is read as
        its characters: it could otherwise end its turn and begin another's.
        """
        if not self._tokenizer.chat_template:
            for turn in ask.turns:
                yield from self._plain(f"{turn.role}: {turn.content}\n\n")
            yield from self._plain("assistant: ")
            return
        mark = secrets.token_hex(16)
        rendered = self._tokenizer.apply_chat_template(
            [
                {"role": turn.role, "content": f"{mark}{index}{mark}"}
                for index, turn in enumerate(ask.turns)
            ],
            tokenize=False,
            add_generation_prompt=True,
        )
        for index, piece in enumerate(re.split(f"{mark}([0-9]+){mark}", rendered)):
            if index % 2:
                yield from self._plain(ask.turns[int(piece)].content)
            elif piece:
                yield from self._tokenizer(piece, add_special_tokens=False)["input_ids"]

    def _plain(self, text: str) -> list[int]:
        """The tokens of a text, none of them special."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return ids

    # --- batches ----------------------------------------------------------------------------

    async def _queued(self, prepared: Prepared) -> dict[str, float]:
        future: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
        self._waiting.append((prepared, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run_batches())
        return await future

    async def _run_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            batch = [(prepared, future) for prepared, future in batch if not future.done()]
            asks = [prepared for prepared, _ in batch]
            found: Sequence[dict[str, float] | None] = [None] * len(batch)
            try:
                found = await loop.run_in_executor(self._thread, self._score, asks)
            except Exception:
                logger.exception("a local judge failed on a batch")
            for (_, future), probabilities in zip(batch, found, strict=True):
                if not future.done():
                    answer_with(future, probabilities)

    def _score(self, batch: Sequence[Prepared]) -> list[dict[str, float] | None]:
        """The probabilities of each ask's options; None where the model gave no numbers."""
        rows = {
            Row(prepared.prompt + option[:-1], len(prepared.prompt))
            for prepared in batch
            for option in prepared.options
        }
        logprobs: dict[Row, Any] = {}
        for part in by_length(rows, self._max_batch_tokens):
            logprobs |= self._logprobs(part)
        return [options_of(prepared, logprobs) for prepared in batch]

    def _logprobs(self, rows: Sequence[Row]) -> dict[Row, Any]:
        """For each row the log-probabilities after its prompt, and after every token since.

        Rows are padded on the right, where a causal model never looks.
        """
        import torch

        width = max(len(row.tokens) for row in rows)
        tokens = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for index, row in enumerate(rows):
            tokens[index, : len(row.tokens)] = torch.tensor(row.tokens)
            mask[index, : len(row.tokens)] = 1
        wanted = sorted({place for row in rows for place in places(row)})
        keep: dict[str, Any] = {}
        if "logits_to_keep" in inspect.signature(self._model.forward).parameters:
            keep["logits_to_keep"] = torch.tensor(wanted, device=self._device)
        with torch.inference_mode():
            logits = self._model(
                input_ids=tokens.to(self._device), attention_mask=mask.to(self._device), **keep
            ).logits  # (rows, places, vocabulary)
            if not keep:
                logits = logits[:, wanted]
            logprobs = logits.float().log_softmax(-1).cpu()
        position = {place: index for index, place in enumerate(wanted)}
        return {
            row: logprobs[index, [position[place] for place in places(row)]]
            for index, row in enumerate(rows)
        }


def answer_with(
    future: asyncio.Future[dict[str, float]], probabilities: dict[str, float] | None
) -> None:
    if probabilities is None:
        future.set_exception(Unusable("the model failed on this question"))
    else:
        future.set_result(probabilities)


def places(row: Row) -> range:
    """Where a row's next tokens are read: after its prompt, and after each token since."""
    return range(row.prompt_length - 1, len(row.tokens))


def by_length(rows: Iterable[Row], max_tokens: int) -> Iterator[list[Row]]:
    """Batches of rows of about the same length, so that little is padding."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (len(row.tokens), row.tokens)):
        if batch and (len(batch) + 1) * len(row.tokens) > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def options_of(prepared: Prepared, logprobs: dict[Row, Any]) -> dict[str, float] | None:
    totals = []
    for option in prepared.options:
        row = logprobs[Row(prepared.prompt + option[:-1], len(prepared.prompt))]
        totals.append(math.fsum(float(row[i, token]) for i, token in enumerate(option)))
    if not all(map(math.isfinite, totals)):
        return None
    highest = max(totals)
    shares = [math.exp(total - highest) for total in totals]
    return {
        option: share / math.fsum(shares)
        for option, share in zip(prepared.ask.options, shares, strict=True)
    }


def folder_digest(path: Path) -> str:
    """Identifies the model of a folder by its files' names and contents."""
    digest = hashlib.sha256(b"local\n")
    for file in sorted(path.iterdir()):
        if file.suffix in (".json", ".safetensors", ".model", ".jinja", ".txt"):
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            for block in blocks(file):
                digest.update(block)
    return digest.hexdigest()


def blocks(file: Path) -> Iterator[bytes]:
    """The whole of a small file, and even samples of a large one."""
    size = file.stat().st_size
    step = max(BLOCK_BYTES, size // SAMPLED_BLOCKS)
    with file.open("rb") as content:
        for start in itertools.count(0, step):
            if start >= size:
                return
            content.seek(start)
            yield content.read(BLOCK_BYTES)
