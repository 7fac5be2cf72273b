"""Rewards an answer that is JSON and fits a JSON Schema (Draft 2020-12).

What counts as JSON is RFC 8259, and where that leaves readers free to disagree, the answer
is refused: no NaN or Infinity, no number that a double cannot hold, no key twice in one
object, no byte order mark, and at most `MAX_ANSWER_NESTING` levels.

In the schema, numbers are compared as they are written, in decimal: 0.29 is a multiple of
0.01. Patterns are RE2's, which are ECMA-262's without look-around and back-references: `$` is
the very end, `\\d` and `\\w` are ASCII. A `format` is an assertion, and must be one of `FORMATS`.
A `$ref` reaches the schema itself and no further: nothing is fetched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, NoReturn

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic import AfterValidator, ConfigDict, Field, JsonValue
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012
from typing_extensions import TypedDict

from verifiers.base import InvalidReference, MissingField, Parameters, Sample, Score, Verifier
from verifiers.extract import ANSWER_FROM_HELP, AnswerFrom, answer_in
from verifiers.json_formats import FORMATS
from verifiers.regular_expression import engine
from verifiers.sample import nesting, shape

Schema = bool | dict[str, JsonValue]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MAX_SCHEMA_CHARACTERS = 65_536
"""Of the schema as JSON. Scorers are kept ready, and so are their schemas."""

MAX_ANSWER_NESTING = 64
"""Levels of an answer. The validator recurses, some ten Python frames a level."""

MAX_SCHEMA_VALUES = 1_000
"""In a schema: checking that it is one takes up to half a millisecond for each."""

BLAMELESS_NESTING = 16
"""An answer this flat cannot be why the validator recurses too deep: the schema is."""

MAX_MESSAGE_CHARACTERS = 200
"""The validator quotes the answer, which may be 256 KiB."""

MAX_DIGITS = 400
"""Characters of a number with a fraction or an exponent. A double has 17 digits."""

EXACT = Context(prec=10_000)
"""More digits than any quotient of two numbers that are taken has."""

MAX_COMPILED = 128


# --- the validator ----------------------------------------------------------------------


class Number(Decimal):
    """A number as it is written, which is how it is shown, too."""

    def __repr__(self) -> str:
        return str(self)


Found = Iterator[ValidationError]


def pattern(validator: Any, expected: str, value: Any, schema: Any) -> Found:
    if isinstance(value, str) and not matches(expected, value):
        yield ValidationError(f"{value!r} does not match {expected!r}")


def pattern_properties(validator: Any, expected: Any, value: Any, schema: Any) -> Found:
    for each, subschema in expected.items() if isinstance(value, dict) else ():
        for key in value:
            if matches(each, key):
                yield from validator.descend(value[key], subschema, path=key, schema_path=each)


def additional_properties(validator: Any, expected: Any, value: Any, schema: Any) -> Found:
    """jsonschema's own rule, of the properties that no pattern matches."""
    if isinstance(value, dict) and (patterns := schema.get("patternProperties")):
        value = {key: value[key] for key in value if not any(matches(p, key) for p in patterns)}
        schema = {"properties": schema.get("properties", {})}
    rule = Draft202012Validator.VALIDATORS["additionalProperties"]
    yield from rule(validator, expected, value, schema)


def multiple_of(validator: Any, divisor: Any, value: Any, schema: Any) -> Found:
    if validator.is_type(value, "number") and EXACT.remainder(Decimal(value), Decimal(divisor)):
        yield ValidationError(f"{value!r} is not a multiple of {divisor!r}")


def matches(expected: str, text: str) -> bool:
    try:
        return engine(expected).search(text) is not None
    except UnicodeEncodeError:  # a lone surrogate, which no pattern can name
        return False


def is_integer(_: Any, value: Any) -> bool:
    if isinstance(value, Decimal):
        return value == value.to_integral_value()
    return isinstance(value, int) and not isinstance(value, bool)


SchemaValidator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
        "multipleOf": multiple_of,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer),
)

FORMAT_CHECKER = FormatChecker(())
for name, check in FORMATS.items():
    FORMAT_CHECKER.checks(name, raises=ValueError)(check)


# --- schemas ----------------------------------------------------------------------------


def usable(schema: Schema) -> Schema:
    """The schema itself.

    Raises:
        ValueError: it is no schema of Draft 2020-12, refers to what is not there, or is
            too large.
    """
    compiled(canonical(schema))
    return schema


def canonical(schema: Schema) -> str:
    try:
        return json.dumps(schema, sort_keys=True, allow_nan=False)
    except RecursionError:
        raise ValueError("the schema is nested too deep") from None


@lru_cache(MAX_COMPILED)
def compiled(schema_json: str) -> Any:
    if len(schema_json) > MAX_SCHEMA_CHARACTERS:
        raise ValueError(f"a schema may have {MAX_SCHEMA_CHARACTERS:,} characters")
    schema = json.loads(schema_json)
    if shape(schema)[1] > MAX_SCHEMA_VALUES:
        raise ValueError(f"a schema may hold {MAX_SCHEMA_VALUES:,} values")
    dialect = schema.pop("$schema", DIALECT) if isinstance(schema, dict) else DIALECT
    if dialect != DIALECT:
        raise ValueError(f"$schema: schemas are read as {DIALECT}, not as another draft")
    try:
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
        check_subschemas(DRAFT202012.create_resource(schema))
    except SchemaError as error:
        raise ValueError(
            f"not a JSON Schema: {described(error.json_path, error.message)}"
        ) from None
    except Unresolvable as error:
        raise ValueError(f"{error.ref!r} is not in the schema, and nothing is fetched") from None
    except RecursionError:
        raise ValueError("the schema is nested too deep") from None
    exact = json.loads(json.dumps(schema), parse_float=number)
    return SchemaValidator(exact, registry=Registry(), format_checker=FORMAT_CHECKER)


def check_subschemas(root: Resource[Any]) -> None:
    """Refuses what could not be looked up or run, before any answer is seen.

    Raises:
        Unresolvable: a reference leads nowhere.
        ValueError: a pattern, a format or a keyword is one that this module does not have.
    """
    registry: Registry[Any] = Registry().with_resource("", root)
    open_ = [(root, registry.resolver_with_root(root))]
    seen: set[int] = set()
    keywords: set[str] = set()
    while open_:
        resource, resolver = open_.pop()
        if id(resource.contents) in seen:
            continue
        seen.add(id(resource.contents))
        resolver = resolver.in_subresource(resource)
        if isinstance(resource.contents, Mapping):
            keywords |= resource.contents.keys()
            check_keywords(resource.contents)
            for keyword in ("$ref", "$dynamicRef"):
                if isinstance(reference := resource.contents.get(keyword), str):
                    target = resolver.lookup(reference)
                    found = DRAFT202012.create_resource(target.contents)
                    open_.append((found, target.resolver))
        open_.extend((inner, resolver) for inner in resource.subresources())
    if keywords >= {"unevaluatedProperties", "patternProperties"}:
        raise ValueError("unevaluatedProperties is not taken together with patternProperties")


def check_keywords(schema: Mapping[str, Any]) -> None:
    if isinstance(schema.get("$schema"), str):
        raise ValueError("$schema belongs at the top of the schema alone")
    if isinstance(given := schema.get("format"), str) and given not in FORMATS:
        raise ValueError(f"format {shortened(given)!r}: the formats are {', '.join(FORMATS)}")
    patterns = schema.get("patternProperties")
    for each in [schema.get("pattern"), *(patterns if isinstance(patterns, Mapping) else ())]:
        if isinstance(each, str):
            try:
                engine(each)
            except ValueError as error:
                raise ValueError(f"pattern {shortened(each)!r}: {error}") from None


# --- answers ----------------------------------------------------------------------------


def parse(text: str) -> Any:
    """The JSON value that `text` is.

    Raises:
        ValueError: it is not JSON as this module has it.
        RecursionError: it is nested hundreds of levels deep.
    """
    return json.loads(
        text,
        object_pairs_hook=unique,
        parse_constant=refuse_constant,
        parse_float=number,
        parse_int=integer,
    )


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is repeated")
    return members


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def number(digits: str) -> Number:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has over {MAX_DIGITS} digits")
    if double(digits) == 0.0:
        if any(digit in "123456789" for digit in digits.lower().partition("e")[0]):
            raise ValueError("a number is out of range")
        return Number(0)  # whatever its exponent
    return Number(digits)


def double(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def integer(digits: str) -> int:
    double(digits)  # an integer beyond doubles may have a hundred thousand digits
    return int(digits)


def described(path: str, message: str) -> str:
    """A violation in one line of valid Unicode, which neither the answer's size nor its
    escaped lone surrogates may upset."""
    line = f"{shortened(path)}: {shortened(message)}"
    return line.encode(errors="backslashreplace").decode()


def shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[:MAX_MESSAGE_CHARACTERS] + "…"


# --- the scorer -------------------------------------------------------------------------


class JsonSchemaParameters(Parameters):
    model_config = ConfigDict(serialize_by_alias=True)

    json_schema: Annotated[Schema, AfterValidator(usable)] | None = Field(
        None,
        alias="schema",
        description="The schema, Draft 2020-12. Left out, the sample's reference is the "
        f"schema. At most {MAX_SCHEMA_CHARACTERS:,} characters of JSON.",
    )
    answer_from: AnswerFrom = Field("fenced", description=ANSWER_FROM_HELP)


class JsonSchemaDetails(TypedDict, total=False):
    """`details` of a score of `json_schema`."""

    violation: str
    """Where the answer first fails, and how."""
    limit: str
    """What a rejected answer exceeds."""


class JsonSchema(Verifier[JsonSchemaParameters]):
    """Rewards an answer that is strict JSON and fits a JSON Schema.

    `details.violation` says where the answer first fails, and how.

    Runs in a worker process: `uniqueItems` compares every pair, and a schema that refers to
    itself twice doubles the work with each level of the answer.
    """

    name = "json_schema"
    version = "2"
    lane = "cpu"
    parameters_type = JsonSchemaParameters
    reference_type = Schema
    details_type = JsonSchemaDetails
    example: ClassVar[dict[str, Any]] = {
        "prompt": 'Which city, and which year? Answer as {"city": …, "year": …}.',
        "completion": '```json\n{"city": "Paris", "year": 1900}\n```',
        "scorer": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "year": {"type": "integer"}},
                "required": ["city", "year"],
                "additionalProperties": False,
            },
        },
    }

    def check(self, sample: Sample) -> None:
        super().check(sample)
        if self.parameters.json_schema is None and sample.reference is None:
            raise MissingField("json_schema needs a schema: its parameter, or the reference")

    def prepare(self, sample: Sample) -> None:
        self.validator(sample)

    @property
    def answers_are_text(self) -> bool:
        return True

    def score_one(self, sample: Sample) -> Score:
        """1 where the answer fits, else 0."""
        validator = self.validator(sample)
        answer = answer_in(sample, self.parameters.answer_from)
        if answer is None or not answer.strip():
            return self.lowest("no_answer")
        try:
            value = parse(answer)
            depth = nesting(value)
        except RecursionError:
            depth = MAX_ANSWER_NESTING + 1
        except ValueError as error:
            return self.unfit(answer, "$", f"not JSON: {error}")
        if depth > MAX_ANSWER_NESTING:
            return self.lowest("rejected", limit=f"{MAX_ANSWER_NESTING} levels of nesting")
        return self.validated(validator, answer, value, depth)

    @cached_property
    def _canonical(self) -> str:
        assert self.parameters.json_schema is not None
        return canonical(self.parameters.json_schema)

    def validator(self, sample: Sample) -> Any:
        if self.parameters.json_schema is not None:
            return compiled(self._canonical)
        try:
            return compiled(canonical(self.reference_of(sample)))
        except ValueError as error:
            raise InvalidReference(f"reference: {error}") from None

    def validated(self, validator: Any, answer: str, value: Any, depth: int) -> Score:
        try:
            violation = next(validator.iter_errors(value), None)
        except RecursionError:
            if depth <= BLAMELESS_NESTING:
                raise InvalidReference("the schema refers to itself without end") from None
            return self.lowest("rejected", limit="the schema recurses too deep on this answer")
        if violation is None:
            return Score(reward=1.0, outcome="correct", answer=answer)
        return self.unfit(answer, violation.json_path, violation.message)

    def unfit(self, answer: str, path: str, message: str) -> Score:
        details = {"violation": described(path, message)}
        return Score(reward=0.0, outcome="incorrect", answer=answer, details=details)
