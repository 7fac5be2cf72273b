"""What a run comes to, with every member of the documented schema."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Self, get_args

from pydantic import BaseModel

from app.protocols.openai_graders.formula import FormulaError
from app.protocols.openai_graders.graders import MultiGrader, SingleGrader
from app.protocols.openai_graders.grading import Failure, Flag, Grade, Usage
from app.protocols.protocol import ErrorReply, Refusal

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(ErrorReply):
    """The form in which OpenAI's clients read errors."""

    error: ErrorBody

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        """`invalid_grader` where the fault lies inside the grader."""
        code = refusal.code
        if (refusal.field or "").startswith("grader"):
            code = "invalid_grader"
        kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
        kind = TYPES.get(refusal.status, kind)
        message, field = refusal.message, refusal.field
        return cls(error=ErrorBody(message=message, type=kind, param=field, code=code))


def combined(
    grader: SingleGrader | MultiGrader, grades: Mapping[str, Grade]
) -> tuple[float, list[Failure]]:
    """The reward, and all that went wrong. A reward that rests on a failure is 0."""
    failures = [grade.failure for grade in grades.values() if grade.failure is not None]
    if any(not failure.is_the_completions for failure in failures):
        return 0.0, failures
    values = {name: grade.value for name, grade in grades.items()}
    if not isinstance(grader, MultiGrader):
        return values[grader.name], failures
    try:
        return grader.combine(values), failures
    except FormulaError as error:
        return 0.0, [*failures, Failure("formula_parse_error", str(error), "formula")]


def run_reply(
    grader: SingleGrader | MultiGrader, grades: Mapping[str, Grade], execution_s: float
) -> tuple[dict[str, Any], bool]:
    """The reply, and whether its reward is one: the schema has no word for that."""
    reward, failures = combined(grader, grades)
    values = {name: grade.value for name, grade in grades.items()}
    usages = [grade.usage for grade in grades.values() if grade.usage is not None]
    content = {
        "reward": reward,
        "sub_rewards": values if isinstance(grader, MultiGrader) else {},
        "model_grader_token_usage_per_model": usage_by_judge(usages),
        "metadata": {
            "name": grader.name,
            "type": grader.type,
            "execution_time": execution_s,
            "scores": values,
            "token_usage": sum(usage.tokens for usage in usages) if usages else None,
            "sampled_model_name": usages[0].judge if len(usages) == 1 else None,
            "errors": errors_of(failures),
        },
    }
    return content, all(failure.is_the_completions for failure in failures)


def usage_by_judge(usages: Sequence[Usage]) -> Mapping[str, Mapping[str, int]]:
    total: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for usage in usages:
        total[usage.judge].update(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.tokens,
        )
    return total


def errors_of(failures: Sequence[Failure]) -> dict[str, bool | str | None]:
    first = {failure.flag: failure for failure in reversed(failures)}
    server = first.get("python_grader_server_error")
    details = {flag: failure.details for flag, failure in first.items()}
    return {
        **{flag: flag in first for flag in get_args(Flag)},
        "python_grader_server_error_type": server.code if server else None,
        "python_grader_runtime_error_details": details.get("python_grader_runtime_error"),
        "model_grader_server_error_details": details.get("model_grader_server_error"),
    }
