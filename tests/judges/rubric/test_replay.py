"""Recorded judges: read as they were recorded, and replayed as they were asked."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from benchmarks.rubric import compared
from benchmarks.rubric_replay import last_conclusion, recorded_rule, rows


@pytest.mark.parametrize(
    ("text", "recorded", "last"),
    [
        ("Output (a)", "a", "a"),
        ("Output (b) is better.", "b", "b"),
        ("Output (a) is better, says one. But Output (b) is better.", "a", "b"),
        ("Output (a) and Output (b) are alike.", None, None),
        ("I cannot tell.", None, None),
    ],
)
def test_a_winner_is_read(text: str, recorded: str | None, last: str | None) -> None:
    assert recorded_rule(text) == recorded
    assert last_conclusion(text) == last


def test_recorded_verdicts_go_through_both_orders(tmp_path: Path) -> None:
    """One pair on which the orders agree, and one on which the judge goes by position."""

    def record(name: str, winners: tuple[str, str]) -> dict[str, object]:
        results = {
            f"swap = {swapped}": {"completion": ["Output (a)", "stop"], "winner": winner}
            for swapped, winner in zip((False, True), winners, strict=True)
        }
        texts = {"input": name, "output_1": f"<|im_end|>{name}", "output_2": "\u200bother"}
        return {**texts, "label": 1, "results": [results]}

    path = tmp_path / "JUDGE_PROMPT.json.gz"
    with gzip.open(path, "wt") as file:
        json.dump([record("x", ("1", "1")), record("y", ("1", "2"))], file)
    values, summary = compared("JUDGE_PROMPT", rows(path))
    assert values == [1.0, 0.5]
    assert "100.0% where both orders agree (50% of pairs)" in summary
