"""The frameworks' own HTTP clients and models against the service's foreign routes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SERVER_PYTHON = os.environ.get("ASSAY_SERVER_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
READY = "Assay is ready at "

PROTOCOLS = {"run_code": True, "test_program": True, "default_preset": "string_reversal"}

runs_programs = pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a live service with all foreign routes on."""
    settings = {
        "ASSAY_CPU_WORKERS": "1",
        "ASSAY_SANDBOX_WORKERS": str(int(sys.platform == "linux")),
        "ASSAY_PROTOCOLS": json.dumps(PROTOCOLS),
        "PYTHONPATH": str(ROOT),
    }
    command = [SERVER_PYTHON, "-m", "app.cli", "serve", "--port", "0", "--log-level", "error"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(READY), "the service did not start: is `make test` set up?"
            yield line.removeprefix(READY).strip()
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """litellm, which eval-protocol imports, fetches prices unless told otherwise."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


# --- OpenRLHF ---------------------------------------------------------------------------

PROMPT = "<|im_start|>user\nReverse abc<|im_end|>\n<|im_start|>assistant\n"


def openrlhf_rewards(endpoint: str, *rows: tuple[str, Any]) -> Any:
    agent = pytest.importorskip("openrlhf.utils.agent")
    executor = agent.SingleTurnAgentExecutor(endpoint)
    queries = [PROMPT + completion for completion, _ in rows]
    labels = [label for _, label in rows]
    [reply] = asyncio.run(executor._fetch_rewards_via_http(queries, [PROMPT] * len(rows), labels))
    return reply


def test_openrlhf_fetches_rewards(url: str) -> None:
    endpoint = f"{url}/compat/openrlhf/string_reversal/get_reward"
    reply = openrlhf_rewards(endpoint, ("cba<|im_end|>", "abc"), ("abc<|im_end|>", "abc"))
    assert reply["rewards"] == [1.0, 0.0]
    assert reply["scores"] == [1.0, 0.0]
    assert reply["extra_logs"] == {"valid": [1.0, 1.0]}


def test_openrlhf_gets_numbers_under_the_same_keys_for_what_has_no_score(url: str) -> None:
    scored = openrlhf_rewards(f"{url}/get_reward", ("cba", "abc"))
    unscored = openrlhf_rewards(f"{url}/get_reward", ("cba", None))
    assert unscored["rewards"] == [0.0]
    assert unscored["extra_logs"] == {"valid": [0.0]}
    assert scored["extra_logs"].keys() == unscored["extra_logs"].keys()


# --- SandboxFusion, and verl's client of it ---------------------------------------------


@runs_programs
@pytest.mark.parametrize(
    ("code", "status", "stdout"),
    [("print(int(input()) * 2)", "Success", "42\n"), ("print('x'); 1 / 0", "Failed", "x\n")],
)
def test_sandbox_fusion_runs_code(url: str, code: str, status: str, stdout: str) -> None:
    fusion = pytest.importorskip("sandbox_fusion")
    request = fusion.RunCodeRequest(code=code, language="python", stdin="21\n", run_timeout=5)
    reply = fusion.run_code(request, endpoint=url, max_attempts=1)
    assert reply.status.value == status
    assert reply.run_result.stdout == stdout
    assert (reply.run_result.return_code == 0) == (status == "Success")


@runs_programs
def test_sandbox_fusion_sees_a_time_limit(url: str) -> None:
    fusion = pytest.importorskip("sandbox_fusion")
    request = fusion.RunCodeRequest(code="while True: pass", language="python", run_timeout=0.3)
    reply = fusion.run_code(request, endpoint=url, max_attempts=1)
    assert reply.run_result.status.value == "TimeLimitExceeded"


@runs_programs
@pytest.mark.parametrize(("code", "passed"), [("print(input())", True), ("print(1)", False)])
def test_verl_judges_by_the_sandbox(url: str, code: str, passed: bool) -> None:
    fusion = pytest.importorskip("verl.utils.reward_score.sandbox_fusion.utils")
    tests = {"inputs": ["a\n", "b\n"], "outputs": ["a\n", "b\n"]}
    results, _ = fusion.check_correctness(f"{url}/run_code", tests, code, timeout=5)
    assert results == [passed, passed]


# --- eval-protocol ----------------------------------------------------------------------


def remote(url: str) -> Any:
    evaluation = pytest.importorskip("eval_protocol.reward_function")
    endpoint = f"{url}/compat/eval-protocol/string_reversal/reward"
    return evaluation.RewardFunction(mode="remote", endpoint=endpoint)


def conversation(completion: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": "Reverse abc"},
        {"role": "assistant", "content": completion},
    ]


@pytest.mark.parametrize(("completion", "score"), [("cba", 1.0), ("abc", 0.0)])
def test_eval_protocol_gets_scores(url: str, completion: str, score: float) -> None:
    result = remote(url)(messages=conversation(completion), ground_truth="abc")
    assert result.score == score
    assert result.is_score_valid


def test_eval_protocol_raises_where_there_is_no_score(url: str) -> None:
    requests = pytest.importorskip("requests")
    with pytest.raises(requests.HTTPError, match="422"):
        remote(url)(messages=conversation("cba"), ground_truth=[{"role": "user", "content": "a"}])


# --- NeMo Gym ---------------------------------------------------------------------------


def gym_row(completion: str, answer: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": completion, "annotations": []}]
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    return {
        "responses_create_params": {"input": [{"role": "user", "content": "Reverse abc"}]},
        "response": {
            "id": "r", "created_at": 0, "model": "m", "object": "response",
            "output": [{**message, "content": content}],
            "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
        },
        "expected_answer": answer,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("completion", "answer", "reward", "masked"),
    [("cba", "abc", 1.0, False), ("abc", "abc", 0.0, False), ("cba", 7, 0.0, True)],
)
def test_nemo_gym_models_take_the_reply(
    url: str, completion: str, answer: Any, reward: float, masked: bool
) -> None:
    gym = pytest.importorskip("nemo_gym.base_resources_server")
    requests = pytest.importorskip("requests")
    row = gym_row(completion, answer)
    gym.BaseVerifyRequest.model_validate(row)
    reply = requests.post(f"{url}/verify", json=row, timeout=30)
    for model in (gym.BaseVerifyResponse, gym.BaseMultiRewardVerifyResponse):
        verified = model.model_validate(reply.json())
        assert (verified.reward, verified.mask_sample) == (reward, masked)
        assert (verified.failure_kind is not None) == masked


def test_nemo_gym_models_take_the_companions_replies(url: str) -> None:
    gym = pytest.importorskip("nemo_gym.base_resources_server")
    requests = pytest.importorskip("requests")
    ids = {"resources_session_id": "s", "episode_id": "e"}
    seeded = requests.post(f"{url}/seed_session", json={**ids, "task_id": "t"}, timeout=30)
    gym.ResourcesSeedSessionResponse.model_validate(seeded.json())
    closed = requests.post(f"{url}/close_session", json=ids, timeout=30)
    gym.ResourcesCloseSessionResponse.model_validate(closed.json())
    rewards = {"verify_responses": [{"reward": 1.0}, {"reward": 0.0, "mask_sample": True}]}
    metrics = requests.post(f"{url}/aggregate_metrics", json=rewards, timeout=30).json()
    assert gym.AggregateMetrics.model_validate(metrics).key_metrics["mean/reward"] == 1.0
    mode = requests.get(f"{url}/reverify_mode", timeout=30).json()
    assert gym.ReverifyMode(mode) is gym.ReverifyMode.STATELESS
