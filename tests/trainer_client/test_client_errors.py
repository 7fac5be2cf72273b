"""The error tree is the one that its docstring draws."""

from __future__ import annotations

import pickle
import re

import pytest

from trainer_client import (
    ClientClosed,
    Fault,
    InvalidRequest,
    ProtocolError,
    RequestRefused,
    RewardClientError,
    ServiceUnreachable,
    Unscored,
    errors,
)


def descendants(kind: type) -> set[type]:
    children = kind.__subclasses__()
    return {kind}.union(*map(descendants, children))


def test_the_docstring_draws_every_error_and_no_other() -> None:
    tree = errors.__doc__.split("\n\n")[1]
    drawn = re.findall(r"^[ │├└─]*(\w+)", tree, re.MULTILINE)
    assert drawn[0] == "RewardClientError"
    assert sorted(drawn) == sorted(kind.__name__ for kind in descendants(RewardClientError))


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("sample 1"),
        RequestRefused(422, "c", "d", "r", (Fault("samples.0.id", "m", "p1"),)),
        ServiceUnreachable("http://x", 3.0, "ConnectError"),
        ProtocolError("broken"),
        Unscored("p1", "internal", "m"),
        ClientClosed("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_to_another_process(error: RewardClientError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
