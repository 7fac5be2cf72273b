"""The client of the reward service for callers without an event loop.

with RewardClient("http://127.0.0.1:8000") as client:
    scores = client.score([{"completion": "olleh", "reference": "hello"}], "string_reversal")
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from trainer_client.async_client import CLOSE_TIMEOUT_S, AsyncRewardClient, ClientOptions
from trainer_client.errors import ClientClosed
from trainer_client.types import MonitorVerdict, Score
from trainer_client.wire import Spec

__all__ = ["AsyncRewardClient", "RewardClient"]

P = ParamSpec("P")
T = TypeVar("T")


def waiting(
    method: Callable[Concatenate[AsyncRewardClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[RewardClient, P], T]:
    """The same method for a caller that waits until it is done."""

    @functools.wraps(method)
    def wait(client: RewardClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client._wait(client._start(method, *args, **kwargs))

    return wait


class RewardClient:
    """`AsyncRewardClient` for callers without an event loop: it runs one in a thread.

    Any number of threads may use one client. A forked process may not: make a new client
    in each. Arguments, behaviour and errors are those of `AsyncRewardClient`; `on_outage`
    is called from the client's thread.
    """

    def __init__(self, url: str, **options: Unpack[ClientOptions]) -> None:
        self._core = AsyncRewardClient(url, **options)
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="reward-client", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return repr(self._core).removeprefix("Async")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def score(
        self,
        samples: Sequence[Mapping[str, Any]],
        scorer: Spec,
        *,
        run: str | None = None,
        deadline_s: float | None = None,
    ) -> list[Score]:
        """See `AsyncRewardClient.score`."""
        return self._wait(self.submit(samples, scorer, run=run, deadline_s=deadline_s))

    def submit(
        self,
        samples: Sequence[Mapping[str, Any]],
        scorer: Spec,
        *,
        run: str | None = None,
        deadline_s: float | None = None,
    ) -> Future[list[Score]]:
        """Starts scoring at once and returns a future, so that a trainer can go on meanwhile.

        Cancelling the future cancels the requests in flight. The samples are read before
        this returns.

        Raises:
            InvalidRequest: a sample cannot be sent.
        """
        batches = self._core.batches(samples, scorer, run, deadline_s)
        return self._start(AsyncRewardClient.score_batches, batches)

    def submit_report(self, run: str, report: Mapping[str, Any]) -> Future[MonitorVerdict]:
        """Starts a `report` at once and returns a future."""
        return self._start(AsyncRewardClient.report, run, report)

    groups = waiting(AsyncRewardClient.groups)
    report = waiting(AsyncRewardClient.report)
    scorers = waiting(AsyncRewardClient.scorers)
    ready = waiting(AsyncRewardClient.ready)
    wait_until_ready = waiting(AsyncRewardClient.wait_until_ready)

    def close(self) -> None:
        """Ends calls in flight with `ClientClosed`, and the thread. A second time does nothing."""
        with self._lock:
            if not self._closed and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._closing.set)
            self._closed = True
        if threading.current_thread() is not self._thread:
            self._thread.join(2 * CLOSE_TIMEOUT_S)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        await self._closing.wait()
        await self._core.close()
        # The calls that this ended are still on their way to whoever waits for them.
        if calls := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(calls, timeout=CLOSE_TIMEOUT_S)

    def _start(
        self,
        method: Callable[Concatenate[AsyncRewardClient, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        with self._lock:
            if self._closed or not self._thread.is_alive():
                raise ClientClosed("the client is closed, or this process was forked from its own")
            return asyncio.run_coroutine_threadsafe(method(self._core, *args, **kwargs), self._loop)

    def _wait(self, future: Future[T]) -> T:
        if threading.current_thread() is self._thread:
            future.cancel()
            raise RuntimeError("on_outage must not wait for the client that calls it")
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C in the caller's thread: nobody wants the answer now
            raise
