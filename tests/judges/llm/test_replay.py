"""Recorded replies are repeated, and nothing else is said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from judges.llm.base import Reply
from tests.judges.llm.judging import judges
from tests.judges.llm.scripted_endpoint import asking
from verifiers.base import SpecError
from verifiers.errors import JudgeFailed

TURNS = [["system", "You grade."], ["user", "q"]]


def replayed(path: Path, *asks: Any) -> list[Any]:
    async def go() -> list[Any]:
        async with judges(tape={"kind": "replay", "path": str(path)}) as hosted:
            answers = (hosted["tape"].ask(ask) for ask in asks)
            return await asyncio.gather(*answers, return_exceptions=True)

    return asyncio.run(go())


def write(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


def test_a_recorded_reply_is_repeated_with_what_it_took(tmp_path: Path) -> None:
    nonce = "1" * 32
    tape = write(
        tmp_path / "tape.jsonl",
        {"turns": TURNS, "text": "a reply", "usage": [30, 4]},
        {
            "turns": TURNS,
            "options": ["yes", "no"],
            "seed": 3,
            "text": "yes",
            "probabilities": {"yes": 0.9, "no": 0.1},
        },
        {"turns": [["user", f"say {nonce}"]], "nonce": nonce, "text": f"said {nonce}"},
    )
    plain, chosen, missing = replayed(
        tape, asking("q"), asking("q", options=("yes", "no"), seed=3), asking("another")
    )
    assert isinstance(plain, Reply)
    assert (plain.text, plain.usage.prompt_tokens, plain.usage.calls) == ("a reply", 30, 1)
    assert chosen.probabilities == {"yes": 0.9, "no": 0.1}
    assert isinstance(missing, JudgeFailed)
    assert missing.retryable is False


@pytest.mark.parametrize(
    "line",
    [
        {"turns": TURNS},
        {"turns": [], "text": "x"},
        {"turns": [["oracle", "x"]], "text": "x"},
        {"turns": TURNS, "text": 1},
        {"turns": TURNS, "text": "x", "probabilities": {"yes": 2.0}},
        {"turns": TURNS, "text": "x", "extra": 1},
    ],
)
def test_an_unusable_line_is_refused_when_the_service_starts(tmp_path: Path, line: Any) -> None:
    tape = write(tmp_path / "tape.jsonl", {"turns": TURNS, "text": "x"}, line)
    with pytest.raises(SpecError, match=r"judges\.tape: line 2"):
        replayed(tape)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        replayed(tmp_path / "nothing.jsonl")
