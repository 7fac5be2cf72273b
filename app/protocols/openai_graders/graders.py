"""The graders as OpenAI's API has them (`openai` 3.52, `types/graders`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from app.http.openapi import WHOLE
from app.protocols.openai_graders import formula
from app.protocols.openai_graders.templates import Template
from verifiers.sample import Name, few
from verifiers.text_similarity import Metric

MAX_PARTS = 32
"""Graders inside one multi: each is a sample of its own."""


class Member(BaseModel):
    """What a grader consists of, and no more."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Grader(Member):
    name: Name
    pass_threshold: float | None = Field(None, description="In the guide; decides nothing here.")


class StringCheckGrader(Grader):
    type: Literal["string_check"]
    input: Template
    reference: Template
    operation: Literal["eq", "ne", "neq", "like", "ilike"]


class TextSimilarityGrader(Grader):
    type: Literal["text_similarity"]
    input: Template
    reference: Template
    evaluation_metric: Annotated[
        Metric | Literal["cosine"], WithJsonSchema({"type": "string", "enum": [*get_args(Metric)]})
    ]

    @field_validator("evaluation_metric")
    @classmethod
    def _needs_no_embeddings(cls, metric: str) -> str:
        if metric == "cosine":
            raise ValueError("cosine is for evals only: it takes an embedding model")
        return metric


class PythonGrader(Grader):
    type: Literal["python"]
    source: Annotated[str, Field(json_schema_extra={"minLength": 1})]
    image_tag: str | None = Field(None, description="Ignored: see the sandbox for its packages.")


class Part(Member):
    """A text part of a judge's input. Images and sounds are refused: judges read texts."""

    type: Literal["input_text", "output_text"]
    text: Template


def parts(content: Any) -> Any:
    """Content comes as one text, one part, or a list of either."""
    contents = few(content if isinstance(content, list) else [content])
    return [{"type": "input_text", "text": c} if isinstance(c, str) else c for c in contents]


class Input(Member):
    """One message of a judge's input."""

    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        list[Part],
        BeforeValidator(parts, json_schema_input_type=str | Part | list[str | Part]),
    ]
    type: Literal["message"] | None = None

    @property
    def template(self) -> str:
        return "".join(part.text for part in self.content)


Inputs = Annotated[list[Input], Field(min_length=1), BeforeValidator(few)]


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class SamplingParams(Member):
    max_completions_tokens: Annotated[int, Field(ge=1), WHOLE] | None = None
    reasoning_effort: Effort | None = None
    seed: Annotated[int, WHOLE] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)


class ScoreModelGrader(Grader):
    type: Literal["score_model"]
    model: Name
    input: Inputs
    range: Annotated[list[float], Field(min_length=2, max_length=2)] = [0.0, 1.0]
    sampling_params: SamplingParams | None = None

    @field_validator("range")
    @classmethod
    def _is_a_range(cls, bounds: list[float]) -> list[float]:
        if not bounds[0] < bounds[1]:
            raise ValueError("the lower bound comes first")
        return bounds


class LabelModelGrader(Grader):
    type: Literal["label_model"]
    model: Name
    input: Inputs
    labels: Annotated[list[Name], Field(min_length=1), BeforeValidator(few)]
    passing_labels: Annotated[list[Name], Field(min_length=1), BeforeValidator(few)]
    sampling_params: SamplingParams | None = None

    @field_validator("passing_labels")
    @classmethod
    def _are_labels(cls, passing: list[str], info: ValidationInfo) -> list[str]:
        if not set(passing) <= set(info.data.get("labels", passing)):
            raise ValueError("passing_labels are some of the labels")
        return passing


RuleGrader = StringCheckGrader | TextSimilarityGrader | PythonGrader
JudgeGrader = ScoreModelGrader | LabelModelGrader
SingleGrader = RuleGrader | ScoreModelGrader
PartGrader = Annotated[RuleGrader | JudgeGrader, Field(discriminator="type")]


class MultiGrader(Grader):
    """Grades of several, and a formula that makes them one."""

    type: Literal["multi"]
    graders: dict[Name, PartGrader] = Field(
        min_length=1,
        max_length=MAX_PARTS,
        description="By the names that the formula uses. One grader alone goes by its own.",
    )
    calculate_output: str

    @field_validator("graders", mode="before")
    @classmethod
    def _one_alone_has_its_own_name(cls, value: Any) -> Any:
        """The guide sends graders by key; the SDK's type is one grader."""
        if isinstance(value, dict) and isinstance(value.get("type"), str):
            return {str(value.get("name")): value}
        return value

    @field_validator("calculate_output")
    @classmethod
    def _is_a_formula(cls, text: str, info: ValidationInfo) -> str:
        if "graders" in info.data:
            formula.parse(text, info.data["graders"])
        return text

    def combine(self, grades: Mapping[str, float]) -> float:
        """
        Raises:
            FormulaError: the formula has no value for these grades.
        """
        return formula.evaluate(formula.parse(self.calculate_output, grades), grades)


AnyGrader = Annotated[SingleGrader | MultiGrader, Field(discriminator="type")]
"""What may be run: a label_model only inside a multi."""
