"""What a good completion is: weighted criteria, and how their verdicts become one reward.

After Rubrics as Rewards (arXiv 2507.17746), with the departures listed in README.md. A rubric
comes inline in a scorer's spec, by a name from a folder of files, or with each sample; the
types are the same. Whatever could not be scored by is refused here, before anything is asked.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from judges.rubric.formats import converted
from judges.rubric.forms import YES_NO, Between, Form, OneOf
from verifiers.base import Parameters, SpecError, first_fault
from verifiers.sample import Json, Name, ScorerSpec
from verifiers.weighted import MAX_WEIGHT, not_zero

MAX_CRITERIA = 64
"""HealthBench's longest rubric has 48, and every one is read by a judge with each completion."""

MAX_CRITERION_CHARACTERS = 8_000
MAX_CHOICES = 20

MIN_WEIGHT = 1e-6
"""Below this, a criterion costs a verdict and moves no reward."""

Importance = Literal["essential", "important", "optional", "pitfall"]
WEIGHTS: Mapping[Importance, float] = {
    "essential": 1.0,
    "important": 0.7,
    "optional": 0.3,
    "pitfall": -0.9,
}
"""The weights of Rubrics as Rewards. There, a pitfall is phrased as avoided and adds 0.9 when
it is; here it is phrased as committed, as HealthBench does, and takes 0.9 away."""

Aggregation = Literal["explicit", "implicit", "all_pass", "min"]

Described = Annotated[str, Field(min_length=1, max_length=MAX_CRITERION_CHARACTERS)]


READERS: Mapping[str, Callable[[str], Any]] = {
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".txt": str,
}


class RubricError(SpecError):
    """A rubric's file cannot be used. The message says which and why."""

    def __init__(self, message: str) -> None:
        super().__init__([((), message)])


def not_tiny(weight: float) -> float:
    if abs(weight) < MIN_WEIGHT:
        raise ValueError(f"a weight below {MIN_WEIGHT:g} moves no reward")
    return weight


class Choice(Parameters):
    label: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="The choice.")
    value: float = Field(ge=0.0, le=1.0, description="What it is worth, from 0 to 1.")


class Scale(Parameters):
    lowest: float = Field(1.0, description="The worst grade, worth 0.")
    highest: float = Field(10.0, description="The best grade, worth 1.")
    whole: bool = Field(True, description="Whole numbers only.")

    @model_validator(mode="after")
    def _is_a_scale(self) -> Self:
        if not 0 < self.highest - self.lowest < MAX_WEIGHT:
            raise ValueError("`highest` must be above `lowest`")
        if self.whole and not (self.lowest.is_integer() and self.highest.is_integer()):
            raise ValueError("a scale of whole numbers has whole bounds")
        return self


class Criterion(Parameters):
    """One thing that a completion does or does not."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    id: Name = Field(description="Names it in `components`.")
    text: Described | None = Field(None, description="What must hold; judges read it.")
    weight: Annotated[float, AfterValidator(not_zero), AfterValidator(not_tiny)] | None = Field(
        None,
        ge=-MAX_WEIGHT,
        le=MAX_WEIGHT,
        description="What it counts, 1 by default; negative for a fault.",
    )
    importance: Importance | None = Field(
        None, alias="class", description="Instead of a weight: 1, 0.7, 0.3, or -0.9 for a pitfall."
    )
    kind: Literal["judge", "verifier"] = Field("judge", description="Who decides.")
    scorer: ScorerSpec | None = Field(None, description="Of kind verifier: what decides.")
    at_least: float | None = Field(
        None,
        description="Of kind verifier: met from this reward on. Left out, the reward counts as "
        "the share of its range, which must then be finite.",
    )
    choices: list[str | Choice] | None = Field(
        None,
        min_length=2,
        max_length=MAX_CHOICES,
        description="Verdicts from worst to best, evenly spaced unless they have values.",
    )
    scale: Scale | None = Field(None, description="The verdict is a number on this scale.")
    required: bool = Field(False, description="Missing this, a completion earns the lowest reward.")
    depends_on: list[Name] = Field(
        [], description="Criteria that must be met for this one to count as met."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.weight is not None and self.importance is not None:
            raise ValueError("a criterion has a `weight` or a `class`, not both")
        if self.kind == "verifier":
            if self.scorer is None:
                raise ValueError("a criterion of kind verifier names its `scorer`")
            if self.choices or self.scale:
                raise ValueError("`choices` and `scale` are for judges")
        elif self.text is None:
            raise ValueError("a criterion of kind judge has a `text`")
        elif self.scorer is not None or self.at_least is not None:
            raise ValueError("`scorer` and `at_least` are for the kind verifier")
        return self

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if self.choices and self.scale:
            raise ValueError("a criterion has `choices` or a `scale`, not both")
        labels = [c if isinstance(c, str) else c.label for c in self.choices or ()]
        if repeated := duplicates(labels):
            raise ValueError(f"two choices are called {repeated[0]!r}")
        if len({isinstance(choice, str) for choice in self.choices or ()}) > 1:
            raise ValueError("either all choices have values, or none")
        return self

    @property
    def worth(self) -> float:
        """Its weight, by whichever way it was given; 1 where it was not."""
        if self.importance is not None:
            return WEIGHTS[self.importance]
        return 1.0 if self.weight is None else self.weight

    @property
    def form(self) -> Form:
        if self.scale is not None:
            return Between(self.scale.lowest, self.scale.highest, self.scale.whole)
        if self.choices is None:
            return YES_NO
        last = len(self.choices) - 1
        return OneOf(
            {
                choice if isinstance(choice, str) else choice.label: rank / last
                if isinstance(choice, str)
                else choice.value
                for rank, choice in enumerate(self.choices)
            }
        )


class Rubric(Parameters):
    """Criteria, and how their verdicts become one reward."""

    id: Name | None = Field(None, description="What the rubric is called.")
    version: Name = Field("1", description="Whose change makes scores incomparable.")
    instructions: Annotated[str, Field(max_length=MAX_CRITERION_CHARACTERS)] = Field(
        "", description="What a judge should know before it reads the criteria."
    )
    criteria: list[Criterion] = Field(min_length=1, max_length=MAX_CRITERIA)
    aggregation: Aggregation = Field(
        "explicit",
        description="`explicit`: the weighted sum of a verdict each. `implicit`: a judge reads "
        "all and gives one grade. `all_pass`: 1 if every one passes. `min`: the worst one.",
    )
    normalise: Literal["positive", "range"] = Field(
        "positive",
        description="Of `explicit`: divide by the positive weights and clip, or map the whole "
        "range of the sum onto [0, 1].",
    )
    reference: bool = Field(
        False, description="Show the sample's reference to the judge, and demand that there is one."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_other_systems(cls, content: Any) -> Any:
        return content if isinstance(content, str) else converted(content)

    @model_validator(mode="after")
    def _has_no_duplicates(self) -> Self:
        if repeated := duplicates(criterion.id for criterion in self.criteria):
            raise ValueError(f"two criteria are called {repeated[0]!r}")
        texts = [" ".join(c.text.split()).casefold() for c in self.criteria if c.text is not None]
        if repeated := duplicates(texts):
            raise ValueError(f"two criteria say the same: {repeated[0][:80]!r}")
        return self

    @model_validator(mode="after")
    def _can_be_resolved(self) -> Self:
        """Every prerequisite exists, and none waits for itself."""
        open_ = {criterion.id: set(criterion.depends_on) for criterion in self.criteria}
        for id_, needed in open_.items():
            if unknown := sorted(needed - open_.keys()):
                raise ValueError(f"{id_!r} depends on {unknown[0]!r}, which is no criterion")
        while ready := [id_ for id_, needed in open_.items() if not needed & open_.keys()]:
            for id_ in ready:
                del open_[id_]
        if open_:
            raise ValueError(f"{min(open_)!r} depends on itself, through `depends_on`")
        return self

    @model_validator(mode="after")
    def _is_plain_where_nothing_is_asked_apart(self) -> Self:
        if self.aggregation == "implicit":
            self.demand_plain("implicit aggregation")
        return self

    def demand_plain(self, what: str) -> None:
        """Refuses whatever needs a verdict of its own, where there is one for all.

        Raises:
            ValueError: naming the first criterion.
        """
        for c in self.criteria:
            if c.kind == "verifier" or c.choices or c.scale or c.required or c.depends_on:
                raise ValueError(
                    f"{what} gives {c.id!r} no verdict of its own: text and weight only"
                )


class SampleRubric(Rubric):
    """A rubric that comes with a sample, as its reference."""

    answer: Json = Field(None, description="What verifiers, and judges who see it, compare with.")


class Rubrics(dict[str, Rubric]):
    """Rubrics by name, for specs that name one."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Every `NAME.json`, `NAME.toml` and `NAME.txt` (a checklist, an item a line) of a folder.

        Raises:
            RubricError: a file is no rubric, or two have the same name.
        """
        if not folder.is_dir():
            raise RubricError(f"there is no folder {folder}")
        rubrics = cls()
        for path in sorted(folder.iterdir()):
            if path.suffix in READERS:
                if path.stem in rubrics:
                    raise RubricError(f"{path.name}: another rubric is called {path.stem!r}")
                rubrics[path.stem] = load_rubric(path)
        return rubrics


def load_rubric(path: Path) -> Rubric:
    """A rubric from a JSON, TOML or text file, in our form or one that `formats` reads.

    Raises:
        RubricError: there is none, or it cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = READERS.get(path.suffix, str)(text)
        return Rubric.model_validate(converted(content))
    except ValidationError as error:
        raise RubricError(first_fault(path.name, error)) from None
    except (OSError, ValueError) as error:
        raise RubricError(f"{path.name}: {error}") from None


def duplicates(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]
