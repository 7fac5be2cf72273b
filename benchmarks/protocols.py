"""What another system's route costs beside the service's own, for the same scores.

The same 64 string reversals a request, by `/v1/score` and by each foreign route that takes a
batch, in turn over one connection, in one run. Routes that take one sample a request are
measured against `/v1/score` with one sample.
"""

from __future__ import annotations

import random
import statistics
import string
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.processes import assay_service
from benchmarks.results import Row, write

BATCH = 64
ROUNDS = 400
WARM_UP = 50
LIMIT = 1.15

NATIVE = "/v1/score"
SETTINGS = '[presets.reverse]\ntype = "string_reversal"\n\n[presets.form]\ntype = "format"\n'


def main() -> None:
    with TemporaryDirectory() as folder:
        config = Path(folder) / "assay.toml"
        config.write_text(SETTINGS)
        arguments = ("--log-level", "warning", "--config", str(config))
        with assay_service(*arguments) as (url, _), httpx.Client(base_url=url) as client:
            ratios = {name: ratio(client, *pair) for name, pair in comparisons().items()}
    rows = [
        Row(
            name,
            "at most +15 %" if "batch" in name else "",
            f"{(ratio_ - 1) * 100:+.1f} % ({native * 1e3:.2f} ms for the native route)",
            ratio_ <= LIMIT if "batch" in name else None,
        )
        for name, (ratio_, native) in ratios.items()
    ]
    write("protocols", "Other systems' routes", rows, f"Batches of {BATCH}; medians.")


Request = tuple[str, dict[str, Any]]


def comparisons() -> dict[str, tuple[Request, Request]]:
    """(the native request, the foreign one) for each route."""
    rng = random.Random(0)
    texts = ["".join(rng.choices(string.ascii_letters + " ", k=40)) for _ in range(BATCH)]
    prompts = [f"Reverse: {text}" for text in texts]
    answers = [text[::-1] for text in texts]
    samples = [
        {"prompt": p, "completion": a, "reference": t}
        for p, a, t in zip(prompts, answers, texts, strict=True)
    ]
    forms = [{"prompt": p, "completion": a} for p, a in zip(prompts, answers, strict=True)]
    reversals: Request = (NATIVE, {"scorer": "reverse", "samples": samples})
    formats: Request = (NATIVE, {"scorer": "form", "samples": forms})
    one: Request = (NATIVE, {"scorer": "reverse", "samples": samples[:1]})
    queries = [p + a for p, a in zip(prompts, answers, strict=True)]
    openrlhf = {"query": queries, "prompts": prompts, "labels": texts}
    row = {
        "responses_create_params": {"input": [{"role": "user", "content": prompts[0]}]},
        "response": {
            "output": [
                {"role": "assistant", "content": [{"type": "output_text", "text": answers[0]}]}
            ]
        },
        "expected_answer": texts[0],
    }
    grader = {
        "type": "string_check",
        "name": "g",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}",
        "operation": "eq",
    }
    check = {"scorer": "string_check", "samples": [{"completion": "a", "reference": "a"}]}
    return {
        "OpenRLHF, batch": (reversals, ("/compat/openrlhf/reverse/get_reward", openrlhf)),
        "vLLM /score, batch": (
            formats,
            ("/score", {"model": "form", "text_1": prompts, "text_2": answers}),
        ),
        "vLLM /classify, batch": (formats, ("/classify", {"model": "form", "input": answers})),
        "slime, one sample": (
            one,
            (
                "/compat/slime/reverse",
                {"prompt": prompts[0], "response": answers[0], "label": texts[0]},
            ),
        ),
        "NeMo Gym, one sample": (one, ("/compat/nemo-gym/reverse/verify", row)),
        "OpenAI string_check, one sample": (
            (NATIVE, check),
            (
                "/v1/fine_tuning/alpha/graders/run",
                {"grader": grader, "model_sample": "a", "item": {"answer": "a"}},
            ),
        ),
    }


def ratio(client: httpx.Client, native: Request, foreign: Request) -> tuple[float, float]:
    """How many times as long the foreign request takes, and the native one's seconds.

    The median of the ratios of neighbours in time: what slows the machine slows both.
    """
    ratios, seconds = [], []
    for number in range(WARM_UP + ROUNDS):
        native_s, foreign_s = (timed(client, *each) for each in (native, foreign))
        if number >= WARM_UP:
            ratios.append(foreign_s / native_s)
            seconds.append(native_s)
    return statistics.median(ratios), statistics.median(seconds)


def timed(client: httpx.Client, path: str, body: dict[str, Any]) -> float:
    request = client.build_request("POST", path, json=body)
    started = time.perf_counter()
    client.send(request).raise_for_status()
    return time.perf_counter() - started
