"""What the client raises:

    RewardClientError
    ├── InvalidRequest       a sample cannot be sent: not JSON, or an id used twice
    ├── RequestRefused       the service says no, and that trying again is of no use
    ├── ServiceUnreachable   nothing but failures for `max_outage_s`
    ├── ProtocolError        a reply breaks the contract: none of it becomes a reward
    ├── Unscored             `Score.reward_or_raise` where there is no reward
    └── ClientClosed         the client was closed before the call or during it

All of them survive pickling, so that they can cross process boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass


class RewardClientError(Exception):
    """Anything that the client raises on its own account."""


class InvalidRequest(RewardClientError, ValueError):
    """Nothing was sent: a sample is not JSON, or two samples share an id.

    NaN is not JSON, and neither is text with lone surrogates, which tokenizers never write
    and careless string handling does.
    """


@dataclass(frozen=True, slots=True)
class Fault:
    """One offending field of a refused request.

    `field` is the service's path into the batch that was sent, as in
    `samples.3.completion`; `sample_id` is the id of the sample it lies in.
    """

    field: str
    message: str
    sample_id: str | None = None


class RequestRefused(RewardClientError):
    """The service refuses the request and says that trying again is of no use.

    `faults` names the offending fields of a malformed request.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        request_id: str | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__(status, code, detail, request_id, faults)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.faults = faults

    def __str__(self) -> str:
        about = [f"{self.status} {self.code}: {self.detail}"]
        if ids := dict.fromkeys(fault.sample_id for fault in self.faults if fault.sample_id):
            about.append(f"sample {next(iter(ids))!r}" + (" and others" if len(ids) > 1 else ""))
        if self.request_id:
            about.append(f"request {self.request_id}")
        return "; ".join(about)


class ServiceUnreachable(RewardClientError):
    """The service did not answer for longer than the client was told to wait."""

    def __init__(self, url: str, duration_s: float, reason: str) -> None:
        super().__init__(url, duration_s, reason)
        self.url = url
        self.duration_s = duration_s
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"no answer from the reward service at {self.url} for {self.duration_s:.0f} s; "
            f"last: {self.reason}. Check that it runs there (GET {self.url}/readyz answers 200). "
            "max_outage_s says how long to wait for it, request_timeout_s for one reply."
        )


class ProtocolError(RewardClientError):
    """A reply that breaks the contract. It is not retried, and nothing in it is used."""


class Unscored(RewardClientError):
    """This sample has no reward, because it could not be scored."""

    def __init__(self, sample_id: str, code: str, message: str) -> None:
        super().__init__(sample_id, code, message)
        self.sample_id = sample_id
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"sample {self.sample_id!r} is unscored: {self.code}: {self.message}"


class ClientClosed(RewardClientError):
    """The client was closed, or the process forked since it was made."""
