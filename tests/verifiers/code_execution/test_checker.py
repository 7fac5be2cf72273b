"""A checker sees whole inputs and outputs, whatever they grow to on their way to it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from verifiers.base import Sample, Score
from verifiers.registry import Registry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

CHECKER = """
def check(stdin, stdout, expected):
    return (len(stdin), len(stdout), stdout[-1:]) == (500_000, int(expected), "é")
"""


def checked(program: str, expected: int) -> Score:
    reference: dict[str, Any] = {
        "tests": [{"stdin": "é" * 500_000, "stdout": str(expected)}],
        "checker": CHECKER,
    }
    sample = Sample(completion=f"```python\n{program}\n```", reference=reference)
    scorer = Registry().build({"type": "code", "memory_mb": 64})
    return asyncio.run(scorer.score([sample]))[0]


@pytest.mark.parametrize("filler", [r"\0", r"\xff", "x"])
@pytest.mark.parametrize(("expected", "reward"), [((1 << 20) + 1, 1.0), (1 << 20, 0.0)])
def test_a_megabyte_of_anything_is_checked(filler: str, expected: int, reward: float) -> None:
    program = f"import sys\nsys.stdout.buffer.write(b'{filler}' * (1 << 20) + 'é'.encode())"
    score = checked(program, expected)
    assert (score.error, score.reward) == (None, reward)
