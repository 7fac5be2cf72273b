"""What a program is tested with: the three forms that a reference may take."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

MAX_TESTS = 200
MAX_TEST_CODE_CHARACTERS = 256 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Reference(_Part):
    solution: str | None = Field(
        None,
        description="A program that passes. Where it does not, the reference is broken and "
        "the sample is an error, not a failure of the completion.",
    )


class _FunctionReference(_Reference):
    preamble: str = Field(
        "",
        max_length=MAX_TEST_CODE_CHARACTERS,
        description="What the prompt has already defined: run before the program. A program "
        "whose first line is indented goes on where the preamble ends.",
    )


class StdioTest(_Part):
    """One run of the program."""

    stdin: str = Field("", description="What it reads from standard input.")
    stdout: str = Field(description="What it must write to standard output.")


class StdioReference(_Reference):
    """Tests by standard input and output."""

    tests: list[StdioTest] = Field(min_length=1, max_length=MAX_TESTS)
    checker: str | None = Field(
        None,
        description="For several right outputs: a Python program with a function "
        "`check(stdin, stdout, expected) -> bool`, which replaces the comparison.",
    )


class Case(_Part):
    """One call of a function."""

    args: list[JsonValue] = Field(default_factory=list)
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    expected: JsonValue = Field(description="What it must return. Tuples equal lists.")


class CasesReference(_FunctionReference):
    """Calls of one function, or of the method of that name of a class `Solution`."""

    entry_point: str = Field(pattern=r"^[A-Za-z_]\w*$")
    cases: list[Case] = Field(min_length=1, max_length=MAX_TESTS)


class TestCodeReference(_FunctionReference):
    """Python test code that calls the program's functions, with `assert` statements.

    Results are plain values there, and so are names of the program that are not called. What
    needs its classes cannot be run apart from it: see `in_process`.
    """

    test_code: str = Field(min_length=1, max_length=MAX_TEST_CODE_CHARACTERS)
    entry_point: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*$",
        description="What the test code calls `candidate`. A function `check(candidate)` that "
        "it defines and does not call is called.",
    )


def kind_of(value: Any) -> str | None:
    """The form of a reference, by the member that only it has."""
    has = value.__contains__ if isinstance(value, dict) else lambda name: hasattr(value, name)
    return next((name for name in ("tests", "cases", "test_code") if has(name)), None)


AnyReference = StdioReference | CasesReference | TestCodeReference

Reference = Annotated[
    Annotated[StdioReference, Tag("tests")]
    | Annotated[CasesReference, Tag("cases")]
    | Annotated[TestCodeReference, Tag("test_code")],
    Discriminator(
        kind_of,
        custom_error_type="reference_form",
        custom_error_message="needs one of: tests; entry_point and cases; test_code",
    ),
]
