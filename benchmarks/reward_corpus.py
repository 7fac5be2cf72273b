"""The fixed corpus of `make reward-diff`: what two commits score, to see where they differ.

All rows of `tests/cases`, and a few thousand samples more that nobody wrote by hand: they come
from a seed, so they are the same on every machine, and from generators that know nothing of
how a scorer decides. No sample says what it should earn. It only has to be interesting: near
the line between right and wrong.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.math_rewrites import pairs

Row = dict[str, Any]
"""A sample of `assay score`, with a scorer of its own and its kind as the first part of its id."""

SANDBOXED = frozenset({"code", "python_grader"})
"""What runs in the sandbox. Most of the time goes there."""

MATH_PAIRS = 1_600
PROGRAMS = 60
"""Of each language's harmless programs. The tests run all of them; here a third is enough."""

UNSTEADY_PROGRAMS = re.compile(r"harms|deeds|other_languages")
"""Collections that are about limits and the machine: what they earn is no rule's doing."""

BLOCK = re.compile(r"^## (\S+?)(?:: \w+)?\n.*?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A program of `tests/cases/code`: its name, its language, its text."""


def corpus(cases: Path, seed: int, before: Path | None = None) -> list[Row]:
    """The rows of the folder `cases`, those that were otherwise `before`, and what is generated."""
    rows = {row["id"]: row for row in (*case_rows(cases), *generated(cases, seed))}
    for row in case_rows(before) if before is not None else ():
        if rows.get(row["id"]) != row:  # deleted or edited since
            name = f"{row['id']}/before"
            group = f"{row['group']}/before" if "group" in row else None
            rows[name] = {**row, "id": name} | ({"group": group} if group else {})
    return list(rows.values())


def scorers_in(spec: Any) -> set[str]:
    """The names of a scorer and of all its parts."""
    if isinstance(spec, str):
        return {spec}
    found = {spec["type"]}
    for parts in (spec.get("components"), spec.get("gates")):
        for part in (parts or {}).values():
            found |= scorers_in(part["scorer"])
    return found


# --- what people wrote ------------------------------------------------------------------


def case_rows(cases: Path) -> Iterator[Row]:
    for path in sorted(cases.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from samples_of(path.stem, json.loads(line))


def samples_of(scorer: str, case: dict[str, Any]) -> Iterator[Row]:
    """A case's sample and those that it is compared with: see `tests/verifiers/cases.py`."""
    name = f"{case['tag']}/{scorer}/{case['id']}"
    spec = {"type": scorer, **case.get("scorer", {})}
    completion = case["completion"]
    if "times" in case:
        completion *= case["times"]
    others = case.get("others")
    group = None if others is None else name
    given = {"prompt": case.get("prompt"), "reference": case.get("reference")}
    yield row(name, spec, completion, group=group, **given)
    for number, other in enumerate(others or ()):
        yield row(f"{name}/other-{number}", spec, other, group=group)


def row(name: str, scorer: Any, completion: Any, **more: Any) -> Row:
    given = {key: value for key, value in more.items() if value is not None}
    return {"id": name, "scorer": scorer, "completion": completion, **given}


# --- what a seed writes -----------------------------------------------------------------


def generated(cases: Path, seed: int) -> Iterator[Row]:
    for name, generate in GENERATORS.items():
        rng = random.Random(f"{seed} {name}")
        for number, made in enumerate(generate(cases, rng)):
            yield {**made, "id": f"{made['id']}/{name}/generated-{number}"}


def math(cases: Path, rng: random.Random) -> Iterator[Row]:
    """Answers rewritten, and answers that are almost right, of references new and old."""
    references = {
        case["reference"]
        for case in map(json.loads, (cases / "math.jsonl").read_text().splitlines())
        if isinstance(found := case.get("reference"), str) and len(found) < 60
        if "}{0" not in found  # the rewrites divide
    }
    golds = [*rng.sample(sorted(references), min(300, len(references))), *values(rng, 200)]
    made = list(pairs(golds, seed=rng.randrange(2**31)))
    for pair in rng.sample(made, min(MATH_PAIRS, len(made))):
        kind = "rewrite" if pair.correct else "near-miss"
        yield row(kind, {"type": "math"}, pair.completion, reference=pair.reference)
    for _ in range(200):  # an answer amid sentences, of which some take it back
        value, other = rng.sample(golds, 2)
        yield row("sentence", {"type": "math"}, sentence(value, other, rng), reference=value)


def values(rng: random.Random, count: int) -> Iterator[str]:
    """Numbers, expressions, intervals, tuples and sets, as answers are written."""

    def whole() -> int:
        return rng.randint(-(10 ** rng.randint(1, 6)), 10 ** rng.randint(1, 6))

    forms: tuple[Callable[[], str], ...] = (
        lambda: str(whole()),
        lambda: f"\\frac{{{rng.randint(1, 99)}}}{{{rng.randint(2, 99)}}}",
        lambda: f"{rng.randint(0, 999)}.{rng.randint(1, 9999):04}",
        lambda: f"{rng.randint(2, 9)}\\sqrt{{{rng.choice((2, 3, 5, 6, 7, 11))}}}",
        lambda: f"{rng.randint(2, 9)}x^{rng.randint(2, 5)} + {rng.randint(1, 9)}x - 1",
        lambda: f"({rng.randint(-9, 0)}, {rng.randint(1, 9)}]",
        lambda: f"(-\\infty, {whole()})",
        lambda: f"({whole()}, {rng.randint(1, 9)})",
        lambda: "\\{" + ", ".join(map(str, rng.sample(range(30), 3))) + "\\}",
        lambda: f"\\frac{{{rng.choice(('', '3', '5'))}\\pi}}{{{rng.randint(2, 8)}}}",
        lambda: f"{rng.randint(1, 99)}\\%",
        lambda: f"{rng.randint(1, 999)} \\text{{ cm}}",
        lambda: f"{rng.randint(1, 9)} + {rng.randint(2, 9)}i",
        lambda: f"x = {whole()}",
    )
    for _ in range(count):
        yield rng.choice(forms)()


def sentence(value: str, other: str, rng: random.Random) -> str:
    opener = rng.choice(("So", "Therefore", "Hence", "We conclude that", "In short,", "Thus"))
    verb = rng.choice(("it is", "the answer is", "we get", "the result must be", "it equals"))
    shown = rng.choice(("{}", "${}$", "**{}**", "\\({}\\)", "$\\boxed{{{}}}$")).format(value)
    end = rng.choice(
        (
            *(".", "", ", as claimed.", " and we are done."),
            *(f", not {other}.", f" or {other}.", ", which is absurd.", ", I believe."),
            *(f". Actually, it is ${other}$.", f". Check: ${value} = {value}$."),
        )
    )
    return f"{opener} {verb} {shown}{end}"


WORDS = tuple(
    "ocean river stone bright seven lamp garden winter the of under Silver paper café "
    "naïve 日本 👩‍👩‍👧 e\u0301tude ß ΣΑΣ x² fish".split()
)


def text(rng: random.Random, least: int = 1, most: int = 8) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))


def damaged(given: str, rng: random.Random) -> str:
    """The same with one small fault, or as it was."""
    at = rng.randrange(len(given)) if given else 0
    return rng.choice(
        (
            *(given, given, f" {given}", f"{given}\n", f"{given}.", given.upper()),
            *(given[:at] + given[at + 1 :], given[:at] + "q" + given[at:], given[:at]),
            given[:at] + given[at + 1 : at + 2] + given[at : at + 1] + given[at + 2 :],
            given.replace(" ", "  "),
        )
    )


def wrapped(answer: str, rng: random.Random) -> str:
    """An answer as policies give it: after reasoning, in a box, in a fence, or bare."""
    return rng.choice(
        (
            *("{}", "{}", "<think>Let me see.</think>{}", "<think>Let me see. {}", "{}</think>"),
            *("The answer is \\boxed{{{}}}.", "```\n{}\n```", "<think>a</think>\n```text\n{}\n```"),
        )
    ).format(answer)


ANSWERS_FROM = ("final", "final", "final", "completion", "boxed", "fenced")


def string_reversal(cases: Path, rng: random.Random) -> Iterator[Row]:
    for _ in range(400):
        source = text(rng)
        unit = rng.choice(("character", "codepoint", "word"))
        answer = " ".join(source.split()[::-1]) if unit == "word" else source[::-1]
        spec = {
            "type": "string_reversal",
            "unit": unit,
            "partial": rng.choice(("none", "none", "prefix", "position", "edit")),
            "reference_is": rng.choice(("source", "source", "target")),
            "answer_from": rng.choice(ANSWERS_FROM),
            "strip": rng.random() < 0.5,
        }
        completion = wrapped(damaged(answer, rng), rng)
        yield row("reversed", spec, completion, reference=source)


def exact_match(cases: Path, rng: random.Random) -> Iterator[Row]:
    for _ in range(300):
        wanted = [text(rng, 1, 3) for _ in range(rng.randint(1, 3))]
        spec = {
            "type": "exact_match",
            "answer_from": rng.choice(ANSWERS_FROM),
            "strip": rng.random() < 0.5,
            "collapse_whitespace": rng.random() < 0.5,
            "ignore_case": rng.random() < 0.5,
            "unicode_form": rng.choice(("none", "NFC", "NFKC")),
        }
        completion = wrapped(damaged(rng.choice(wanted), rng), rng)
        reference = wanted if len(wanted) > 1 else wanted[0]
        yield row("equal", spec, completion, reference=reference)


PATTERNS = (
    *(r"\d+", r"[a-z ]+", r"(?i)silver.*", r"\w+( \w+)*", r"^the", r"\bof\b", r".{3,12}", r""),
    *(r"(?s).*\.", r"\p{L}+", r"[^q]*", r"(ocean|river)", r"\S+\s\S+", r"x{2", r"(?=a)b"),
)


def regex(cases: Path, rng: random.Random) -> Iterator[Row]:
    for _ in range(200):
        pattern = rng.choice(PATTERNS)
        spec: dict[str, Any] = {
            "type": "regex",
            "match": rng.choice(("full", "search")),
            "answer_from": rng.choice(ANSWERS_FROM),
            "strip": rng.random() < 0.5,
        }
        completion = wrapped(damaged(text(rng, 0, 4), rng), rng)
        yield row("pattern", spec, completion, reference=pattern)


def form(cases: Path, rng: random.Random) -> Iterator[Row]:
    pieces = (
        *("<think>", "</think>", "<think>a b</think>", "\\boxed{4}", "\\boxed{", "}", "\n", " "),
        *("<answer>", "</answer>", "<answer>4</answer>", "so", "\u200b", "`</think>`", "<Think>"),
    )
    for _ in range(400):
        spec = {
            "type": "format",
            "reasoning": rng.choice(("required", "optional", "forbidden")),
            "opened_by_prompt": False,
            "boxed": rng.random() < 0.5,
            "answer_tag": rng.choice((None, None, "answer")),
            "reward": rng.choice(("all", "fraction")),
        }
        if spec["reasoning"] == "required":
            spec["opened_by_prompt"] = rng.random() < 0.3
        elif spec["reasoning"] == "forbidden":
            spec["boxed"] = spec["boxed"] or spec["answer_tag"] is None
        yield row("pieces", spec, "".join(rng.choices(pieces, k=rng.randint(1, 7))))


def length(cases: Path, rng: random.Random) -> Iterator[Row]:
    for _ in range(150):
        longest = rng.randint(1, 80)
        spec = {
            "type": "length",
            "max_length": longest,
            "buffer": rng.randint(0, longest),
            "unit": rng.choice(("character", "word")),
        }
        yield row("text", spec, text(rng, 0, 20))


def repetition(cases: Path, rng: random.Random) -> Iterator[Row]:
    for _ in range(200):
        loop = text(rng, 1, 5)
        times = rng.choice((1, 1, 2, 5, 40))
        completion = f"{text(rng, 0, 9)} {' '.join([loop] * times)} {text(rng, 0, 9)}"
        glued = completion.replace(" ", "") if rng.random() < 0.2 else completion
        yield row("text", {"type": "repetition", "n": rng.randint(1, 6)}, glued)


def json_schema(cases: Path, rng: random.Random) -> Iterator[Row]:
    def value(depth: int = 0) -> Any:
        simple = [None, True, rng.randint(-5, 5), 2.0, 1.5, text(rng, 0, 2), "2024-02-30"]
        if depth > 1:
            return rng.choice(simple)
        several = [value(depth + 1) for _ in range(rng.randint(0, 3))]
        return rng.choice([*simple, several, dict(zip("abc", several, strict=False))])

    def schema(depth: int = 0) -> Any:
        kinds = ["integer", "number", "string", "boolean", "null"]
        if depth > 1:
            return {"type": rng.choice(kinds)}
        return rng.choice(
            (
                {"type": rng.choice(kinds)},
                {"type": "array", "items": schema(depth + 1), "maxItems": rng.randint(0, 3)},
                {"type": "object", "properties": {"a": schema(depth + 1)}, "required": ["a"]},
                {"type": "object", "additionalProperties": rng.random() < 0.5},
                {"anyOf": [schema(depth + 1), schema(depth + 1)]},
                {"enum": [value(2), value(2)]},
                {"type": "string", "pattern": rng.choice(PATTERNS[:8])},
                {"type": "string", "format": rng.choice(("date", "email", "uri", "time"))},
                {"multipleOf": rng.choice((1, 0.1, 0.5)), "minimum": -2},
            )
        )

    for _ in range(350):
        written = json.dumps(value(), ensure_ascii=rng.random() < 0.5)
        completion = rng.choice(("{}", "```json\n{}\n```", "Here: {}", "{},", "<think>a</think>{}"))
        spec = {"type": "json_schema"}
        yield row("value", spec, completion.replace("{}", written), reference=schema())


def string_check(cases: Path, rng: random.Random) -> Iterator[Row]:
    for _ in range(150):
        reference = text(rng, 1, 3)
        completion = damaged(reference, rng)
        if rng.random() < 0.5:
            completion = f"{text(rng)} {completion} {text(rng)}"
        spec = {"type": "string_check", "operation": rng.choice(("eq", "ne", "like", "ilike"))}
        yield row("text", spec, completion, reference=reference)


METRICS = "fuzzy_match bleu gleu meteor rouge_1 rouge_2 rouge_3 rouge_5 rouge_l".split()


def text_similarity(cases: Path, rng: random.Random) -> Iterator[Row]:
    for metric, _ in itertools.product(METRICS, range(35)):
        reference = text(rng, 3, 14).split()
        completion = [word for word in reference if rng.random() < 0.8]
        if rng.random() < 0.5:
            rng.shuffle(completion)
        completion[rng.randint(0, len(completion)) :] += text(rng, 0, 3).split()
        spec = {"type": "text_similarity", "metric": metric}
        yield row("text", spec, " ".join(completion), reference=" ".join(reference))


def weighted(cases: Path, rng: random.Random) -> Iterator[Row]:
    parts: tuple[Any, ...] = (
        "exact_match",
        "math",
        {"type": "format", "reasoning": "optional", "boxed": True},
        {"type": "length", "max_length": 40, "buffer": 20},
        "repetition",
        {"type": "string_check", "operation": "like"},
    )
    for _ in range(150):
        chosen = rng.sample(parts, rng.randint(1, 3))
        components = {
            name: {"scorer": part, "weight": rng.choice((1.0, 0.5, -0.25))}
            for name, part in zip(string.ascii_lowercase, chosen, strict=False)
        }
        spec: dict[str, Any] = {"type": "weighted", "components": components}
        if rng.random() < 0.3:
            spec["gates"] = {"gate": {"scorer": "exact_match"}}
        reference = str(rng.randint(1, 999))
        yield row("sum", spec, wrapped(damaged(reference, rng), rng), reference=reference)


def majority(cases: Path, rng: random.Random) -> Iterator[Row]:
    for number in range(40):
        answers = list(values(rng, 2))
        for _ in range(rng.randint(2, 5)):
            completion = f"\\boxed{{{rng.choice(answers)}}}"
            yield row("vote", {"type": "majority"}, completion, group=f"votes-{number}")


def code(cases: Path, rng: random.Random) -> Iterator[Row]:
    """Programs of the test cases against tests that some pass and some do not."""
    calls = [[[[1, 2, 3]], 14], [[[-4]], 16], [[[0, 10]], 100]]
    tests = [{"stdin": "3\n1 2 3\n", "stdout": "14\n"}, {"stdin": "1\n-4\n", "stdout": "16\n"}]
    references = (
        {"tests": tests},
        {
            "entry_point": "f",
            "cases": [{"args": args, "expected": wanted} for args, wanted in calls],
        },
        {"test_code": "\n".join(f"assert f({args[0]}) == {wanted}" for args, wanted in calls)},
    )
    programs = [
        (name, source)
        for path in sorted((cases / "code").glob("*.md"))
        if not UNSTEADY_PROGRAMS.search(path.stem)
        for name, language, source in BLOCK.findall(path.read_text(encoding="utf-8"))
        if language == "python"
    ]
    for _, source in rng.sample(programs, min(PROGRAMS, len(programs))):
        spec = {"type": "code", "reward": rng.choice(("all", "fraction"))}
        completion = f"````python\n{source}\n````"
        yield row("program", spec, completion, reference=rng.choice(references))


ASKED: tuple[tuple[dict[str, Any], str, Any], ...] = (
    ({"type": "string_reversal"}, "cba", "abc"),
    ({"type": "string_reversal"}, "None", "enoN"),  # hack: a null that is written out
    ({"type": "exact_match"}, "7", "7"),
    ({"type": "regex"}, "17", r"\d*"),
    ({"type": "format", "reasoning": "optional", "boxed": True}, "\\boxed{4}", None),
    ({"type": "length", "max_length": 40, "buffer": 20}, "short", None),
    ({"type": "repetition"}, "no word twice", None),
    ({"type": "json_schema"}, "[1]", {"type": "array"}),
    ({"type": "string_check", "operation": "ne"}, "a", "b"),
    ({"type": "text_similarity", "metric": "rouge_l"}, "a lamp in winter", "a lamp in winter"),
    ({"type": "math"}, "It is \\boxed{7}.", "7"),
    ({"type": "majority"}, "\\boxed{7}", None),
    (
        {
            "type": "weighted",
            "components": {
                "right": {"scorer": "exact_match"},
                "short": {"scorer": {"type": "length", "max_length": 9, "buffer": 3}},
            },
        },
        "7",
        "7",
    ),
)
"""A scorer, what it pays for, and its reference."""

MAX_COMPLETION_BYTES = 256 * 1024
"""The service's own default: what is longer is rejected by every scorer."""


def messages(cases: Path, rng: random.Random) -> Iterator[Row]:
    """Completions in chat form: what is text, what is silence, and what is said otherwise."""
    for number, (spec, answer, reference) in enumerate(ASKED):
        for kind, completion in said(answer):
            group = f"{kind}-{number}" if spec["type"] == "majority" else None
            yield row(kind, spec, completion, reference=reference, group=group)
            if group is not None:
                yield row(f"{kind}-other", spec, answer, group=group)


def said(answer: str) -> Iterator[tuple[str, Any]]:
    """The answer in every form of a message, and messages without it."""
    call = {"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}
    half = len(answer) // 2
    text, null = {"type": "text", "text": answer}, {"type": "text", "text": None}
    refusal = {"type": "refusal", "refusal": "No."}
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    thought = {"type": "thinking", "thinking": answer}
    contents: dict[str, Any] = {
        "content": answer,
        "part": [text],
        "output-part": [{"type": "output_text", "text": answer, "annotations": []}],
        "input-part": [{"type": "input_text", "text": answer}],
        "two-parts": [{**text, "text": answer[:half]}, {**text, "text": answer[half:]}],
        "null-part": [null],
        "null-output-part": [{"type": "output_text", "text": None}],
        "null-and-text": [null, text],
        "text-and-refusal": [text, refusal],
        "text-and-image": [image, text],
        "text-and-thought": [thought, text],
        "blank-and-image": [{**text, "text": " "}, image],
        "only-refusal": [refusal],
        "only-empty-refusal": [{**refusal, "refusal": ""}],
        "only-image": [image],
        "only-thought": [thought],
        "only-reasoning": [{"type": "reasoning", "text": answer}],
        "only-unknown": [{"type": "video", "text": answer}],
        "no-parts": [],
        "blank": " ",
        "null": None,
    }
    members: dict[str, dict[str, Any]] = {
        "": {},
        "-and-calls": {"tool_calls": [call]},
        "-and-no-calls": {"tool_calls": []},
        "-and-old-call": {"function_call": {"name": "f", "arguments": answer}},
        "-and-reasoning": {"reasoning_content": answer},
        "-and-refusal": {"refusal": answer},
        "-and-audio": {"audio": {"id": "a", "transcript": answer}},
    }
    for kind, content in contents.items():
        yield kind, {"role": "assistant", "content": content}
    for (kind, content), (more, member) in itertools.product(contents.items(), members.items()):
        if member and kind in ("content", "part", "null-part", "only-thought", "blank", "null"):
            yield f"{kind}{more}", {"role": "assistant", "content": content, **member}
    for kind, flood in (("flood", "a "), ("flood-of-wide-characters", "日")):
        times = MAX_COMPLETION_BYTES // len(flood.encode()) + 1
        yield kind, answer + flood * times
        parts = [{**text, "text": flood * (times // 2 + 1)}] * 2
        yield f"{kind}-in-parts", {"role": "assistant", "content": [text, *parts]}


GENERATORS: dict[str, Callable[[Path, random.Random], Iterator[Row]]] = {
    "math": math,
    "string_reversal": string_reversal,
    "exact_match": exact_match,
    "regex": regex,
    "format": form,
    "length": length,
    "repetition": repetition,
    "json_schema": json_schema,
    "string_check": string_check,
    "text_similarity": text_similarity,
    "weighted": weighted,
    "majority": majority,
    "code": code,
    "messages": messages,
}
