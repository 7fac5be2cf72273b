"""The reference pages, written from the code whenever the site is built (a hook of mkdocs).

No scorer, setting, error, metric, command or protocol is listed here: what exists is asked for.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

import app.cli
from app.hosting import Hosted
from app.http import errors
from app.http.metrics import Metrics
from app.main import create_registry
from app.protocols.registry import PROTOCOLS
from app.routes.details import details_schema
from app.settings import PREFIX, Settings
from judges.reward_model.serve.scorer import RewardModelScorer
from trainer_client.train import cli as trainer
from verifiers.base import LaneName, Scorer, run_here
from verifiers.errors import ScoringError
from verifiers.registry import Registry

CASES = Path(__file__).parent.parent / "tests" / "cases"

OUTCOMES_WITHOUT_ROWS = {
    "rubric": {"correct", "partial", "incorrect", "no_answer", "judged"},
    "reward_model": {"judged"},
}
"""Of scorers that take a judge or a model, and have no rows for that."""

OUTCOMES_BY_LANE: Mapping[LaneName, set[str]] = {"cpu": {"time_limit", "memory_limit"}}

Schema = dict[str, Any]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    return {
        "scorers": scorers(),
        "settings": settings(),
        "errors": all_errors(),
        "metrics": metrics(),
        "command-line": command_line(),
        "protocols": protocols(),
    }


# --- scorers ----------------------------------------------------------------------------


def scorers() -> str:
    types = scorer_types()
    rows = [
        (f"[`{name}`](#{name})", of.kind, summary(of).removeprefix("Rewards "))
        for name, of in types.items()
    ]
    sections = (scorer(name, of) for name, of in types.items())
    note = "From any scorer, a completion that is too long to be read is `rejected`."
    return joined("# Scorers", table("scorer", "kind", "rewards", rows=rows), note, *sections)


def registry() -> Registry:
    settings = Settings(judge_store="")
    return create_registry(settings, run_here, Hosted.of(settings))


def scorer_types() -> dict[str, type[Scorer[Any]]]:
    """All that a service can have: a reward model it has only where the settings name one."""
    return dict(sorted({**registry().types, RewardModelScorer.name: RewardModelScorer}.items()))


def scorer(name: str, of: type[Scorer[Any]]) -> str:
    lowest, highest = reward_range(name, of)
    reference = of.reference_schema()
    return joined(
        f"## {name}",
        escaped(inspect.getdoc(of) or ""),
        f"- version {of.version}, {of.kind}, runs in lane `{of.lane}`\n"
        f"- reward: {lowest:g} to {highest:g}, with the parameters of the example\n"
        f"- needs {' and '.join(['a completion', *(f'a {field}' for field in of.requires)])}\n"
        f"- outcomes: {', '.join(f'`{each}`' for each in sorted(outcomes(name, of.lane)))}",
        f"### Parameters of {name}",
        with_definitions(of.parameters_type.model_json_schema()),
        f"### Reference of {name}" if reference else "",
        reference_of(reference) if reference else "",
        f"### Details of {name}",
        with_definitions(details_schema(of)),
        f"### Example of {name}",
        "```json\n" + json.dumps(of.example, indent=2, ensure_ascii=False) + "\n```",
    )


def reward_range(name: str, of: type[Scorer[Any]]) -> tuple[float, float]:
    if of is RewardModelScorer:  # no model is loaded to write a page
        bare = of.__new__(of)
        bare.parameters = of.parameters_type()
        return bare.reward_range
    return registry().build(of.example["scorer"]).reward_range


def outcomes(name: str, lane: LaneName) -> set[str]:
    """What the rows of the scorer and its lane come to."""
    rows = CASES / f"{name}.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
    by_rows = {json.loads(line).get("outcome") for line in lines} - {None}
    by_lane = OUTCOMES_BY_LANE.get(lane, set())
    return by_rows | by_lane | OUTCOMES_WITHOUT_ROWS.get(name, set()) | {"rejected"}


def reference_of(schema: Schema) -> str:
    return joined(f"A reference is {type_of(schema)}.", definitions(schema))


# --- JSON Schemas as tables -------------------------------------------------------------


def with_definitions(schema: Schema) -> str:
    return joined(properties(schema), definitions(schema))


def definitions(schema: Schema) -> str:
    return joined(
        *(
            joined(f"**{name}**: {of.get('description', '')}", properties(of))
            for name, of in schema.get("$defs", {}).items()
            if of.get("properties")
        )
    )


def properties(schema: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (f"`{name}`", type_of(of), default_of(of, name in required), of.get("description", ""))
        for name, of in schema.get("properties", {}).items()
    ]
    if not rows:
        return "None."
    if not any(default for _, _, default, _ in rows):
        return table("name", "type", "meaning", rows=((row[0], row[1], row[3]) for row in rows))
    return table("name", "type", "default", "meaning", rows=rows)


def default_of(schema: Schema, required: bool) -> str:
    if required:
        return "required"
    default = schema.get("default")
    said_elsewhere = default is None or isinstance(default, dict)
    return "" if said_elsewhere else f"`{json.dumps(default, ensure_ascii=False)}`"


def type_of(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else name
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{value}`" for value in values)
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(type_of, branches)))
    kind = str(schema.get("type", "any JSON"))
    if kind == "array" and schema.get("items"):
        return f"array of {type_of(schema['items'])}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {type_of(inner)}"
    if named := schema.get("patternProperties"):
        return f"by name: {' or '.join(map(type_of, named.values()))}"
    return kind


# --- settings ---------------------------------------------------------------------------


def settings() -> str:
    """The service's settings, and the tables inside them, each once."""
    schema = Settings.model_json_schema()
    tables = (
        joined(f"## {name}", of.get("description", ""), properties(of))
        for name, of in schema["$defs"].items()
        if of.get("properties")
    )
    return joined(
        "# Settings",
        f"Of the file that `assay serve --config` names, or of variables `{PREFIX}NAME`.",
        properties(schema),
        *tables,
    )


# --- errors -----------------------------------------------------------------------------


def all_errors() -> str:
    requests = sorted({(row.status, row.code, row.title, row.retryable) for row in request_rows()})
    by_code: dict[str, list[type[ScoringError]]] = {}
    for of in filter(ours, subclasses(ScoringError)):
        by_code.setdefault(of.code, []).append(of)
    samples = [
        (f"`{name}`", ", ".join(sorted(set(map(retryable, types)))), summary(types[0]))
        for name, types in sorted(by_code.items())
    ]
    return joined(
        "# Errors",
        "## Of requests",
        "Answered as `application/problem+json`. Retryable ones carry `Retry-After`.",
        table(
            "status",
            "code",
            "title",
            "retryable",
            rows=((str(s), f"`{code}`", title, yes(retry)) for s, code, title, retry in requests),
        ),
        "## Of samples",
        "`error` of a score, where there is no reward. Each says whether trying again may help.",
        table("code", "retryable", "meaning", rows=samples),
    )


def request_rows() -> Iterator[errors.Row]:
    yield from errors.TABLE.values()
    yield from errors.BY_STATUS.values()
    yield from (of.row for of in subclasses(errors.Refused) if ours(of) and hasattr(of, "row"))
    yield from (value for value in vars(errors).values() if isinstance(value, errors.Row))


def retryable(of: type[ScoringError]) -> str:
    told = inspect.signature(of.__init__).parameters.get("retryable")
    return yes(of.retryable is True if told is None else told.default)


def subclasses(of: type) -> Iterator[Any]:
    """All that the service imports."""
    for found in of.__subclasses__():
        yield found
        yield from subclasses(found)


def ours(of: type) -> bool:
    return of.__module__.partition(".")[0] in ("app", "judges", "verifiers")


def yes(claim: bool) -> str:
    return "yes" if claim else "no"


# --- metrics ----------------------------------------------------------------------------


def metrics() -> str:
    watched = Metrics()
    watched.watch([])
    watched.watch_judges({})
    rows = []
    for collector in watched.registry._collector_to_names:
        for family in collector.collect():
            labels = getattr(collector, "_labelnames", getattr(family, "_labelnames", ()))
            name = family.name + ("_total" if family.type == "counter" else "")
            shown = ", ".join(f"`{label}`" for label in labels)
            rows.append((f"`{name}`", family.type, shown, family.documentation))
    return joined(
        "# Metrics",
        "What `GET /metrics` shows, in Prometheus text.",
        table("name", "type", "labels", "meaning", rows=sorted(rows)),
    )


# --- command line -----------------------------------------------------------------------


def command_line() -> str:
    """As `--help` says it, a heading deeper."""
    programs = {"assay": app.cli.app, "assay-trainer": trainer.app}
    sections = []
    for name, program in programs.items():
        command = typer.main.get_command(program)
        context = typer.Context(command)
        told = get_docs_for_click(obj=command, ctx=context, name=name)
        deeper = ("#" + line if line.startswith("#") else line for line in told.splitlines())
        sections.append("\n".join(deeper))
    return joined("# Command line", *sections)


# --- protocols --------------------------------------------------------------------------


def protocols() -> str:
    rows = [
        (
            f"`{each.name}`",
            each.system,
            yes(each.on),
            ", ".join(f"`{each.under}{route.path}`" for route in each.routes),
        )
        for each in PROTOCOLS
    ]
    note = "`app/protocols/README.md` says what a sample without a reward becomes in each."
    return joined("# Protocols", table("switch", "system", "on", "routes", rows=rows), note)


# --- Markdown ---------------------------------------------------------------------------


def summary(of: type) -> str:
    return (inspect.getdoc(of) or "").partition("\n")[0]


def joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def table(*head: str, rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    return escaped(" ".join(text.split())).replace("|", "\\|")


def escaped(text: str) -> str:
    """No tag of HTML outside of `code`."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))
