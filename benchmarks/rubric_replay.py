"""Recorded judges, replayed through our own pairwise comparison.

The data are LLMBar's (Zeng et al., arXiv 2310.07641): pairs of outputs with an objective label,
and what real judges said about each pair in both orders. A file `JUDGE_PROMPT.json.gz` holds a
list of {"input", "output_1", "output_2", "label", "results"}.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.rubric_judges import read, reply_of, usage
from judges.llm.base import Ask, Reply

Side = Literal["a", "b"]

IS_BETTER = re.compile(r"Output \(([ab])\) is better")
MENTION = re.compile(r"Output \(([ab])\)")


@dataclass(frozen=True)
class Row:
    """One pair, and what one judge said about it."""

    prompt: str
    outputs: tuple[str, str]
    first_is_better: bool
    """The label."""
    replies: Sequence[tuple[str, Side | None]]
    """(what the judge wrote, the side recorded as its winner), of every recorded reply."""
    winners: Mapping[bool, str | None]
    """The output ("1", "2") that won in the end, unswapped and swapped."""


def rows(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [row_of(record) for record in json.load(file)]


def row_of(record: Mapping[str, Any]) -> Row:
    last = record["results"][-1]
    return Row(
        prompt=record["input"],
        outputs=(record["output_1"], record["output_2"]),
        first_is_better=record["label"] == 1,
        replies=list(replies_in(record["results"])),
        winners={swapped: last[f"swap = {swapped}"]["winner"] for swapped in (False, True)},
    )


def replies_in(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Side | None]]:
    for result in results:
        for swapped in (False, True):
            found = result[f"swap = {swapped}"]
            if "completion" in found:
                yield found["completion"][0], side_of(found["winner"], swapped)


def side_of(winner: str | None, swapped: bool) -> Side | None:
    """Which side was shown the winner: output 1 stands at (a), unless swapped."""
    if winner is None:
        return None
    return "a" if (winner == "1") != swapped else "b"


def recorded_rule(text: str) -> Side | None:
    """The winner by the rule of the recording: (a) wherever it is called better, else (b).

    Failing both, the only one that is mentioned. It takes quotations for verdicts.
    """
    better = set(IS_BETTER.findall(text))
    if better:
        return "a" if "a" in better else "b"
    mentioned = set(MENTION.findall(text))
    return mentioned.pop() if len(mentioned) == 1 else None


def last_conclusion(text: str) -> Side | None:
    """The winner by what is said last."""
    found = IS_BETTER.findall(text)
    return found[-1] if found else recorded_rule(text)


@dataclass
class Replayed:
    """A judge that says about two texts what it said when it was recorded."""

    recorded: Sequence[Row]
    name: str
    fingerprint: str = "recorded"
    winners: dict[tuple[Any, Any, Any], str] = field(init=False)

    def __post_init__(self) -> None:
        self.winners = {}
        for row in self.recorded:
            for swapped in (False, True):
                shown = row.outputs[::-1] if swapped else row.outputs
                side = side_of(row.winners[swapped], swapped)
                verdict = {"a": "first", "b": "second", None: "equal"}[side]
                self.winners[(row.prompt, *shown)] = verdict

    async def ask(self, ask: Ask) -> Reply:
        """What was shown is read back from the blocks, which must not have changed a letter."""
        seen = read(ask)
        shown = (seen.blocks["prompt"], seen.blocks["first"], seen.blocks["second"])
        text = reply_of(seen.nonce, {"better": self.winners[shown]})
        return Reply(text, usage=usage(ask, text))
