"""From a grader and what it grades to samples of ours, and from their scores to grades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.protocols.gateway import Gateway, Unscored, sample_of
from app.protocols.openai_graders.graders import (
    JudgeGrader,
    LabelModelGrader,
    MultiGrader,
    PythonGrader,
    RuleGrader,
    SamplingParams,
    ScoreModelGrader,
    SingleGrader,
    StringCheckGrader,
    TextSimilarityGrader,
)
from app.protocols.openai_graders.templates import UnknownVariable, fill
from judges.llm.base import Judge
from judges.model_grader import (
    LabelModel,
    LabelParameters,
    ScoreModel,
    ScoreParameters,
    UnreadableVerdict,
    VerdictDeclined,
)
from verifiers.base import Sample, Score, Scorer, SpecError
from verifiers.code_execution.grader import GraderFailed, sample_for_grader
from verifiers.errors import JudgeFailed
from verifiers.registry import Registry
from verifiers.sample import ScorerSpec

OneGrader = RuleGrader | JudgeGrader

Flag = Literal[
    "formula_parse_error",
    "sample_parse_error",
    "truncated_observation_error",
    "unresponsive_reward_error",
    "invalid_variable_error",
    "other_error",
    "python_grader_server_error",
    "python_grader_runtime_error",
    "model_grader_server_error",
    "model_grader_refusal_error",
    "model_grader_parse_error",
]
"""What the reply can say went wrong."""

JUDGE_FLAGS: Mapping[str, Flag] = {
    UnreadableVerdict.code: "model_grader_parse_error",
    VerdictDeclined.code: "model_grader_refusal_error",
}
"""By the code of a judge's error."""

PASSING = frozenset({"deadline_exceeded", "shutting_down", "internal"})
"""Codes of errors that, where they are retryable, say nothing about the grader: the client
is told to try again, which it does."""

OVERLONG = 1e300
"""A python grader may return any number; so large a bound keeps out infinities alone."""

PYTHON_TIME_LIMIT_S = 120.0
PYTHON_MEMORY_MB = 2_048
"""As the guide has them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a grade is 0 without having been earned, in the words of the reply."""

    flag: Flag
    details: str
    code: str

    @property
    def is_the_completions(self) -> bool:
        """A sample that is no JSON where the grader reads JSON has earned its 0."""
        return self.flag == "sample_parse_error"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a judge took. Replies from its records took none."""

    judge: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Grade:
    value: float
    failure: Failure | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be scored for one grader."""

    scorer: Scorer[Any]
    sample: Sample


def parts_of(grader: SingleGrader | MultiGrader) -> dict[str, OneGrader]:
    """The graders that grade by themselves, by the names that replies give them."""
    return dict(grader.graders) if isinstance(grader, MultiGrader) else {grader.name: grader}


def assign(
    name: str, grader: OneGrader, is_part: bool, variables: Mapping[str, Any], gateway: Gateway
) -> Assignment | Failure:
    """What to score for a grader, or why nothing can be.

    Raises:
        SpecError: the grader does not build, with the place in the request.
    """
    try:
        if isinstance(grader, ScoreModelGrader | LabelModelGrader):
            return assign_judge(grader, variables, gateway.judges)
        scorer = build(name, grader, is_part, gateway.registry)
        return Assignment(scorer, sample_for(grader, variables))
    except JudgeFailed as error:
        return Failure("model_grader_server_error", str(error), error.code)
    except UnknownVariable as unknown:
        is_json = unknown.path[:2] == ("sample", "output_json")
        flag: Flag = "sample_parse_error" if is_json else "invalid_variable_error"
        return Failure(flag, str(unknown), flag)


def assign_judge(
    grader: JudgeGrader, variables: Mapping[str, Any], judges: Mapping[str, Judge]
) -> Assignment:
    """What to ask a judge, who goes by the grader's model.

    Raises:
        JudgeFailed: there is none of that name.
        UnknownVariable: a template names what is not there.
    """
    if grader.model not in judges:
        raise JudgeFailed(f"no judge is configured as {grader.model!r}", retryable=False)
    messages = [
        {"role": message.role, "content": fill(message.template, variables)}
        for message in grader.input
    ]
    sample = sample_of(prompt=messages, completion=variables["sample"]["output_text"])
    return Assignment(judge_scorer(grader, judges[grader.model]), sample)


def judge_scorer(grader: JudgeGrader, judge: Judge) -> Scorer[Any]:
    asked = grader.sampling_params or SamplingParams()
    options: dict[str, Any] = {
        "seed": asked.seed,
        "temperature": asked.temperature or 0.0,
        "top_p": asked.top_p,
        "reasoning_effort": asked.reasoning_effort,
    }
    if asked.max_completions_tokens is not None:
        options["max_tokens"] = asked.max_completions_tokens
    if isinstance(grader, LabelModelGrader):
        options.update(labels=grader.labels, passing_labels=grader.passing_labels)
        return LabelModel(LabelParameters(**options), judge)
    lowest, highest = grader.range
    return ScoreModel(ScoreParameters(**options, lowest=lowest, highest=highest), judge)


def build(name: str, grader: RuleGrader, is_part: bool, registry: Registry) -> Scorer[Any]:
    try:
        return registry.build(spec_of(grader))
    except SpecError as error:
        raise error.below("grader", *(("graders", name) if is_part else ())) from None


def spec_of(grader: RuleGrader) -> ScorerSpec:
    if isinstance(grader, StringCheckGrader):
        operation = "ne" if grader.operation == "neq" else grader.operation
        return {"type": "string_check", "operation": operation}
    if isinstance(grader, TextSimilarityGrader):
        return {"type": "text_similarity", "metric": grader.evaluation_metric}
    return {
        "type": "python_grader",
        "source": grader.source,
        "lowest": -OVERLONG,
        "highest": OVERLONG,
        "time_limit_s": PYTHON_TIME_LIMIT_S,
        "memory_mb": PYTHON_MEMORY_MB,
    }


def sample_for(grader: RuleGrader, variables: Mapping[str, Any]) -> Sample:
    """
    Raises:
        UnknownVariable: a template names what is not there.
    """
    if isinstance(grader, PythonGrader):
        completion: str = variables["sample"]["output_text"]
        return sample_of(completion=completion, reference=variables["item"])
    return sample_of(
        completion=fill(grader.input, variables), reference=fill(grader.reference, variables)
    )


def variables_of(model_sample: str, item: dict[str, Any] | None) -> dict[str, Any]:
    return {"item": item or {}, "sample": sample_for_grader(model_sample)}


def grade_of(grader: OneGrader, score: Score) -> Grade:
    """
    Raises:
        Unscored: trying again may help.
    """
    if score.error is None:
        assert score.reward is not None
        # over the size limit: a python grader's lowest reward is no grade
        return Grade(0.0 if score.outcome == "rejected" else score.reward, None, usage_in(score))
    if score.error.retryable and score.error.code in PASSING:
        raise Unscored(score.error)
    return Grade(
        0.0, Failure(flag_of(grader, score.error.code), score.error.message, score.error.code)
    )


def flag_of(grader: OneGrader, code: str) -> Flag:
    if isinstance(grader, PythonGrader):
        is_its_own = code == GraderFailed.code
        return "python_grader_runtime_error" if is_its_own else "python_grader_server_error"
    if isinstance(grader, ScoreModelGrader | LabelModelGrader):
        return JUDGE_FLAGS.get(code, "model_grader_server_error")
    return "other_error"


def usage_in(score: Score) -> Usage | None:
    """What a judge took; None where none was asked."""
    if "judge" not in score.details:
        return None
    given, taken = (score.details[name] for name in ("prompt_tokens", "completion_tokens"))
    return Usage(score.details["judge"], given, taken)
