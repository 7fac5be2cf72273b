"""What is to be decided about which texts, apart from how it is put to a judge."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judges.rubric.forms import Between, Form
from judges.rubric.hygiene import serialised
from judges.rubric.rubric import Criterion, Rubric
from verifiers.base import Sample

EACH = """\
Decide about each criterion by itself, for the block "completion".
{instructions}
Criteria:
{criteria}"""

OVERALL = """\
Give the block "completion" one grade that weighs all criteria together. Those with a negative
weight name faults.
{instructions}
Criteria:
{criteria}"""

BETTER = """\
The blocks "first" and "second" answer the same prompt. Decide which one meets the criteria
better, all weighed together, or whether they are equal. Those with a negative weight name faults.
The order of the two means nothing.
{instructions}
Criteria:
{criteria}"""

AMONG = """\
The blocks "candidate-1" and so on answer the same prompt. Grade each one in comparison with the
others, by all criteria weighed together: equal ones get equal grades. Those with a negative
weight name faults. The order of the candidates means nothing.
{instructions}
Criteria:
{criteria}"""

TASKS = (EACH, OVERALL, BETTER, AMONG)

GRADE = Between(1.0, 10.0)
"""Of implicit aggregation: the Likert scale of Rubrics as Rewards."""

Blocks = tuple[tuple[str, Any], ...]
"""What judges see as data: JSON values by name, in order."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be decided about which texts, and what each verdict may be."""

    task: str
    """One of the templates above, with `criteria` and `instructions` to fill in."""
    criteria: str
    instructions: str
    data: Blocks
    forms: Mapping[str, Form]
    """What is to be decided, by the key under which the reply has its verdict."""


def each(rubric: Rubric, criteria: Sequence[Criterion], data: Blocks) -> Question:
    """One verdict for each criterion."""
    return Question(
        task=EACH,
        criteria=listed(criteria, with_weights=False),
        instructions=rubric.instructions,
        data=data,
        forms={f"c{number}": c.form for number, c in enumerate(criteria, start=1)},
    )


def overall(rubric: Rubric, data: Blocks, seed: int) -> Question:
    """One grade for all criteria."""
    shuffled = list(rubric.criteria)
    random.Random(seed).shuffle(shuffled)
    return Question(
        task=OVERALL,
        criteria=listed(shuffled, with_weights=True),
        instructions=rubric.instructions,
        data=data,
        forms={"overall": GRADE},
    )


def listed(criteria: Sequence[Criterion], *, with_weights: bool) -> str:
    """The criteria as judges read them, under numbers that say nothing."""
    return "\n".join(
        line(
            f"c{number}",
            criterion=criterion.text,
            **({"weight": criterion.worth} if with_weights else {}),
        )
        for number, criterion in enumerate(criteria, start=1)
    )


def context(rubric: Rubric, sample: Sample) -> Blocks:
    """What judges see beside the completion, before it: never after, where it might be echoed."""
    blocks: list[tuple[str, Any]] = []
    if sample.prompt is not None:
        blocks.append(("prompt", shown_prompt(sample)))
    if rubric.reference:
        blocks.append(("reference", sample.reference))
    return tuple(blocks)


def shown_prompt(sample: Sample) -> str | None:
    """The prompt as text; several messages as the JSON of their roles and texts."""
    if sample.prompt is None or isinstance(sample.prompt, str):
        return sample.prompt
    messages = [{"role": m.role, "content": m.text} for m in sample.prompt]
    return json.dumps(messages, ensure_ascii=False)


def line(key: str, **members: Any) -> str:
    """One criterion as a judge reads it."""
    return f"{key}: {serialised(members)}"
