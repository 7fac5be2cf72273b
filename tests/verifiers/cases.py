"""The rows of `tests/cases`: what each scorer makes of a completion, one line a case.

A file is named after its scorer. `scorer` holds parameters, `times` repeats the completion,
`others` are further completions of its group, and a row expects either `reward` and `outcome`
or `error`, a code. `answer`, `components`, `violation` and `message` are compared where they
are given. `tag` says why a row is there: `gold` is what a reference itself earns, `accept` and
`reject` draw the line between right and wrong, and `hack` is what an optimiser would try.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from verifiers.base import Outcome, Sample

CASES = Path(__file__).parent.parent / "cases"


class Case(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    scorer: dict[str, JsonValue] = {}
    prompt: str | None = None
    completion: str | dict[str, JsonValue]
    others: list[str] | None = None
    times: Annotated[int, Field(gt=1)] | None = None
    reference: JsonValue = None
    reward: float | None = None
    outcome: Outcome | None = None
    error: str | None = None
    answer: str | None = None
    components: dict[str, float] | None = None
    violation: str | None = None
    message: str | None = None
    tag: Literal["gold", "accept", "reject", "hack"]
    why: str

    @model_validator(mode="after")
    def _reward_xor_error(self) -> Self:
        assert (self.reward is None) == (self.outcome is None) == (self.error is not None)
        return self

    def sample(self) -> Sample:
        completion = self.completion
        if self.times is not None:
            assert isinstance(completion, str)
            completion *= self.times
        return Sample.model_validate(
            {"prompt": self.prompt, "completion": completion, "reference": self.reference}
            | ({} if self.others is None else {"group": self.id})
        )

    def samples(self) -> list[Sample]:
        """The sample, and those it is compared with."""
        others = [Sample(completion=other, group=self.id) for other in self.others or ()]
        return [self.sample(), *others]


def cases_of(scorer: str) -> list[Case]:
    lines = (CASES / f"{scorer}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Case.model_validate(json.loads(line)) for line in lines]


def all_cases() -> list[Any]:
    """Every row of every scorer, as parameters of a test."""
    return [
        pytest.param(path.stem, case, id=f"{path.stem}-{case.id}")
        for path in sorted(CASES.glob("*.jsonl"))
        for case in cases_of(path.stem)
    ]
