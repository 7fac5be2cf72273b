"""The queue in front of the models: batches, duplicates, failures, and who waits for whom."""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from judges.reward_model.serve import engine
from judges.reward_model.serve.engine import Engine, Text, ValueCache, Values, Waiting, by_length
from verifiers.errors import ModelUnavailable


class Recorder:
    """A forward pass that tells the lengths of its batches, and fails where it is told."""

    def __init__(self, *, failing: str = "", hold: threading.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self.started = threading.Event()
        self._failing = failing
        self._hold = hold

    def __call__(self, texts: Sequence[Text]) -> list[Values]:
        self.started.set()
        if self._hold is not None:
            self._hold.wait(20)
        self.batches.append([len(text.ids) for text in texts])
        if any(text.key == self._failing for text in texts):
            raise RuntimeError("an index is out of range")
        return [(float(len(text.ids)), math.nan if text.key == "nan" else 0.0) for text in texts]


def text(length: int, key: str | None = None) -> Text:
    return Text(range(length), key or f"of length {length}")


def with_engine(body: Callable[[Engine], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        engine = Engine(**{"cache": ValueCache(1_000), "batch_tokens": 64, **options})
        try:
            return await body(engine)
        finally:
            await engine.stop()

    return asyncio.run(run())


@given(lengths=st.lists(st.integers(1, 50), max_size=60), budget=st.integers(1, 200))
def test_batches_keep_the_budget_and_lose_no_text(lengths: list[int], budget: int) -> None:
    window: list[Any] = [Waiting(text(n), Recorder, Future()) for n in lengths]  # type: ignore[arg-type]
    batches = by_length(window, budget)
    assert sorted(map(id, window)) == sorted(id(each) for batch in batches for each in batch)
    for batch in batches:
        sizes = [len(each.text.ids) for each in batch]
        assert len(batch) == 1 or max(sizes) * len(sizes) <= budget


def test_one_request_is_sorted_by_length() -> None:
    forward = Recorder()

    async def body(engine: Engine) -> Any:
        return await asyncio.gather(*(engine.run(text(n), forward) for n in (3, 30, 4, 31)))

    found = with_engine(body)
    assert [values[0] for values, _ in found] == [3, 30, 4, 31]
    assert sorted(forward.batches) == [[4, 3], [31, 30]]


def test_two_models_never_share_a_batch() -> None:
    one, other = Recorder(), Recorder()

    async def body(engine: Engine) -> None:
        runs = [engine.run(text(5, f"{n}"), (one, other)[n % 2]) for n in range(6)]
        await asyncio.gather(*runs)

    with_engine(body)
    assert one.batches == other.batches == [[5, 5, 5]]


def test_duplicates_run_once_and_are_remembered() -> None:
    forward = Recorder()

    async def body(engine: Engine) -> Any:
        together = await asyncio.gather(*(engine.run(text(5), forward) for _ in range(10)))
        return [*together, await engine.run(text(5), forward)]

    found = with_engine(body)
    assert forward.batches == [[5]]
    assert {tuple(values) for values, _ in found} == {(5.0, 0.0)}
    assert [cached for _, cached in found] == [False] * 10 + [True]


def test_a_duplicate_of_a_running_text_waits_for_it() -> None:
    hold = threading.Event()
    forward = Recorder(hold=hold)

    async def body(engine: Engine) -> None:
        first = asyncio.create_task(engine.run(text(5), forward))
        await asyncio.to_thread(forward.started.wait, 20)
        second = asyncio.create_task(engine.run(text(5), forward))
        await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(first, second)

    with_engine(body)
    assert forward.batches == [[5]]


def test_the_cache_forgets_the_oldest() -> None:
    cache = ValueCache(4)
    for key in "abc":
        cache.put(key, (1.0, 2.0))
    assert [cache.get(key) is None for key in "abc"] == [True, False, False]
    assert cache.size == 4
    cache.put("b", (3.0, 4.0))
    assert cache.size == 4


def test_one_bad_text_fails_alone() -> None:
    forward = Recorder(failing="bad")

    async def body(engine: Engine) -> Any:
        runs = [engine.run(text(5, key), forward) for key in ("a", "b", "bad", "c", "nan")]
        return await asyncio.gather(*runs, return_exceptions=True)

    found = with_engine(body)
    assert [isinstance(each, ModelUnavailable) for each in found] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert "finite" in str(found[4])


class ShortOfMemory:
    """Has room for two texts at a time, if what it held for those before is free again."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.held: weakref.ref[Any] = weakref.ref(self)

    def __call__(self, texts: Sequence[Text]) -> list[Values]:
        self.sizes.append(len(texts))
        if len(texts) > 2:
            activations = Recorder()
            self.held = weakref.ref(activations)
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert self.held() is None, "the failed pass still holds its memory"
        return [(0.0,) for _ in texts]


def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine.logger, "disabled", True)  # pytest keeps the errors it is told of
    forward = ShortOfMemory()

    async def body(engine: Engine) -> Any:
        return await asyncio.gather(*(engine.run(text(5, f"{n}"), forward) for n in range(8)))

    assert len(with_engine(body)) == 8
    assert sum(size for size in forward.sizes if size <= 2) == 8
    assert max(forward.sizes) > 2, "every batch did fit"


def test_what_failed_is_tried_again_when_asked_again() -> None:
    forward = Recorder(failing="bad")

    async def body(engine: Engine) -> None:
        for _ in range(2):
            with pytest.raises(ModelUnavailable):
                await engine.run(text(5, "bad"), forward)

    with_engine(body)
    assert len(forward.batches) == 2


def test_nobody_computes_what_nobody_waits_for() -> None:
    hold = threading.Event()
    forward = Recorder(hold=hold)

    async def body(engine: Engine) -> None:
        first = asyncio.create_task(engine.run(text(5), forward))
        await asyncio.to_thread(forward.started.wait, 20)
        leaving = [asyncio.create_task(engine.run(text(n), forward)) for n in (7, 8)]
        staying = asyncio.create_task(engine.run(text(8), forward))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        hold.set()
        await asyncio.gather(first, staying)

    with_engine(body)
    assert forward.batches == [[5], [8]], "7 left alone; 8 has another caller"


def test_stopping_fails_what_waits() -> None:
    hold = threading.Event()
    forward = Recorder(hold=hold)

    async def body(engine: Engine) -> Any:
        running = asyncio.create_task(engine.run(text(5), forward))
        await asyncio.to_thread(forward.started.wait, 20)
        queued = asyncio.create_task(engine.run(text(6), forward))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)
        hold.set()
        await stopping
        return await asyncio.gather(running, queued, return_exceptions=True)

    assert all(isinstance(each, ModelUnavailable) for each in with_engine(body))


def test_texts_are_read_about_in_the_order_they_came() -> None:
    forward = Recorder()

    async def body(engine: Engine) -> bool:
        long = asyncio.create_task(engine.run(text(60), forward))
        short = [asyncio.create_task(engine.run(text(9, f"{n}"), forward)) for n in range(400)]
        await long
        unread = any(not task.done() for task in short)
        await asyncio.gather(*short)
        return unread

    assert with_engine(body), "one long text does not wait for every shorter one after it"
