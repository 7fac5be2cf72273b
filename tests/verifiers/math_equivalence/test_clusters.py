"""Which answers of a group are one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers.math_equivalence import clusters as module
from verifiers.math_equivalence.clusters import clusters

ROWS: list[tuple[list[str], list[int]]] = [
    (["1/2", "0.5", r"\frac{1}{2}", r"\frac12", "50\\%", ".50"], [0, 0, 0, 0, 0, 0]),
    (["50%", "50", "0.5"], [0, 1, 0]),
    (["2", "1", "2.0", "1.00", "3"], [0, 1, 0, 1, 4]),
    (["1,000", "1000", "1e3"], [0, 0, 0]),
    ([r"\frac{\sqrt{2}}{2}", r"1/\sqrt{2}", "0.7071"], [0, 0, 2]),
    (["x+1", "1+x", "x-1"], [0, 0, 2]),
    (["(1, 2)", "(1,2)", "(2,1)"], [0, 0, 2]),
    (["x = 5", "5", "6"], [0, 0, 2]),
    (["Paris", "paris", "London"], [0, 0, 2]),
    (["B", "(B)", "C"], [0, 0, 2]),
    (["0.333", "1/3", "0.3333"], [0, 1, 2]),
    ([], []),
    (["", "", "a"], [0, 0, 2]),
    (["9" * 3_000, "9" * 3_000, "9" * 3_001], [0, 0, 2]),
]


@pytest.mark.parametrize(("answers", "labels"), ROWS, ids=str)
def test_answers_that_say_the_same_share_a_label(answers: list[str], labels: list[int]) -> None:
    assert clusters(answers) == labels


def test_as_written_only_numbers_and_normal_forms_are_one() -> None:
    assert clusters(["1/2", "0.5", "x+1", "1+x"], in_pairs=False) == [0, 0, 2, 3]


SOME = st.sampled_from(
    [
        "1/2",
        "0.5",
        "2",
        "x+1",
        "1+x",
        r"\sqrt{4}",
        "A",
        "\\boxed",
        "{",
        "∞",
        "5 cm",
        "50 mm",
        "10^999999999",
    ]
)


@settings(max_examples=60)
@given(st.lists(SOME | st.text(max_size=12), max_size=10), st.randoms())
def test_clusters_do_not_depend_on_the_order(answers: list[str], dice: Any) -> None:
    order = list(range(len(answers)))
    dice.shuffle(order)
    labels, shuffled = clusters(answers), clusters([answers[i] for i in order])
    for i in range(len(order)):
        for j in range(i):
            together = labels[order[i]] == labels[order[j]]
            assert together == (shuffled[i] == shuffled[j])
    assert all(labels[label] == label <= i for i, label in enumerate(labels))


def test_the_comparisons_of_a_group_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(module, "same", lambda one, other: bool(asked.append((one, other))))
    clusters([f"x^{i} + {i}" for i in range(2_000)])
    assert len(asked) == module.MAX_COMPARED * (module.MAX_COMPARED - 1) // 2
