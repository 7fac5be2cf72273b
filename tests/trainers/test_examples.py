"""Every example of `examples/trainers` prints what it should, with the real framework.

Each scores a right, a wrong and an unscorable completion.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

UNSCORED = "sample '0' is unscored: missing_field: string_reversal needs a reference"

PRINTED = [
    (
        "verl_reward",
        "verl",
        [
            "1.0 {'score': 1.0, 'acc': 1.0, 'valid': 1.0}",
            "0.0 {'score': 0.0, 'acc': 0.0, 'valid': 1.0}",
            "0.0 {'score': 0.0, 'acc': 0.0, 'valid': 0.0}",
        ],
    ),
    (
        "verifiers_task",
        "verifiers.v1",
        [
            "cba {'assay': 1.0}",
            "abc {'assay': 0.0}",
            f"cba task Reverse scoring: Unscored: {UNSCORED}",
        ],
    ),
    ("skyrl_env", "skyrl_gym", ["cba 1.0 True", "abc 0.0 True", f"cba {UNSCORED}"]),
    ("nemo_rl_env", "torch", ["1.0 True correct", "0.0 True incorrect", "0.0 False None"]),
    ("openrlhf_reward", "torch", ["[1.0, 0.0, 0.0] [1.0, 1.0, 0.0]"]),
    ("atropos_env", "httpx", ["[1.0, 0.0, 0.0]", "None"]),
]


@pytest.mark.parametrize(("name", "framework", "lines"), PRINTED)
def test_an_example_prints_what_it_should(
    name: str, framework: str, lines: list[str], run_example: Callable[[str], list[str]]
) -> None:
    pytest.importorskip(framework)
    assert run_example(name) == lines


def test_trl_trains_as_the_example_says(run_example: Callable[[str], list[str]]) -> None:
    pytest.importorskip("trl")
    steps = [line for line in run_example("trl_grpo") if line.startswith("step ")]
    assert len(steps) == 4
    assert all(line.endswith("unscored 33%") for line in steps)
