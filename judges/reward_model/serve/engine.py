"""One queue in front of the reward models: what waits is batched, what repeats is run once.

While batches run, texts gather; then a window of them is sorted by length and cut into
batches by a budget of tokens, padding included. Padding, not Python, is what naive batching
pays for: in arrival order more than half of all tokens are padding. There is no timer to
wait for company: an idle engine starts at once.

The forward pass runs in threads that do nothing but tensor work, which cannot hang. On a CPU
there is one thread a core, each with a batch of its own, instead of one batch on all cores:
that loses no time to threads waiting for each other, least of all on a busy machine.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from verifiers.errors import ModelUnavailable

logger = logging.getLogger(__name__)

CPU_BATCH_TOKENS = 2_048
"""Tokens of a batch, padding included. Larger ones leave a CPU's caches and gain nothing."""

CUDA_BATCH_TOKENS = 65_536

WINDOW_BATCHES = 16
"""Batches sorted at a time: enough to find equal lengths, few enough that texts are read about
in the order they came."""


Values = Sequence[float]
"""What a model says of one text: a reward by each head, or an embedding."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text as a model reads it.

    Attributes:
        ids: token ids, special tokens included.
        key: identifies model, text and what is asked: equal keys have equal values.
    """

    ids: Sequence[int]
    key: str


Forward = Callable[[Sequence[Text]], list[Values]]
"""The values of one batch, in its order. Runs in a thread of tensor work."""


class ValueCache:
    """The latest values by text. No rewards: guards and parameters come after.

    Args:
        capacity: how many numbers are kept, of four bytes each.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._values: OrderedDict[str, Values] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Values | None:
        values = self._values.get(key)
        if values is not None:
            self._values.move_to_end(key)
        return values

    def put(self, key: str, values: Values) -> None:
        self.size += len(values) - len(self._values.get(key, ()))
        self._values[key] = array("f", values)
        self._values.move_to_end(key)
        while self.size > self.capacity:
            self.size -= len(self._values.popitem(last=False)[1])


@dataclass(slots=True, eq=False)
class Waiting:
    """A text in the queue or in a batch, and how many callers wait for it."""

    text: Text
    forward: Forward
    values: asyncio.Future[Values]
    callers: int = 0


class Engine:
    """Runs texts through models.

    Args:
        device: "cpu", or a CUDA device. Models of one engine share it.
        batch_tokens: the budget of one batch, padding included; by default what suits the
            device.
        cache: where values are remembered.
    """

    def __init__(
        self, device: str = "cpu", *, batch_tokens: int | None = None, cache: ValueCache
    ) -> None:
        on_cpu = device == "cpu"
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if on_cpu else CUDA_BATCH_TOKENS)
        self.cache = cache
        self._threads = ThreadPoolExecutor(
            cores() if on_cpu else 1, "reward-model", initializer=use_one_core if on_cpu else None
        )
        self._queue: dict[str, Waiting] = {}
        self._running: dict[str, Waiting] = {}
        self._runner: asyncio.Task[None] | None = None

    async def run(self, text: Text, forward: Forward) -> tuple[Values, bool]:
        """What `forward` says of `text`, and whether it was remembered.

        Raises:
            ModelUnavailable: the forward pass failed.
        """
        if (known := self.cache.get(text.key)) is not None:
            return known, True
        waiting = self._running.get(text.key) or self._queue.get(text.key)
        if waiting is None:
            waiting = Waiting(text, forward, asyncio.get_running_loop().create_future())
            self._queue[text.key] = waiting
            if self._runner is None or self._runner.done():
                self._runner = asyncio.create_task(self._run())
        waiting.callers += 1
        try:
            return await asyncio.shield(waiting.values), False
        finally:
            waiting.callers -= 1

    async def stop(self) -> None:
        """Ends the threads after the batches in flight; what still waits is an error."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        for waiting in [*self._queue.values(), *self._running.values()]:
            self._settle(waiting, ModelUnavailable("the service stopped before this text was read"))
        self._queue.clear()
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self) -> None:
        """Works until the queue is empty."""
        await asyncio.sleep(0)  # everything that one request asks for is in the first window
        while window := self._window():
            self._running = {waiting.text.key: waiting for waiting in window}
            batches = by_length(window, self.batch_tokens)
            await asyncio.gather(*(self._run_batch(batch) for batch in batches))
            self._running = {}

    def _window(self) -> list[Waiting]:
        """Takes the oldest texts that anyone still waits for, some batches full."""
        window: list[Waiting] = []
        room = self.batch_tokens * WINDOW_BATCHES
        while self._queue and room > 0:
            key = next(iter(self._queue))
            waiting = self._queue.pop(key)
            if waiting.callers:
                window.append(waiting)
                room -= len(waiting.text.ids)
        return window

    async def _run_batch(self, batch: Sequence[Waiting]) -> None:
        """Settles a batch. One that fails is halved until the text at fault is alone, or the
        memory suffices."""
        found = await self._forward(batch)
        if found is None and len(batch) == 1:
            self._settle(batch[0], ModelUnavailable("the reward model failed on this text"))
            return
        if found is None:
            await self._run_batch(batch[: len(batch) // 2])
            await self._run_batch(batch[len(batch) // 2 :])
            return
        for waiting, values in zip(batch, found, strict=True):
            if all(map(math.isfinite, values)):
                self.cache.put(waiting.text.key, values)
                self._settle(waiting, values)
            else:
                self._settle(waiting, ModelUnavailable("the reward model gave no finite number"))

    async def _forward(self, batch: Sequence[Waiting]) -> list[Values] | None:
        """The values of a batch; None where it failed.

        The error ends here: its traceback holds the tensors of the pass that failed, and where
        memory was short, the halves need theirs.
        """
        loop = asyncio.get_running_loop()
        texts = [waiting.text for waiting in batch]
        try:
            return await loop.run_in_executor(self._threads, batch[0].forward, texts)
        except Exception as error:
            logger.warning("a batch of %d texts failed: %s", len(batch), error, exc_info=True)
            return None

    def _settle(self, waiting: Waiting, outcome: Values | ModelUnavailable) -> None:
        """Answers all who wait. Who asks later is answered by the cache, or by a new attempt."""
        self._running.pop(waiting.text.key, None)
        if waiting.values.done():
            return
        if isinstance(outcome, ModelUnavailable):
            waiting.values.set_exception(outcome)
            waiting.values.exception()  # that nobody waits any more is no news
        else:
            waiting.values.set_result(outcome)


def by_length(window: Iterable[Waiting], batch_tokens: int) -> list[list[Waiting]]:
    """`window` as batches of one model and similar lengths, the longest texts first.

    A batch takes `batch_tokens`, padding to its longest text included; a longer text is a
    batch of its own.
    """
    batches: list[list[Waiting]] = []
    ordered = sorted(window, key=lambda waiting: len(waiting.text.ids), reverse=True)
    open_batches: dict[Forward, list[Waiting]] = {}
    for waiting in ordered:
        batch = open_batches.get(waiting.forward)
        if batch is None or (len(batch) + 1) * len(batch[0].text.ids) > batch_tokens:
            batch = open_batches[waiting.forward] = []
            batches.append(batch)
        batch.append(waiting)
    return batches


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_one_core() -> None:
    import torch

    torch.set_num_threads(1)
