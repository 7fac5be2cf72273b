"""Which requests that fit the OpenAPI document are refused all the same, and why each may be.

    python -m tests.app.refusals [EXAMPLES]

sends so many to every route, prints in groups (by route, field and reason) what is refused, and
marks the groups that the table has no row for. The tests of the document hold to the table, too.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from typing import Any, NamedTuple

import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import CheckContext
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.main import create_app
from app.protocols.registry import PROTOCOLS
from app.settings import Protocols, Settings
from tests.app.conftest import served

REFUSED = (400, 411, 413, 415, 422)
"""404 says that something is not there, and 424, 429 and 503 that it could not be scored."""

EXAMPLES = 60

CHATS = r"(/compat/(vllm|sglang/v1))?(/v1)?/(classify|pooling|embeddings)"
GRADERS = r"(/openai)?/v1/fine_tuning/alpha/graders/(run|validate)"
PROGRAMS = "a program is more than a text"


class Beyond(NamedTuple):
    """What no JSON Schema says."""

    routes: str
    """A pattern that fits their whole addresses."""
    field: str
    """As the refusal names it; names of the caller's own, and indices, are `*`."""
    why: str


NATIVE = "/v1/(score|groups)"
IN_SCORER = r"scorer\.(.+\.)?"
"""The request's scorer, or one in it."""

BEYOND_SCHEMAS = (
    # The service's own: what compares, and parameters whose text is in a language.
    Beyond(NATIVE, r"(samples|groups)\.\*\.id", "ids differ from one another"),
    Beyond(NATIVE, "", "a key is new, or repeats a request that was sent before"),
    Beyond(NATIVE, f"{IN_SCORER}source", "Python that defines grade(sample, item)"),
    Beyond(NATIVE, f"{IN_SCORER}(pattern|schema)", "an RE2 pattern; a schema that compiles"),
    Beyond(NATIVE, f"{IN_SCORER}(judge|rubric)", "names of what the settings have"),
    Beyond(NATIVE, rf"{IN_SCORER}(rubric\..*|calibration)", "some members go with others only"),
    Beyond(NATIVE, rf"{IN_SCORER}(components|gates)(\..*)?", "names differ; weights are not 0"),
    Beyond(NATIVE, r"scorer(\..+\.scorer)?", "parameters bound or exclude one another"),
    # Other systems'.
    Beyond(CHATS, r"messages\.\*", "a chat's last message is the assistant's"),
    Beyond(".*/(reward|evaluate)", r"messages\.\*", "a chat's last message is the assistant's"),
    Beyond(".*/get_reward", "prompts|labels", "there is one of each for every query"),
    Beyond(
        "(/compat/vllm(/v1)?)?/score", "text_1|data_1|queries", "as many of one as of the other"
    ),
    Beyond("/compat/sglang/v1/score", "", "no scorer tells probabilities of tokens: all refused"),
    Beyond("/test_program(_stdio)?", "tests", "a text is a list of tests in JSON"),
    Beyond(
        GRADERS, r"grader(\.graders(\.\*)+)?\.source", "Python that defines grade(sample, item)"
    ),
    Beyond(GRADERS, r"grader\.calculate_output", "arithmetic over the names of the graders"),
    Beyond(GRADERS, r"grader(\.graders(\.\*)+)?\.range", "the lower bound comes first"),
    Beyond(GRADERS, r"grader\.graders\.(\*\.)+passing_labels", "they are some of the labels"),
    Beyond(
        GRADERS,
        r"grader(\.graders(\.\*)+)?\.(input|reference)(\..*)?",
        "variables of a template are paths into item or sample",
    ),
)

EVERYTHING: dict[str, Any] = {
    **{each.name: True for each in PROTOCOLS},
    "default_preset": "format",
}
"""All protocols, at the root, too."""

NAME = re.compile(r"[a-z][a-z_]*\w+")
FIELD = re.compile(r"([\w.]+): ")
VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|\(.*\)|\{\{.*\}\}|U\+\w+")

Group = tuple[str, str, str]
"""Route, field, reason."""


def is_beyond_schemas(path: str, field: str) -> bool:
    return any(
        re.fullmatch(each.routes, path) and re.fullmatch(each.field, field)
        for each in BEYOND_SCHEMAS
    )


def accepted_or_beyond_schemas(
    ctx: CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    """schemathesis's own check of what fits the schema, but for what the table has."""
    if response.status_code not in REFUSED:
        return None
    if is_beyond_schemas(case.path, reason(response.json())[0]):
        return None
    return bool(positive_data_acceptance(ctx, response, case))


def refusals(examples: int) -> tuple[Counter[Group], dict[Group, str], int]:
    """How often each group was met, an example of each, and how many requests were sent."""
    groups: Counter[Group] = Counter()
    shown: dict[Group, str] = {}
    sent = 0

    def ask(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        reply = case.call(base_url=service.url)
        if reply.status_code in REFUSED:
            group = (case.path, *reason(reply.json()))
            groups[group] += 1
            shown.setdefault(group, f"{case.query} {case.body!r:.300}")

    some = settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    document = create_app(Settings(protocols=Protocols(**EVERYTHING))).openapi()
    with served(ASSAY_PROTOCOLS=json.dumps(EVERYTHING)) as service:
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            requests = found.ok().as_strategy(generation_mode=GenerationMode.POSITIVE)
            seed(1)(some(given(requests)(ask)))()
    return groups, shown, sent


def reason(told: dict[str, Any]) -> tuple[str, str]:
    """The first field at fault and what is, without what differs from request to request."""
    error = told.get("error")
    if faults := told.get("errors"):
        field, message = faults[0]["field"], faults[0]["message"]
    else:
        message = error["message"] if isinstance(error, dict) else told.get("detail") or error
        named = FIELD.match(message)
        field = named[1] if named else ""
    if isinstance(error, dict) and error["param"]:
        field = error["param"]
    masked = ".".join(part if NAME.fullmatch(part) else "*" for part in field.split(".") if field)
    reason = message.removeprefix(f"{field}: ").partition(";")[0]
    return masked, VALUE.sub("…", reason)[:100]


def main() -> None:
    groups, shown, sent = refusals(int(sys.argv[1]) if sys.argv[1:] else EXAMPLES)
    for (path, field, why), count in sorted(groups.items()):
        mark = " " if is_beyond_schemas(path, field) else "!"
        print(f"{mark}{count:5} {path} | {field} | {why}\n       {shown[path, field, why]}")
    listed = sum(is_beyond_schemas(path, field) for path, field, _ in groups)
    print(
        f"{len(groups)} groups, {listed} of them in the table: "
        f"{sum(groups.values()):,} of {sent:,} requests"
    )


if __name__ == "__main__":
    main()
