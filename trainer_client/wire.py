"""What goes over the wire and how it is read. No I/O here.

Samples are cut into batches and encoded once, so that a retry sends the very same bytes.
Replies are believed only where they keep the contract to the letter: anything else is a
`ProtocolError`, never a reward.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from types import NoneType
from typing import Any, Literal, NoReturn

import httpx

from trainer_client.errors import Fault, InvalidRequest, ProtocolError, RequestRefused
from trainer_client.types import MonitorVerdict, Score, ScoreError, ScorerIdentity

MAX_BATCH_BYTES = 8 * 1024 * 1024
"""A batch of long completions ends early. A quarter of what the service takes by default."""

RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
"""What passes, where a reply has no problem document: proxies write these."""

Spec = str | Mapping[str, Any]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


# --- requests ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request carries, encoded."""

    head: bytes
    """All but the items, without the closing brace."""
    ids: tuple[str, ...]
    items: tuple[bytes, ...]
    """Samples, or groups."""
    deadline_s: float
    of: Literal["samples", "groups"] = "samples"
    counts: tuple[int, ...] = ()
    """How many completions each group has."""

    @property
    def path(self) -> str:
        return "/v1/score" if self.of == "samples" else "/v1/groups"

    def body(self) -> bytes:
        return b'%b,"%b":[%b]}' % (self.head, self.of.encode(), b",".join(self.items))

    def only(self, positions: Sequence[int]) -> Batch:
        """The same request for these items alone."""
        ids = tuple(self.ids[i] for i in positions)
        items = tuple(self.items[i] for i in positions)
        counts = tuple(self.counts[i] for i in positions) if self.counts else ()
        return replace(self, ids=ids, items=items, counts=counts)


def batches_of(
    samples: Sequence[Mapping[str, Any]],
    scorer: Spec,
    run: str | None,
    deadline_s: float,
    *,
    batch_size: int,
) -> list[Batch]:
    """The samples as batches, in order. A sample without an id gets its index as one.

    Neighbours that name the same group stay together, whatever the batch size: scorers that
    compare the samples of a group see only those of their request.

    Raises:
        InvalidRequest: a value is not JSON (NaN, a lone surrogate, an object of another
            kind), an id is not a string, or two samples share one.
    """
    options = {"scorer": scorer, "deadline_s": deadline_s} | ({"run": run} if run else {})
    head = encoded(options, "the request")[:-1]
    ids = ids_of(samples)
    items = [
        encoded({**sample, "id": name}, f"sample {name!r}")
        for name, sample in zip(ids, samples, strict=True)
    ]
    blocks = list(together([sample.get("group") for sample in samples]))
    sizes = [sum(map(len, items[block])) for block in blocks]
    counts = [block.stop - block.start for block in blocks]
    batches = []
    for part in slices(sizes, counts, batch_size):
        whole = slice(blocks[part][0].start, blocks[part][-1].stop)
        batches.append(Batch(head, ids[whole], tuple(items[whole]), deadline_s))
    return batches


def together(groups: Sequence[Any]) -> Iterator[slice]:
    """Cuts a sequence where the group changes, and between those of no group."""
    first = 0
    for index in range(1, len(groups) + 1):
        if index == len(groups) or groups[index] is None or groups[index] != groups[first]:
            yield slice(first, index)
            first = index


def slices(sizes: Sequence[int], counts: Sequence[int], batch_size: int) -> Iterator[slice]:
    """Cuts a sequence whose members have these sizes in bytes and hold so many samples."""
    first = size = count = 0
    for index in range(len(sizes)):
        size, count = size + sizes[index], count + counts[index]
        if index > first and (count > batch_size or size > MAX_BATCH_BYTES):
            yield slice(first, index)
            first, size, count = index, sizes[index], counts[index]
    if sizes:
        yield slice(first, len(sizes))


def ids_of(samples: Sequence[Mapping[str, Any]], what: str = "sample") -> tuple[str, ...]:
    """Their ids. One without has its index.

    Raises:
        InvalidRequest: one is no mapping, an id is no string, or two are the same.
    """
    positions: dict[str, int] = {}
    for index, sample in enumerate(samples):
        if not isinstance(sample, Mapping):
            raise InvalidRequest(f"{what} {index} is no mapping: {reprlib.repr(sample)}")
        own = sample.get("id")
        name = str(index) if own is None else own
        if not isinstance(name, str):
            raise InvalidRequest(f"{what} {index}: an id is a string, not {reprlib.repr(name)}")
        if name in positions:
            raise InvalidRequest(f"{what}s {positions[name]} and {index} share the id {name!r}")
        positions[name] = index
    return tuple(positions)


def encoded(value: Mapping[str, Any], what: str) -> bytes:
    try:
        return _encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{what} is not JSON: {error}") from error


# --- replies ----------------------------------------------------------------------------


def scores_in(response: httpx.Response, batch: Batch) -> list[Score]:
    """The scores of a 200 reply to a batch.

    Raises:
        ProtocolError: they are not one score a sample, in order, each with a finite reward
            or an error and never both.
    """
    return scores_of(member(document_in(response), "scores", list), batch.ids)


def scores_of(items: Sequence[Any], ids: Sequence[str]) -> list[Score]:
    if len(items) != len(ids):
        raise ProtocolError(f"{len(items)} scores came back for {len(ids)} samples")
    return [score_of(item, sample_id) for item, sample_id in zip(items, ids, strict=True)]


def score_of(item: Any, sample_id: str) -> Score:
    try:
        if member(item, "id", str) != sample_id:
            raise ValueError(f"the score of {item['id']!r} came in its place")
        reward = member(item, "reward", int, float, NoneType)
        return Score(
            id=sample_id,
            reward=None if reward is None else float(reward),
            error=error_of(member(item, "error", dict, NoneType)),
            outcome=member(item, "outcome", str, NoneType),
            answer=member(item, "answer", str, NoneType),
            components=components_of(member(item, "components", dict, NoneType) or {}),
            details=member(item, "details", dict, NoneType) or {},
            scorer=identity_of(member(item, "scorer", dict, NoneType)),
            elapsed_ms=float(member(item, "elapsed_ms", int, float, NoneType) or 0.0),
            cached=member(item, "cached", bool, NoneType) or False,
        )
    except (ProtocolError, ValueError, OverflowError) as error:
        raise ProtocolError(f"the score of sample {sample_id!r} is unusable: {error}") from error


def error_of(item: dict[str, Any] | None) -> ScoreError | None:
    if item is None:
        return None
    code, message = member(item, "code", str), member(item, "message", str)
    return ScoreError(code, message, member(item, "retryable", bool))


def identity_of(item: dict[str, Any] | None) -> ScorerIdentity | None:
    if item is None:
        return None
    return ScorerIdentity(*(member(item, name, str) for name in ("name", "version", "digest")))


def components_of(item: dict[str, Any]) -> dict[str, float]:
    components = {name: float(member(item, name, int, float)) for name in item}
    if not all(map(math.isfinite, components.values())):
        raise ValueError("a component is not finite")
    return components


def member(document: Any, name: str, *kinds: type) -> Any:
    """A member of a JSON object. Its type is compared exactly: `true` is not a number."""
    if type(document) is not dict:
        raise ProtocolError(f"{reprlib.repr(document)} stands where an object belongs")
    value = document.get(name)
    if type(value) not in kinds:
        raise ProtocolError(f"{name} is {reprlib.repr(value)}")
    return value


def document_in(response: httpx.Response) -> Any:
    """The JSON of a reply.

    Raises:
        ProtocolError: it is not declared as JSON, or is not JSON in UTF-8. NaN is not.
    """
    declared = media_type(response)
    if declared != "application/json" and not declared.endswith("+json"):
        raise ProtocolError(f"{declared or 'nothing'} is declared where JSON belongs")
    try:
        return json.loads(response.content.decode(), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        start = reprlib.repr(response.content[:200])
        raise ProtocolError(f"a reply is not JSON: {error}; it starts with {start}") from error


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def media_type(response: httpx.Response) -> str:
    declared: str = response.headers.get("content-type", "")
    return declared.partition(";")[0].strip().lower()


def verdict_in(response: httpx.Response) -> MonitorVerdict:
    """The verdict of a 200 reply to a report.

    Raises:
        ProtocolError: it is not one.
    """
    watch = document_in(response)
    verdict = member(watch, "verdict", dict)
    turnover = member(verdict, "turnover_kl", int, float, NoneType)
    return MonitorVerdict(
        alarm=member(verdict, "alarm", bool),
        reason=member(verdict, "reason", str),
        observations=member(watch, "observations", int),
        best_step=member(verdict, "best_step", int, NoneType),
        turnover_kl=None if turnover is None else float(turnover),
    )


# --- refusals ---------------------------------------------------------------------------


class Failure(Exception):
    """One attempt failed in a way that may pass. Callers of the client never see it."""

    def __init__(self, reason: str, retry_after_s: float = 0.0, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.busy = busy


def failure_in(
    response: httpx.Response, ids: Sequence[str]
) -> Failure | RequestRefused | ProtocolError:
    """What a reply other than 200 means, by its problem document or else by its status."""
    status = response.status_code
    if status < 300:
        return ProtocolError(f"status {status} came where 200 belongs")
    problem = problem_in(response)
    code = str(problem.get("code") or f"http_{status}")
    detail = str(problem.get("detail") or problem.get("title") or reprlib.repr(response.text))
    retryable = problem.get("retryable")
    if retryable is True or (retryable is None and status in RETRYABLE_STATUSES):
        wait_s = retry_after_s(response.headers)
        return Failure(f"{status} {code}: {detail}", wait_s, busy=status == 429)
    request_id = problem.get("request_id")
    faults = tuple(faults_of(problem.get("errors"), ids))
    return RequestRefused(status, code, detail, request_id and str(request_id), faults)


def problem_in(response: httpx.Response) -> dict[str, Any]:
    """The problem document of a reply (RFC 9457); empty where it has none."""
    if media_type(response) != "application/problem+json":
        return {}
    try:
        document = document_in(response)
    except ProtocolError:
        return {}  # the status still says enough
    return document if isinstance(document, dict) else {}


def faults_of(items: Any, ids: Sequence[str]) -> Iterator[Fault]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            path = str(item.get("field"))
            place = re.match(r"(?:samples|groups)\.(\d{1,9})\b", path)
            index = int(place[1]) if place else len(ids)
            sample_id = ids[index] if index < len(ids) else None
            yield Fault(path, str(item.get("message")), sample_id)


def retry_after_s(headers: httpx.Headers) -> float:
    """Seconds to wait as Retry-After has them: a number, or a date (RFC 9110, 10.2.3).

    A date is compared with the reply's own Date where it has one, for clocks differ.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = seconds_since_epoch(value)
    if until is None:
        return 0.0
    now = seconds_since_epoch(headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def seconds_since_epoch(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
