"""Whose fault a misshapen value is: the request's, which is refused, or one sample's, which fails.

    the request's (4xx)                         one sample's (its error, beside its neighbours)
    not JSON; NaN or infinity anywhere          a lone surrogate inside of it
    a member of the envelope, wrong or unknown  completion or prompt: `unreadable`
    a sample or group that is no object         reference: `invalid_reference`
    an unknown member of one: a client's typo   scorer: `invalid_scorer`, `unknown_scorer`
    no completion, no scorer, an id given twice id, group: `unreadable`, too

What no scorer reads (metadata, a message's other members) fails nothing. Where an id is at fault,
the score has the sample's index for an id, even if another sample has chosen that name.
A request is validated whole. Only where that fails are its faults sorted. If every one is a
sample's, what is at fault is replaced by what cannot be, and the request validated again: so
all the rest is checked as ever. A group's fault is one of each of its scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from app.http.errors import Fault, dotted, shown
from app.http.exact_json import NotStrictJson
from app.http.strict_json import NOT_UNICODE, StrictRequest, StrictRoute, leniently, unspeakable
from verifiers.errors import (
    InvalidReference,
    ScoringError,
    Unreadable,
    UnusableOwnScorer,
    faults_in,
    place,
)

Path = tuple[str | int, ...]

SHOWN_FAULTS = 3
"""Of one sample. Who mends these will see the others."""

HOW_TO_MEND: Mapping[str | int, Any] = {"completion": "", "completions": "", "scorer": "unread"}
"""What stands for a value at fault. The other members may be null."""

ERRORS: Mapping[str | int, type[ScoringError]] = {
    "reference": InvalidReference,
    "scorer": UnusableOwnScorer,
}
"""By the member at fault; `Unreadable` where it is another."""

MEMBERS = frozenset(
    {"id", "prompt", "completion", "completions", "reference", "group", "scorer", "metadata"}
)
"""Of a sample or a group. A fault of any other is a typo, which every sample has."""

REQUESTS_OWN = ("missing", "extra_forbidden")
"""Kinds of fault of a whole member of a sample that are the request's."""


class Sparing(BaseModel):
    """A request whose samples can be at fault alone."""

    _faults: dict[Path, ScoringError] = PrivateAttr(default_factory=dict)
    """By the place of the sample, the group, or the completion in a group. Routes read it; the
    underscore is pydantic's demand."""

    @model_validator(mode="wrap")
    @classmethod
    def _spare(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        faults = data.faults if isinstance(data, Marred) else []
        try:
            request = handler(data)
        except ValidationError as error:
            own = own_faults(error, data)
            mend(data, own)
            request = handler(data)
            faults = faults + own
        if faults:
            request._faults = errors_by_place(faults)
        return request


class Marred(dict[str, Any]):
    """A body whose samples held lone surrogates, mended.

    Args:
        faults: where they were.
    """

    def __init__(self, body: dict[str, Any], faults: list[Fault]) -> None:
        super().__init__(body)
        self.faults = faults


class SparingRequest(StrictRequest):
    """A request that lone surrogates fail only where no single sample holds them."""

    def reread(self, body: bytes, error: NotStrictJson) -> Any:
        return marred(leniently(body, error)) or super().reread(body, error)  # which refuses it


def marred(value: Any) -> Marred | None:
    """A body of which each fault is a lone surrogate of one sample, mended; None for another."""
    faults: dict[Path, Fault] = {}  # one of each value: there may be millions
    unread = set[Path]()
    for path, message in unspeakable(value):
        own = value_at_fault(path)
        if message != NOT_UNICODE or own is None:
            return None
        if is_read(path[2], path[len(own) :]):
            faults.setdefault(own, (path, message))
        else:
            unread.add(own)
    if not faults and not unread:
        return None
    for own in unread - faults.keys():
        holder = holder_of(value, own)
        try:
            holder[own[-1]] = spoken(holder[own[-1]])
        except RecursionError:  # what is read may be too deep to be written, by a level or two
            faults[own] = own, NOT_UNICODE
    mend(value, faults.values())
    return Marred(value, [*faults.values()])


class SparingRoute(StrictRoute):
    """A route that takes a `Sparing` request."""

    request_type = SparingRequest


def value_at_fault(path: Path) -> Path | None:
    """The value of a sample, or of a group, in which a fault at `path` lies.

    None where it lies in none: then the fault is the request's.
    """
    if len(path) < 3 or path[0] not in ("samples", "groups") or path[2] not in MEMBERS:
        return None
    if path[2] != "completions":
        return path[:3]
    return path[:4] if len(path) > 3 else None


def is_read(member: str | int, path: Path) -> bool:
    """Whether a scorer may read what lies at `path` in this member of a sample or a group."""
    if member == "metadata":
        return False
    if member not in ("completion", "completions") or not path:
        return True
    if path[0] == "content":
        return len(path) < 3 or path[2] in ("type", "text")
    return path[0] == "role"


def spoken(value: Any) -> Any:
    """The value with `?` for each lone surrogate, in keys also."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def own_faults(error: ValidationError, data: Any) -> list[Fault]:
    """The faults of a request, if each is a sample's own.

    Raises:
        ValidationError: the error itself, for there is one of the request.
    """
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        path, kind = place(fault["loc"], data, fault["type"]), fault["type"]
        own = value_at_fault(path)
        if own is None or kind == "invalid_request" or (path == own and kind in REQUESTS_OWN):
            raise error
    return faults_in(error, data)


def mend(data: Any, faults: Iterable[Fault]) -> None:
    """Replaces what is at fault, in place: nobody else has the body as it was read."""
    for path, _ in faults:
        own = value_at_fault(path) or ()
        holder_of(data, own)[own[-1]] = HOW_TO_MEND.get(path[2])


def holder_of(data: Any, path: Path) -> Any:
    """The object or array that holds the value at `path`."""
    for step in path[:-1]:
        data = data[step]
    return data


def errors_by_place(faults: Iterable[Fault]) -> dict[Path, ScoringError]:
    """One error for every sample, group, or completion of a group that has a fault."""
    by_place: dict[Path, list[Fault]] = {}
    for path, message in faults:
        own = value_at_fault(path) or ()
        owner = own if path[2] == "completions" else own[:2]
        by_place.setdefault(owner, []).append((path[2:], message))
    return {owner: error_of(some) for owner, some in by_place.items()}


def error_of(faults: Sequence[Fault]) -> ScoringError:
    """The error of a sample with these faults, whose paths begin with its members."""
    path, _ = faults[0]
    return ERRORS.get(path[0] if path else "", Unreadable)(sentence(faults))


def sentence(faults: Iterable[Fault]) -> str:
    """The first faults of a sample, each with its field."""
    told = dict.fromkeys(f"{dotted(path)}: {shown(message)}" for path, message in faults)
    return "; ".join(list(told)[:SHOWN_FAULTS])
