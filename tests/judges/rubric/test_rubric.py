"""What a rubric is, what is none, and what verdicts come to."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from judges.rubric import aggregate
from judges.rubric.rubric import WEIGHTS, Rubric, RubricError, Rubrics, load_rubric
from tests.judges.rubric.rows import rows


def rewarded(rubric: Rubric, values: dict[str, float]) -> float:
    return aggregate.reward(rubric, aggregate.resolved(rubric, values))


@pytest.mark.parametrize("row", rows("aggregation"))
def test_verdicts_come_to(row: dict[str, Any]) -> None:
    reward = rewarded(Rubric.model_validate(row["rubric"]), row["values"])
    assert reward == pytest.approx(row["reward"], abs=1e-12), row["why"]


@pytest.mark.parametrize("row", rows("refused"))
def test_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refusal:
        Rubric.model_validate(row["rubric"])
    assert row["says"] in str(refusal.value), row["why"]


WORTHS = st.floats(-10, 10).filter(lambda weight: abs(weight) >= 1e-6)
VALUES = st.floats(0, 1)


@st.composite
def rubrics_with_values(draw: st.DrawFn) -> tuple[Rubric, dict[str, float]]:
    """Any rubric whose criteria depend on earlier ones, and any values."""
    count = draw(st.integers(1, 6))
    criteria = [
        {
            "id": str(n),
            "text": f"Criterion {n}.",
            "weight": draw(WORTHS),
            "required": draw(st.booleans()),
            "depends_on": draw(st.lists(st.sampled_from("012345"[:n]), unique=True)) if n else [],
        }
        for n in range(count)
    ]
    rubric = Rubric.model_validate(
        {
            "criteria": criteria,
            "aggregation": draw(st.sampled_from(["explicit", "all_pass", "min"])),
            "normalise": draw(st.sampled_from(["positive", "range"])),
        }
    )
    return rubric, {str(n): draw(VALUES) for n in range(count)}


@given(rubrics_with_values())
def test_every_reward_lies_within_the_range(drawn: tuple[Rubric, dict[str, float]]) -> None:
    reward = rewarded(*drawn)
    assert math.isfinite(reward)
    assert 0.0 <= reward <= 1.0


@given(rubrics_with_values(), st.randoms(use_true_random=False))
def test_the_order_of_criteria_changes_nothing(
    drawn: tuple[Rubric, dict[str, float]], random: Any
) -> None:
    rubric, values = drawn
    shuffled = list(rubric.criteria)
    random.shuffle(shuffled)
    assert rewarded(rubric.model_copy(update={"criteria": shuffled}), values) == rewarded(
        rubric, values
    )


@given(rubrics_with_values(), st.data())
def test_meeting_a_merit_that_nothing_depends_on_never_costs(
    drawn: tuple[Rubric, dict[str, float]], data: st.DataObject
) -> None:
    rubric, values = drawn
    needed = {id_ for criterion in rubric.criteria for id_ in criterion.depends_on}
    free = [c for c in rubric.criteria if c.id not in needed]
    criterion = data.draw(st.sampled_from(free))
    better = values | {criterion.id: 1.0 if criterion.worth > 0 else 0.0}
    assert rewarded(rubric, better) >= rewarded(rubric, values) - 1e-12


@given(rubrics_with_values(), st.data())
def test_what_is_lost_early_is_lost(
    drawn: tuple[Rubric, dict[str, float]], data: st.DataObject
) -> None:
    """Programs may settle a reward before judges are asked, and then judges change nothing."""
    rubric, values = drawn
    known = {id_: values[id_] for id_ in data.draw(st.sets(st.sampled_from(sorted(values))))}
    if aggregate.is_lost(rubric, aggregate.resolved(rubric, known)):
        assert rewarded(rubric, values) == 0.0


def test_classes_stand_for_the_weights_of_the_paper() -> None:
    rubric = Rubric.model_validate(
        {"criteria": [{"id": name, "text": name, "class": name} for name in WEIGHTS]}
    )
    assert [criterion.worth for criterion in rubric.criteria] == [1.0, 0.7, 0.3, -0.9]


def test_a_rubric_survives_being_written_and_read() -> None:
    rubric = Rubric.model_validate(
        {"criteria": [{"id": "a", "text": "Is polite.", "class": "pitfall", "choices": ["b", "c"]}]}
    )
    assert Rubric.model_validate(json.loads(rubric.model_dump_json())) == rubric


# --- files and other systems' forms -----------------------------------------------------


def test_a_folder_holds_rubrics_by_name(tmp_path: Path) -> None:
    (tmp_path / "polite.toml").write_text('[[criteria]]\nid = "a"\ntext = "Is polite."\n')
    (tmp_path / "brief.json").write_text('{"criteria": [{"id": "a", "text": "Is brief."}]}')
    (tmp_path / "list.txt").write_text("- [ ] Is kind.\n2. Is brief.\n\n* Is clear.\nIs true.\n")
    (tmp_path / "notes.md").write_text("no rubric")
    rubrics = Rubrics.load(tmp_path)
    assert sorted(rubrics) == ["brief", "list", "polite"]
    texts = [criterion.text for criterion in rubrics["list"].criteria]
    assert texts == ["Is kind.", "Is brief.", "Is clear.", "Is true."]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.toml", "[[criteria", "a.toml"),
        ("a.json", "{", "a.json"),
        ("a.json", '{"criteria": [{"id": "x"}]}', "a.json.criteria.0"),
        ("a.txt", "\n", "a.txt.criteria"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(RubricError, match=says):
        load_rubric(tmp_path / name)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "a.toml"):
        (tmp_path / name).write_text('{"criteria": [{"id": "a", "text": "t"}]}')
    (tmp_path / "a.toml").write_text('[[criteria]]\nid = "a"\ntext = "t"\n')
    with pytest.raises(RubricError, match="another rubric"):
        Rubrics.load(tmp_path)


def test_a_health_bench_row_is_a_rubric() -> None:
    rubric = Rubric.model_validate(
        {
            "prompt_id": "7",
            "prompt": [{"role": "user", "content": "My head hurts."}],
            "rubrics": [
                {"criterion": "Asks how long.", "points": 5, "tags": ["level:example"]},
                {"criterion": "Names a dose for a child.", "points": -8, "tags": []},
            ],
        }
    )
    assert rubric.id == "7"
    assert [criterion.worth for criterion in rubric.criteria] == [5.0, -8.0]
    assert rewarded(rubric, {"1": 1.0, "2": 0.0}) == 1.0
    assert rewarded(rubric, {"1": 1.0, "2": 1.0}) == 0.0


def test_a_score_model_grader_is_a_rubric_and_its_template_is_never_filled_with_data() -> None:
    rubric = Rubric.model_validate(
        {
            "type": "score_model",
            "name": "closeness",
            "model": "some-model",
            "range": [1, 5],
            "pass_threshold": 3,
            "input": [
                {"role": "system", "content": "Grade strictly."},
                {
                    "role": "user",
                    "content": {
                        "type": "input_text",
                        "text": "Answer: {{ sample.output_text }}. Right: {{item.gold}}.",
                    },
                },
            ],
        }
    )
    [criterion] = rubric.criteria
    assert rubric.reference
    assert criterion.text == (
        'Grade strictly.\n\nAnswer: [the completion]. Right: [the member "gold" of the reference].'
    )
    assert criterion.form.value(2.0) == 0.25


def test_a_label_model_grader_is_a_rubric() -> None:
    rubric = Rubric.model_validate(
        {
            "type": "label_model",
            "name": "tone",
            "model": "some-model",
            "input": [{"role": "user", "content": "What is the tone of {{sample.output_text}}?"}],
            "labels": ["kind", "neutral", "rude"],
            "passing_labels": ["kind", "neutral"],
        }
    )
    [criterion] = rubric.criteria
    assert [criterion.form.value(label) for label in ("kind", "neutral", "rude")] == [1, 1, 0]
    assert not rubric.reference
