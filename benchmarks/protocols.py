"""What another system's route costs beside the service's own, for the same scores.

A route that takes a batch gets 64 samples in one request; one that takes a single sample gets
64 requests at a time. Both are measured against `/v1/score` in the same shape, in turn, in one
run. The client sends ready-made bytes and reads no reply further than its length, so that what
is measured is the service.
"""

from __future__ import annotations

import random
import socket
import statistics
import string
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from benchmarks.processes import assay_service
from benchmarks.results import Row, write
from tests.processes import processor_ns

SIZE = 64
"""Samples in a batch, or requests at a time."""

SECONDS = 10.0
"""For one comparison, however many rounds that makes."""

FEWEST_ROUNDS = 16
WARM_UP = 4
LIMIT = 1.15

NATIVE = "/v1/score"
SETTINGS = """
[protocols]
default_preset = "form"
run_code = true
test_program = true

[presets]
reverse = "string_reversal"
form = "format"
similar = { type = "text_similarity", metric = "rouge_l" }
"""

Body = dict[str, Any]


class Comparison(NamedTuple):
    """One route beside the native one."""

    path: str
    foreign: Body
    native: Body
    at_once: int = 1
    forks: bool = False
    """Programs come and go, whose processor time cannot be read."""


def main() -> None:
    with TemporaryDirectory() as folder:
        config = Path(folder) / "assay.toml"
        config.write_text(SETTINGS)
        with assay_service("--log-level", "warning", "--config", str(config)) as (url, pid):
            rows = [row(name, *measured(url, pid, each)) for name, each in comparisons().items()]
    notes = (
        f"{SIZE} samples in one request, or {SIZE} requests at a time; medians of ratios, of the "
        "time that passed and of the processor time that the service and its workers took."
    )
    write("protocols", "Other systems' routes", rows, notes)


def row(name: str, ratio: float, native_s: float, processor: float | None) -> Row:
    found = f"{(ratio - 1) * 100:+.1f} % ({native_s * 1e3:.2f} ms for the native route)"
    if processor is not None:
        found += f", processor {(processor - 1) * 100:+.1f} %"
    return Row(name, "at most +15 %", found, ratio <= LIMIT)


# --- what is compared -------------------------------------------------------------------


def comparisons() -> dict[str, Comparison]:
    rng = random.Random(0)
    texts = ["".join(rng.choices(string.ascii_letters + " ", k=40)) for _ in range(SIZE)]
    prompts = [f"Reverse: {text}" for text in texts]
    answers = [text[::-1] for text in texts]
    found = {
        f"{name}, batch of {SIZE}": each
        for name, each in {
            **batches_of_trainers(prompts, answers, texts),
            **batches_of_models(prompts, answers),
        }.items()
    }
    singles = {**singles_of_trainers(prompts[0], answers[0], texts[0]), **graders(answers[0])}
    if sys.platform == "linux":
        found |= {f"{name}, {SIZE} tests": each for name, each in programs_of_many_tests().items()}
        singles |= programs()
    return found | {
        f"{name}, {SIZE} at a time": each._replace(at_once=SIZE) for name, each in singles.items()
    }


def scored(scorer: Any, **members: Sequence[Any]) -> Body:
    """The native request. `members` are columns."""
    rows = zip(*members.values(), strict=True)
    return {"scorer": scorer, "samples": [dict(zip(members, row, strict=True)) for row in rows]}


def batches_of_trainers(
    prompts: Sequence[str], answers: Sequence[str], texts: Sequence[str]
) -> dict[str, Comparison]:
    native = scored("reverse", prompt=prompts, completion=answers, reference=texts)
    queries = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    body = {"query": queries, "prompts": prompts, "labels": texts}
    return {"OpenRLHF": Comparison("/compat/openrlhf/reverse/get_reward", body, native)}


def batches_of_models(prompts: Sequence[str], answers: Sequence[str]) -> dict[str, Comparison]:
    alone = scored("form", completion=answers)
    paired = scored("form", prompt=prompts, completion=answers)
    asked = scored("form", prompt=[prompts[0]] * SIZE, completion=answers)
    inputs: Body = {"model": "form", "input": answers}
    sides: Body = {"model": "form", "text_1": prompts, "text_2": answers}
    ranked: Body = {"model": "form", "query": prompts[0], "documents": answers}
    pairs = [list(pair) for pair in zip(prompts, answers, strict=True)]
    return {
        "vLLM /classify": Comparison("/classify", inputs, alone),
        "vLLM /pooling": Comparison("/pooling", inputs, alone),
        "vLLM /v1/embeddings": Comparison("/v1/embeddings", inputs, alone),
        "vLLM /score": Comparison("/score", sides, paired),
        "vLLM /rerank": Comparison("/rerank", ranked, asked),
        "SGLang /v1/classify": Comparison("/compat/sglang/v1/classify", inputs, alone),
        "SGLang /v1/embeddings": Comparison("/compat/sglang/v1/embeddings", inputs, alone),
        "SGLang /v1/rerank": Comparison("/compat/sglang/v1/rerank", ranked, asked),
        "TEI /predict": Comparison("/predict", {"inputs": pairs}, paired),
        "TEI /rerank": Comparison(
            "/compat/tei/rerank", {"query": prompts[0], "texts": answers}, asked
        ),
    }


def singles_of_trainers(prompt: str, answer: str, text: str) -> dict[str, Comparison]:
    native = scored("reverse", prompt=[prompt], completion=[answer], reference=[text])
    content = [{"type": "output_text", "text": answer, "annotations": []}]
    message = {"id": "m", "type": "message", "role": "assistant", "content": content}
    gym = {
        "responses_create_params": {"input": [{"role": "user", "content": prompt}]},
        "response": {"id": "r", "object": "response", "model": "m", "output": [message]},
        "expected_answer": text,
    }
    chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    conversed = scored("reverse", prompt=[chat[:1]], completion=[answer], reference=[text])
    evaluated = {"messages": chat, "ground_truth": text}
    sample = {"prompt": prompt, "response": answer, "label": text}
    eval_protocol = "/compat/eval-protocol/reverse"
    return {
        "slime": Comparison("/compat/slime/reverse", sample, native),
        "NeMo Gym /verify": Comparison("/compat/nemo-gym/reverse/verify", gym, conversed),
        "eval-protocol /reward": Comparison(f"{eval_protocol}/reward", evaluated, conversed),
        "eval-protocol /evaluate": Comparison(f"{eval_protocol}/evaluate", evaluated, conversed),
    }


RUN = "/v1/fine_tuning/alpha/graders/run"


def graders(answer: str) -> dict[str, Comparison]:
    sides = {"input": "{{ sample.output_text }}", "reference": "{{ item.answer }}"}
    exact = {"type": "string_check", "name": "exact", **sides, "operation": "eq"}
    similar = {
        "type": "text_similarity", "name": "similar", **sides, "evaluation_metric": "rouge_l",
    }  # fmt: skip
    multi = {
        "type": "multi",
        "name": "both",
        "graders": {"exact": exact, "similar": similar},
        "calculate_output": "(exact + similar) / 2",
    }
    sample = {"completion": answer, "reference": answer}
    parts = [{**sample, "scorer": "string_check"}, {**sample, "scorer": "similar"}]
    natives: dict[str, tuple[Body, Body]] = {
        "string_check": (exact, {"samples": parts[:1]}),
        "text_similarity": (similar, {"samples": parts[1:]}),
        "multi of two": (multi, {"samples": parts}),
    }
    return {
        f"OpenAI {name}": Comparison(
            RUN, {"grader": grader, "model_sample": answer, "item": {"answer": answer}}, native
        )
        for name, (grader, native) in natives.items()
    }


DOUBLES = "def double(n):\n    return 2 * n\n"
REPEATS = "print(input())"


def programs_of_many_tests() -> dict[str, Comparison]:
    asserts = [f"assert double({n}) == {2 * n}" for n in range(SIZE)]
    outputs = [{"input": f"{n}\n", "output": f"{n}\n"} for n in range(SIZE)]
    cases: dict[str, tuple[str, list[Any], list[Any]]] = {
        "test_program": (DOUBLES, asserts, [{"test_code": each} for each in asserts]),
        "test_program_stdio": (REPEATS, outputs, [in_and_out(**each) for each in outputs]),
    }
    return {
        f"open-instruct /{name}": Comparison(
            f"/{name}",
            {"program": program, "tests": tests},
            scored("code", completion=[fenced(program)] * SIZE, reference=references),
            forks=True,
        )
        for name, (program, tests, references) in cases.items()
    }


def programs() -> dict[str, Comparison]:
    source = "def grade(sample, item):\n    return float(sample['output_text'] == item['a'])\n"
    grader = {"type": "python", "name": "python", "source": source}
    graded = {"grader": grader, "model_sample": "x", "item": {"a": "x"}}
    scorer = {"type": "python_grader", "source": source}
    ran = {"code": REPEATS, "language": "python", "stdin": "1\n", "run_timeout": 5}
    return {
        "OpenAI python": Comparison(
            RUN, graded, scored(scorer, completion=["x"], reference=[{"a": "x"}]), forks=True
        ),
        "SandboxFusion /run_code": Comparison(
            "/run_code",
            ran,
            scored("code", completion=[fenced(REPEATS)], reference=[in_and_out("1\n", "1\n")]),
            forks=True,
        ),
    }


def in_and_out(input: str, output: str) -> Body:
    return {"tests": [{"stdin": input, "stdout": output}]}


def fenced(program: str) -> str:
    return f"```python\n{program}\n```"


# --- how long it takes ------------------------------------------------------------------


def measured(url: str, pid: int, each: Comparison) -> tuple[float, float, float | None]:
    """How many times as long the foreign route takes, the native one's seconds, and the ratio
    of processor times, which other work on the machine changes less.

    Of time, the median of the ratios of neighbours in time, each of which comes first in turn: what
    slows the machine slows both.
    """
    address = urlsplit(url)
    host, port = str(address.hostname), int(address.port or 80)
    bodies = [request(host, NATIVE, each.native), request(host, each.path, each.foreign)]
    seconds: tuple[list[float], list[float]] = ([], [])
    processor: tuple[list[float], list[float]] = ([], [])
    with connections(host, port, each.at_once) as sockets:
        ends = time.monotonic() + SECONDS
        for number in count():
            if number >= WARM_UP + FEWEST_ROUNDS and time.monotonic() > ends:
                break
            for side in (0, 1) if number % 2 else (1, 0):
                before = 0 if each.forks else processor_ns(pid)
                seconds[side].append(exchange(sockets, bodies[side]))
                processor[side].append(0 if each.forks else processor_ns(pid) - before)
    native_s = statistics.median(seconds[0][WARM_UP:])
    return ratio(seconds), native_s, None if each.forks else ratio_of_sums(processor)


def ratio(sides: tuple[Sequence[float], Sequence[float]]) -> float:
    native, foreign = (side[WARM_UP:] for side in sides)
    return statistics.median(f / n for n, f in zip(native, foreign, strict=True))


def ratio_of_sums(sides: tuple[Sequence[float], Sequence[float]]) -> float:
    """Of processor times, which the kernel may count in steps longer than a round."""
    native, foreign = (sum(side[WARM_UP:]) for side in sides)
    return foreign / native


def request(host: str, path: str, body: Mapping[str, Any]) -> bytes:
    content = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@contextmanager
def connections(host: str, port: int, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((host, port))) for _ in range(number)]


def exchange(sockets: Sequence[socket.socket], content: bytes) -> float:
    """Seconds until every connection that sent `content` has its reply."""
    started = time.perf_counter()
    for each in sockets:
        each.sendall(content)
    for each in sockets:
        read_reply(each)
    return time.perf_counter() - started


def read_reply(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, content = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(received.decode(errors="replace")[:500])
    _, _, length = head.lower().partition(b"content-length: ")
    left = int(length.split(b"\r\n")[0]) - len(content)
    while left > 0:
        left -= len(connection.recv(65_536))
