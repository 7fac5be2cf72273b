"""The client of the reward service for asyncio, and the core of the one in `client.py`.

A failure is never a reward. What may pass is tried again; what may not is raised as one of
the errors in `errors.py`; and a sample that the service could not score comes back as a
`Score` whose `reward` is None. `wire.py` says what is sent and what of a reply is believed.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Self, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from trainer_client.errors import ClientClosed, ProtocolError, ServiceUnreachable
from trainer_client.group_wire import Select, group_batches, groups_in
from trainer_client.types import GroupScores, MonitorVerdict, Outage, Retry, Score
from trainer_client.wire import (
    Batch,
    Failure,
    Spec,
    batches_of,
    document_in,
    encoded,
    failure_in,
    member,
    scores_in,
    verdict_in,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R", Score, GroupScores)

CONNECT_TIMEOUT_S = 5.0
"""A machine that is there accepts a connection within milliseconds."""

PROBE_TIMEOUT_S = 5.0
"""A service that cannot say at once that it is ready is not."""

DEADLINE_SHARE = 0.9
"""How much of the time that we wait for a reply the service has to score in. It must stop
first: a reply that says which samples are unfinished keeps the others."""

MAX_DEADLINE_S = 3_600.0
"""The longest that the service accepts."""

KEEPALIVE_S = 4.0
"""Shorter than the five seconds after which uvicorn closes an idle connection."""

CLOSE_TIMEOUT_S = 5.0
"""Closing waits this long for calls to end, which takes them milliseconds."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ClientOptions(TypedDict, total=False):
    """What both clients take beside the address; `AsyncRewardClient` says what each does."""

    api_key: str | None
    batch_size: int
    concurrency: int
    request_timeout_s: float
    max_outage_s: float
    on_outage: Callable[[Outage], None] | None
    transport: httpx.AsyncBaseTransport | None
    retry: Retry | None


class AsyncRewardClient:
    """Scores samples over HTTP. Belongs to the event loop that first uses it.

    Args:
        url: where the service is, as in `http://127.0.0.1:8000`. A path is kept.
        api_key: sent as `Authorization: Bearer`.
        batch_size: most samples in one request. Only neighbours of one `group` stay together
            beyond it.
        concurrency: most requests in flight, over all calls of this client.
        request_timeout_s: how long one reply may take, to its last byte. Longer for calls
            whose deadline needs it.
        max_outage_s: how long a request that failed is tried again without an answer. A 429
            does not count while other requests are answered: the service is alive, and busy.
        on_outage: told when the service stops answering and when it answers again, from the
            event loop: it should return at once. What it raises is logged.
        transport: replaces the network, for tests and for services in this process.
        retry: the pace of retries.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        batch_size: int = 128,
        concurrency: int = 8,
        request_timeout_s: float = 60,
        max_outage_s: float = 300,
        on_outage: Callable[[Outage], None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        retry: Retry | None = None,
    ) -> None:
        address = httpx.URL(url)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"a service has an address like http://127.0.0.1:8000, not {url!r}")
        if batch_size < 1 or concurrency < 1:
            raise ValueError("batch_size and concurrency are at least 1")
        self.url = str(address.copy_with(userinfo=b"")).rstrip("/")
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.request_timeout_s = request_timeout_s
        self.max_outage_s = max_outage_s
        self._on_outage = on_outage
        self._retry = retry or Retry()
        self._has_key = api_key is not None
        self._http = httpx.AsyncClient(
            base_url=address,
            headers={"Accept": "application/json", **authorization(api_key)},
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            # No limit on connections: ours on requests is one, and a pool that is waited for
            # loses places to cancelled requests (httpcore issue 1093).
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=concurrency,
                keepalive_expiry=KEEPALIVE_S,
            ),
            transport=transport,
            # A proxy from the environment cannot reach this machine's own loopback.
            trust_env=address.host not in LOOPBACK,
        )
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._answered_at = float("-inf")
        self._outage: tuple[float, str] | None = None

    def __repr__(self) -> str:
        key = ", api_key='[secret]'" if self._has_key else ""
        sizes = f"batch_size={self.batch_size}, concurrency={self.concurrency}"
        return f"{type(self).__name__}({self.url!r}{key}, {sizes})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def score(
        self,
        samples: Sequence[Mapping[str, Any]],
        scorer: Spec,
        *,
        run: str | None = None,
        deadline_s: float | None = None,
    ) -> list[Score]:
        """One score a sample, in the order of `samples`.

        A batch whose request fails is sent again, with the same Idempotency-Key, until it is
        answered, refused or given up. A sample whose own error says that it may pass
        (`deadline_exceeded`, `shutting_down` …) is sent again alone, as a new request, at
        most `Retry.resubmissions` times; then it is returned as it is: unscored, its reward
        None and its `error` saying why. The first batch that raises cancels the others, and
        so does cancelling this call.

        Args:
            samples: mappings with the members of the service's samples. One without an id
                gets its index; ids are unique within a call.
            scorer: a name, or `{"type": NAME, **parameters}`.
            run: the training run that asks: the service counts what its judges spend for it.
            deadline_s: what each request may take in the service, by default most of
                `request_timeout_s`. Samples that are unfinished then come back with the
                error `deadline_exceeded`.

        Raises:
            InvalidRequest: a sample cannot be sent. Nothing was.
            RequestRefused: the service refuses a request for good (4xx).
            ServiceUnreachable: a request found no answer for `max_outage_s`.
            ProtocolError: a reply breaks the contract.
            ClientClosed: the client is closed, or was meanwhile.
        """
        return await self.score_batches(self.batches(samples, scorer, run, deadline_s))

    def batches(
        self,
        samples: Sequence[Mapping[str, Any]],
        scorer: Spec,
        run: str | None,
        deadline_s: float | None,
    ) -> list[Batch]:
        """The samples encoded, ready for `score_batches`. Arguments as for `score`."""
        deadline_s = self._deadline_s(deadline_s)
        return batches_of(samples, scorer, run, deadline_s, batch_size=self.batch_size)

    def _deadline_s(self, own: float | None) -> float:
        return min(MAX_DEADLINE_S, self.request_timeout_s * DEADLINE_SHARE) if own is None else own

    async def score_batches(self, batches: Iterable[Batch]) -> list[Score]:
        """Scores what `batches` encoded."""
        scored = await self._together([self._settled(batch, scores_in) for batch in batches])
        return list(itertools.chain.from_iterable(scored))

    async def groups(
        self,
        groups: Sequence[Mapping[str, Any]],
        scorer: Spec,
        *,
        advantage: str | Mapping[str, Any] = "trl",
        select: Select = "best",
        ks: Sequence[int] = (1,),
        run: str | None = None,
        deadline_s: float | None = None,
    ) -> list[GroupScores]:
        """Scores all completions of each prompt together, in the order of `groups`.

        As `score`, but a group is sent, and sent again, as a whole, so that its advantages
        are of all its completions.

        Args:
            groups: mappings with the members of the service's groups: `completions`, and if
                need be `id`, `prompt`, `reference` and `scorer`.
            advantage: a trainer's estimator by its name (`trl`, `trl_async`, `verl`,
                `dr_grpo`, `rloo`, `none`), or `{"estimator", "ddof", "eps"}`.
            select: which completion of each group to keep.
            ks: the k of every pass@k.

        Raises:
            As `score`.
        """
        options: dict[str, Any] = {
            "scorer": scorer,
            "advantage": advantage,
            "select": select,
            "ks": list(ks),
            "deadline_s": self._deadline_s(deadline_s),
        }
        batches = group_batches(groups, options, run, batch_size=self.batch_size)
        settled = [self._settled(batch, groups_in) for batch in batches]
        return list(itertools.chain.from_iterable(await self._together(settled)))

    async def report(self, run: str, report: Mapping[str, Any]) -> MonitorVerdict:
        """Tells the service's monitor of over-optimisation how a step of a run went.

        Args:
            run: the run's name, one to a service.
            report: `step`, `kl`, `proxy`, `gold`, and if known `length` and `flagged`, as
                `POST /v1/monitors/{run}` takes them.

        Raises:
            As `score`.
        """
        request = self._http.build_request(
            "POST",
            f"/v1/monitors/{quote(run, safe='')}",
            content=encoded(report, "the report"),
            headers={"Content-Type": "application/json"},
        )
        # Telling a step twice is telling it once, so it may be tried again.
        [reply] = await self._together([self._answer(request, self.request_timeout_s)])
        return verdict_in(reply)

    async def scorers(self) -> list[dict[str, Any]]:
        """The scorers that the service offers, each with its schemas and an example."""
        request = self._http.build_request("GET", "/v1/scorers")
        [reply] = await self._together([self._answer(request, self.request_timeout_s)])
        found = member(document_in(reply), "scorers", list)
        if not all(isinstance(scorer, dict) for scorer in found):
            raise ProtocolError("a scorer's description is no object")
        return list(found)

    async def ready(self) -> bool:
        """Whether every enabled lane can score now. One attempt; unreachable is False."""
        try:
            await self._together([self._send(self._probe(), PROBE_TIMEOUT_S)])
        except Failure:
            return False
        return True

    async def wait_until_ready(self) -> None:
        """Returns once the service is ready to score.

        Raises:
            ServiceUnreachable: it was not for `max_outage_s`.
        """
        await self._together([self._answer(self._probe(), PROBE_TIMEOUT_S)])

    async def close(self) -> None:
        """Cancels what is in flight, whose callers get `ClientClosed`, and disconnects."""
        self._closed = True
        if tasks := set(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
        await self._http.aclose()

    # --- a call is batches, a batch is requests ---

    async def _settled(
        self, batch: Batch, read: Callable[[httpx.Response, Batch], list[R]]
    ) -> list[R]:
        """What became of each item of a batch. What may pass is sent again, on its own."""
        results = read(await self._post(batch), batch)
        for attempt in range(self._retry.resubmissions):
            again = [index for index, result in enumerate(results) if result.retryable]
            if not again:
                break
            await asyncio.sleep(self._retry.delay_s(attempt))
            rest = batch.only(again)
            for position, result in zip(again, read(await self._post(rest), rest), strict=True):
                results[position] = result
        return results

    async def _post(self, batch: Batch) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        timeout_s = max(self.request_timeout_s, batch.deadline_s / DEADLINE_SHARE)
        async with self._slots:
            request = self._http.build_request(
                "POST", batch.path, content=batch.body(), headers=headers
            )
            return await self._answer(request, timeout_s, batch.ids)

    async def _together(self, work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """Runs everything at once. The first failure cancels the rest, `close` all of it."""
        tasks: list[asyncio.Task[T]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks.extend(map(group.create_task, work))
                self._tasks.update(tasks)
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        else:
            if not any(task.cancelled() for task in tasks):
                return [task.result() for task in tasks]
            failure = ClientClosed("the client was closed during this call")
        finally:
            self._tasks.difference_update(tasks)
        raise failure

    # --- a request is attempts ---

    def _probe(self) -> httpx.Request:
        return self._http.build_request("GET", "/readyz")

    async def _answer(
        self, request: httpx.Request, timeout_s: float, ids: Sequence[str] = ()
    ) -> httpx.Response:
        """The 200 reply to a request, however many attempts it takes. All are alike."""
        failing_since: float | None = None
        attempt = 0
        while True:
            try:
                reply = await self._send(request, timeout_s, ids)
            except Failure as failure:
                self._failed(failure)
                failing_since = failing_since or time.monotonic()
                pause_s = self._pause_s(failure, attempt, failing_since)
            else:
                self._alive()
                return reply
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _send(
        self, request: httpx.Request, timeout_s: float, ids: Sequence[str] = ()
    ) -> httpx.Response:
        """One attempt.

        Raises:
            Failure: it may go better next time.
            RequestRefused, ProtocolError: it will not.
        """
        if self._closed:
            raise ClientClosed("the client is closed")
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._http.send(request)
        except TimeoutError:
            raise Failure(f"no reply within {timeout_s:g} s") from None
        except (httpx.LocalProtocolError, httpx.DecodingError) as error:
            raise ProtocolError(f"{type(error).__name__}: {error}") from error
        except httpx.TransportError as error:
            raise Failure(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
        if reply.status_code != 200:
            raise failure_in(reply, ids)
        self._answered_at = time.monotonic()
        return reply

    def _pause_s(self, failure: Failure, attempt: int, failing_since: float) -> float:
        """How long to wait before the next attempt.

        Raises:
            ServiceUnreachable: it would come too late.
        """
        now = time.monotonic()
        since = max(failing_since, self._answered_at) if failure.busy else failing_since
        left_s = self.max_outage_s - (now - since)
        if left_s <= failure.retry_after_s:
            asked = failure.retry_after_s
            reason = f"{failure} (asks to wait {asked:g} s)" if asked else str(failure)
            raise ServiceUnreachable(self.url, now - failing_since, reason) from failure
        return min(failure.retry_after_s + self._retry.delay_s(attempt), left_s)

    def _failed(self, failure: Failure) -> None:
        if failure.busy:
            self._alive()
        elif self._outage is None:
            self._outage = (time.monotonic(), str(failure))
            self._tell(Outage(self.url, str(failure), 0.0, over=False))

    def _alive(self) -> None:
        if self._outage is not None:
            (began, reason), self._outage = self._outage, None
            self._tell(Outage(self.url, reason, time.monotonic() - began, over=True))

    def _tell(self, outage: Outage) -> None:
        if outage.over:
            logger.warning("%s answers again after %.1f s", self.url, outage.duration_s)
        else:
            logger.warning("%s does not answer: %s", self.url, outage.reason)
        try:
            if self._on_outage is not None:
                self._on_outage(outage)
        except Exception:
            logger.exception("on_outage failed")


def authorization(api_key: str | None) -> dict[str, str]:
    if api_key is None:
        return {}
    if not re.fullmatch(r"[\x21-\x7e]+", api_key):
        raise ValueError("an API key has no white space and only ASCII characters")
    return {"Authorization": f"Bearer {api_key}"}
