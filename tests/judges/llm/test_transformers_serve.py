"""A real endpoint: `transformers serve` with a model of our own, over HTTP.

The model is a table from each character to the next: whatever it is asked, it says "yes" and
stops. That shows the whole path and the count of tokens, and nothing about sense. For a model
without a response template the endpoint repeats the prompt in its reply, and we take it so.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from judges.llm.base import Ask, Reply, Turn
from judges.llm.failures import Rejected, Unusable
from tests.judges.llm.judging import judges
from trainer_client.train.policy import ASSISTANT, END, Policy, character_tokenizer
from verifiers.errors import JudgeFailed

pytest.importorskip("openai", reason="transformers serve needs transformers[serving]")
pytest.importorskip("accelerate", reason="transformers serve needs transformers[serving]")

READY_WITHIN_S = 240

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # it imports all of transformers before it serves
]


def table_model(chain: list[str]) -> Policy:
    """Says the characters of `chain`, each after the one before it."""
    tokenizer = character_tokenizer()
    size = len(tokenizer)
    config = Qwen3Config(
        vocab_size=size,
        hidden_size=size + size % 2,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.eye(size, config.hidden_size))
        ids = tokenizer.convert_tokens_to_ids(chain)
        for before, after in itertools.pairwise(ids):
            model.lm_head.weight[after, before] = 1.0
    return Policy(model, tokenizer)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("says-yes")
    table_model([ASSISTANT, "y", "e", "s", END]).save(folder)
    return folder


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "transformers.cli.transformers", "serve", str(model), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def wait_until_healthy(url: str, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < ends:
        assert server.poll() is None, "transformers serve ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail("transformers serve did not get ready")


def answers(url: str, model: Path, kind: str, *asks: Ask, **members: Any) -> list[Any]:
    table = {"kind": kind, "base_url": url, "model": str(model), "run_cap": {"tokens": 10**6}}

    async def go() -> list[Any]:
        async with judges(served={**table, **members}) as hosted:
            found = (hosted["served"].ask(ask) for ask in asks)
            return await asyncio.gather(*found, return_exceptions=True)

    return asyncio.run(go())


def question(text: str, **members: Any) -> Ask:
    return Ask((Turn("user", text),), **{"max_tokens": 16, **members})


def test_a_chat_reply_comes_back_with_its_tokens(url: str, model: Path) -> None:
    replies = answers(url, model, "chat", *(question(f"{number}?") for number in range(8)))
    for reply in replies:
        assert isinstance(reply, Reply), reply
        assert "yes" in reply.text
        assert reply.usage.prompt_tokens == 4, "two characters and two marks of turns"
        assert 3 <= reply.usage.completion_tokens <= 4
        assert reply.usage.calls == 1


def test_structure_and_probabilities_that_are_ignored_are_not_relied_on(
    url: str, model: Path
) -> None:
    """It takes `response_format` and `logprobs`, and does as if they were not there."""
    graded, chosen = answers(
        url,
        model,
        "chat",
        question("grade", schema={"type": "object"}),
        question("met?", options=("yes", "no")),
    )
    assert "yes" in graded.text
    assert chosen.probabilities is None


def test_a_reply_cut_off_by_its_length_is_a_failure(url: str, model: Path) -> None:
    (failure,) = answers(url, model, "chat", question("long", max_tokens=2))
    assert type(failure) is Unusable
    assert "cut off after 2 tokens" in str(failure)


def test_a_decision_comes_back_with_probabilities(url: str, model: Path) -> None:
    (reply,) = answers(url, model, "systemone", question("2 > 1", options=("yes", "no", "so")))
    assert isinstance(reply, Reply), reply
    assert reply.probabilities is not None
    assert set(reply.probabilities) == {"yes", "no", "so"}
    assert sum(reply.probabilities.values()) == pytest.approx(1)
    assert reply.usage.prompt_tokens > 0


def test_a_dialect_that_it_does_not_speak_is_rejected(url: str, model: Path) -> None:
    (failure,) = answers(url, model, "decisions", question("2 > 1", options=("yes", "no")))
    assert type(failure) is Rejected
    assert isinstance(failure, JudgeFailed)
    assert "404" in str(failure)
