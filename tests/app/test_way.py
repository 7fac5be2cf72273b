"""How far it is from a route to the scorer: every function of ours on the way, by name."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi.testclient import TestClient

from app.routes import score
from tests.app.conftest import reversal
from tests.app.conftest import score as post
from verifiers.base import Verifier

ROOT = Path(score.__file__).parents[2]
OURS = tuple(str(ROOT / name) for name in ("app", "judges", "verifiers"))

HANDLER = "score_router.<locals>.score"
SCORER = Verifier.score_each.__qualname__

MOST = 10
"""Functions entered between the handler and the scorer's first line."""


def test_few_functions_lie_between_the_handler_and_the_scorer(client: TestClient) -> None:
    sample = reversal("cba", "abc")
    post(client, sample)  # everything is built
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            entered.append(frame.f_code.co_qualname)

    assert client.portal is not None
    client.portal.call(sys.setprofile, note)
    answer = post(client, sample)
    client.portal.call(sys.setprofile, None)
    assert answer.json()["scores"][0]["reward"] == 1.0
    start, end = entered.index(HANDLER), entered.index(SCORER)
    between = list(dict.fromkeys(entered[start + 1 : end]))
    assert len(between) <= MOST, between
