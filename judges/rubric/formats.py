"""Reads other systems' rubrics: OpenAI graders, HealthBench rows, plain checklists. Pure.

A grader's own prompt is a template with holes for data. The holes are filled with words that
point at our blocks ("[the completion]") and never with the data, which stays in its block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

HOLE = re.compile(r"\{\{\s*([\w.\[\]-]{1,200})\s*\}\}")
"""`{{sample.output_text}}`, `{{item.question}}`."""

BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])?\s*(?:\[[ xX]\]\s*)?")
"""What may stand before an item of a checklist: a dash, a number, a box."""

Members = Mapping[str, Any]


def converted(content: Any) -> Any:
    """The content as our own rubric, where it is one of the other forms; else as it is.

    Raises:
        ValueError: it is another system's, and cannot be turned into criteria.
    """
    if isinstance(content, str):
        return checklist(content.splitlines())
    if isinstance(content, list):
        return checklist(content)
    if not isinstance(content, dict) or "criteria" in content:
        return content
    answer = {"answer": content["answer"]} if "answer" in content else {}
    if "rubrics" in content:
        return {**health_bench(content), **answer}
    if "checklist" in content:
        return {**checklist(content["checklist"]), **answer}
    if "type" in content:
        return grader(content)
    return content


def checklist(items: Any) -> Members:
    """Every item a criterion of weight 1, named by its number."""
    if not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
        raise ValueError("a checklist is a list of texts")
    texts = [text for item in items if (text := BULLET.sub("", item, count=1).strip())]
    return {"criteria": [{"id": str(n), "text": text} for n, text in enumerate(texts, start=1)]}


def health_bench(row: Members) -> Members:
    """A HealthBench row: `rubrics` of `criterion` and `points`, negative for faults."""
    try:
        criteria = [
            {"id": str(n), "text": item["criterion"], "weight": item["points"]}
            for n, item in enumerate(row["rubrics"], start=1)
        ]
    except (TypeError, KeyError):
        raise ValueError("a HealthBench rubric has `criterion` and `points`") from None
    return {"id": row.get("prompt_id"), "criteria": criteria}


def grader(content: Members) -> Members:
    """An OpenAI grader. Its model is not ours to choose; name a judge in the scorer's spec."""
    read = GRADERS.get(content["type"]) if isinstance(content["type"], str) else None
    if read is None:
        raise ValueError(f"graders of the types {', '.join(GRADERS)} can be read, no others")
    texts = [text_of(message) for message in content.get("input") or ()]
    prompt = "\n\n".join(text for text in texts if text)
    if not prompt:
        raise ValueError("the grader has no `input`")
    name = content.get("name") or content["type"]
    criterion = {"id": name, "text": HOLE.sub(pointed_at, prompt), **read(content)}
    uses_item = any(match[1].startswith("item") for match in HOLE.finditer(prompt))
    return {"id": name, "criteria": [criterion], "reference": uses_item}


def text_of(message: Any) -> str:
    """The text of a grader's input message, whichever way it is nested."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, dict):
        content = content.get("text")
    if isinstance(content, list):
        content = "".join(text_of({"content": part}) for part in content)
    if not isinstance(content, str):
        raise ValueError("only texts can be read from a grader's `input`")
    return content


def pointed_at(hole: re.Match[str]) -> str:
    kind, _, member = hole[1].partition(".")
    if kind == "sample":
        return "[the completion]"
    if kind == "item":
        return f'[the member "{member}" of the reference]' if member else "[the reference]"
    raise ValueError(f"the grader's prompt has a hole for {hole[1]!r}, which nothing fills")


def score_model(content: Members) -> Members:
    """`range` becomes the scale. `pass_threshold` only labels a grade, and is not read."""
    bounds = content.get("range") or [0, 1]
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise ValueError("the `range` of a grader has two bounds")
    return {"scale": {"lowest": bounds[0], "highest": bounds[1], "whole": False}}


def label_model(content: Members) -> Members:
    """A passing label is worth 1, another 0."""
    labels, passing = content.get("labels"), content.get("passing_labels")
    if not isinstance(labels, list) or not isinstance(passing, list) or not passing:
        raise ValueError("a label_model grader has `labels` and `passing_labels`")
    if unknown := [label for label in passing if label not in labels]:
        raise ValueError(f"the passing label {unknown[0]!r} is no label")
    return {"choices": [{"label": label, "value": float(label in passing)} for label in labels]}


GRADERS: Mapping[str, Callable[[Members], Members]] = {
    "score_model": score_model,
    "label_model": label_model,
}
