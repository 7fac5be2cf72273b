"""Why a judge gave no reply. Each is a `JudgeFailed`, and says what may be done about it.

    NoAnswer                 charged   sent again   circuit   of use to try later
    ├── CallFailed
    │   ├── NotConnected     no        yes          counts    yes
    │   ├── NoReply          in full   yes          counts    yes
    │   ├── Busy             no        yes          -         yes
    │   ├── ServerError      no        yes          counts    yes
    │   ├── Rejected         no        no           -         no
    │   ├── CutOff           in full   no           counts    yes
    │   └── Unusable         as told   no           -         no
    │       └── Declined     as told   no           -         no
    ├── CapReached           -         -            -         no
    ├── CircuitOpen          -         -            -         yes
    └── GivenUp              -         -            -         yes

"In full" is the most that the call could have cost. Once an endpoint has begun a reply it has
been paid for one, so the call is not sent again; and a whole reply would be the same again.
"""

from __future__ import annotations

from typing import ClassVar

from judges.llm.base import Usage
from verifiers.errors import JudgeFailed


class NoAnswer(JudgeFailed):
    """An ask came to nothing."""

    used = Usage()
    """What it took all the same, by all its calls; nothing where another's call was shared."""


class CallFailed(NoAnswer):
    """One call came to nothing."""

    charged: ClassVar[bool] = False
    """The endpoint may want money for it."""
    sent_again: ClassVar[bool] = False
    ill: ClassVar[bool] = False
    """Speaks against the endpoint's health."""
    later: ClassVar[bool] = True
    """A later try may succeed."""

    def __init__(
        self,
        message: str,
        *,
        usage: Usage | None = None,
        retry_after_s: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, retryable=self.later)
        self.usage = usage
        """What it took, where the endpoint told."""
        self.retry_after_s = retry_after_s
        self.status = status


class NotConnected(CallFailed):
    """The call never left."""

    sent_again = True
    ill = True


class NoReply(CallFailed):
    """The call was sent, and no reply began."""

    charged = True
    sent_again = True
    ill = True


class Busy(CallFailed):
    """The endpoint answered that this is too much at a time."""

    sent_again = True


class ServerError(CallFailed):
    """The endpoint, or a proxy before it, answered that it is broken."""

    sent_again = True
    ill = True


class Rejected(CallFailed):
    """The endpoint does not accept this call, or this key."""

    later = False


class CutOff(CallFailed):
    """A reply began and did not end as it should."""

    charged = True
    ill = True


class Unusable(CallFailed):
    """A whole reply that is no verdict: a refusal, a truncated text, no JSON …"""

    charged = True
    later = False


class Declined(Unusable):
    """A whole reply in which the judge refuses to give one."""


class CapReached(NoAnswer):
    """The call could have gone over a cap."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class CircuitOpen(NoAnswer):
    """The endpoint failed too often a moment ago to be asked now."""


class GivenUp(NoAnswer):
    """Waiting any longer would have passed the deadline, or nobody waits any more."""
