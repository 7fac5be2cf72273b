"""The frameworks' own HTTP clients and models against the service's foreign routes."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

import pytest

runs_programs = pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux only")


@pytest.fixture(autouse=True)
def nothing_strays(monkeypatch: pytest.MonkeyPatch) -> None:
    """litellm, which eval-protocol imports, fetches prices unless told otherwise; and NeMo Gym
    puts the working directory on the path, where the service's `verifiers` would hide PyPI's.
    """
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setattr(sys, "path", [*sys.path])


# --- OpenRLHF ---------------------------------------------------------------------------

PROMPT = "<|im_start|>user\nReverse abc<|im_end|>\n<|im_start|>assistant\n"


def openrlhf_rewards(endpoint: str, *rows: tuple[str, Any]) -> Any:
    agent = pytest.importorskip("openrlhf.utils.agent")
    executor = agent.SingleTurnAgentExecutor(endpoint)
    queries = [PROMPT + completion for completion, _ in rows]
    labels = [label for _, label in rows]
    [reply] = asyncio.run(executor._fetch_rewards_via_http(queries, [PROMPT] * len(rows), labels))
    return reply


def test_openrlhf_fetches_rewards(foreign: str) -> None:
    endpoint = f"{foreign}/compat/openrlhf/string_reversal/get_reward"
    reply = openrlhf_rewards(endpoint, ("cba<|im_end|>", "abc"), ("abc<|im_end|>", "abc"))
    assert reply["rewards"] == [1.0, 0.0]
    assert reply["scores"] == [1.0, 0.0]
    assert reply["extra_logs"] == {"valid": [1.0, 1.0]}


def test_openrlhf_gets_numbers_under_the_same_keys_for_what_has_no_score(foreign: str) -> None:
    scored = openrlhf_rewards(f"{foreign}/get_reward", ("cba", "abc"))
    unscored = openrlhf_rewards(f"{foreign}/get_reward", ("cba", None))
    assert unscored["rewards"] == [0.0]
    assert unscored["extra_logs"] == {"valid": [0.0]}
    assert scored["extra_logs"].keys() == unscored["extra_logs"].keys()


# --- slime, as far as `contracts/` has it -----------------------------------------------


def slime_sample(response: str, label: Any) -> dict[str, Any]:
    return {"prompt": "Reverse abc", "response": response, "label": label}


@pytest.mark.parametrize(("response", "reward"), [("cba", 1.0), ("abc", 0.0)])
def test_slime_gets_a_number(foreign: str, slime: ModuleType, response: str, reward: float) -> None:
    url, sample = f"{foreign}/compat/slime/string_reversal", slime_sample(response, "abc")
    assert asyncio.run(slime.remote_rm(url, sample, tries=2)) == reward
    asked = slime.remote_rm(f"{url}?object=1", sample, tries=2, key="score")
    assert asyncio.run(asked) == reward


def test_slime_raises_where_there_is_no_score_unless_zeros_are_asked_for(
    foreign: str, slime: ModuleType
) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    url, sample = f"{foreign}/compat/slime/string_reversal", slime_sample("cba", None)
    with pytest.raises(aiohttp.ClientResponseError, match="422"):
        asyncio.run(slime.remote_rm(url, sample, tries=2))
    url += "?on_error=zero"
    assert asyncio.run(slime.remote_rm(url, sample, tries=2)) == 0.0
    asked = slime.remote_rm(f"{url}&object=1", sample, tries=2, key="valid")
    assert asyncio.run(asked) == 0.0


# --- verl's client of reward models -----------------------------------------------------


class Tokenizer:
    """All of a tokenizer that verl's worker uses: a code point a token, and a line a turn."""

    eos_token, bos_token = "\0", None

    def decode(self, ids: Any) -> str:
        return "".join(map(chr, ids.tolist()))

    def apply_chat_template(self, chat: list[dict[str, str]], **_: Any) -> str:
        return "\n".join(message["content"] for message in chat)


def verl_reward_model(url: str, engine: str, completion: str) -> dict[str, Any]:
    worker_type = pytest.importorskip("verl.experimental.reward_loop.reward_loop").RewardLoopWorker
    import numpy as np
    import torch
    from omegaconf import OmegaConf
    from verl import DataProto

    worker = object.__new__(worker_type)  # whose constructor loads models' tokenizers from disk
    model = {"model_path": "says_cba", "rollout": {"name": engine}}
    worker.config = OmegaConf.create({"reward": {"reward_model": model}})
    worker.reward_router_address = url.removeprefix("http://")
    worker.input_tokenizer = worker.reward_model_tokenizer = Tokenizer()
    ids = torch.tensor([list(map(ord, completion + Tokenizer.eos_token))])
    prompts = np.empty(1, dtype=object)
    prompts[0] = [{"role": "user", "content": "Reverse abc"}]
    data = DataProto.from_dict(
        tensors={"responses": ids, "attention_mask": torch.ones_like(ids)},
        non_tensors={"raw_prompt": prompts},
    )
    scored: dict[str, Any] = asyncio.run(worker.compute_score_disrm(data))
    return scored


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize(("completion", "reward"), [("cba", 1.0), ("abc", 0.0)])
def test_verl_takes_it_for_its_reward_models_server(
    foreign: str, engine: str, completion: str, reward: float
) -> None:
    assert verl_reward_model(foreign, engine, completion)["reward_score"] == reward


# --- SandboxFusion, and verl's client of it ---------------------------------------------


@runs_programs
@pytest.mark.parametrize(
    ("code", "status", "stdout"),
    [("print(int(input()) * 2)", "Success", "42\n"), ("print('x'); 1 / 0", "Failed", "x\n")],
)
def test_sandbox_fusion_runs_code(foreign: str, code: str, status: str, stdout: str) -> None:
    fusion = pytest.importorskip("sandbox_fusion")
    request = fusion.RunCodeRequest(code=code, language="python", stdin="21\n", run_timeout=5)
    reply = fusion.run_code(request, endpoint=foreign, max_attempts=1)
    assert reply.status.value == status
    assert reply.run_result.stdout == stdout
    assert (reply.run_result.return_code == 0) == (status == "Success")


@runs_programs
def test_sandbox_fusion_sees_a_time_limit(foreign: str) -> None:
    fusion = pytest.importorskip("sandbox_fusion")
    request = fusion.RunCodeRequest(code="while True: pass", language="python", run_timeout=0.3)
    reply = fusion.run_code(request, endpoint=foreign, max_attempts=1)
    assert reply.run_result.status.value == "TimeLimitExceeded"


@runs_programs
@pytest.mark.parametrize(("code", "passed"), [("print(input())", True), ("print(1)", False)])
def test_verl_judges_by_the_sandbox(foreign: str, code: str, passed: bool) -> None:
    fusion = pytest.importorskip("verl.utils.reward_score.sandbox_fusion.utils")
    tests = {"inputs": ["a\n", "b\n"], "outputs": ["a\n", "b\n"]}
    results, _ = fusion.check_correctness(f"{foreign}/run_code", tests, code, timeout=5)
    assert results == [passed, passed]


# --- eval-protocol ----------------------------------------------------------------------


def remote(foreign: str) -> Any:
    evaluation = pytest.importorskip("eval_protocol.reward_function")
    endpoint = f"{foreign}/compat/eval-protocol/string_reversal/reward"
    return evaluation.RewardFunction(mode="remote", endpoint=endpoint)


def conversation(completion: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": "Reverse abc"},
        {"role": "assistant", "content": completion},
    ]


@pytest.mark.parametrize(("completion", "score"), [("cba", 1.0), ("abc", 0.0)])
def test_eval_protocol_gets_scores(foreign: str, completion: str, score: float) -> None:
    result = remote(foreign)(messages=conversation(completion), ground_truth="abc")
    assert result.score == score
    assert result.is_score_valid


def test_eval_protocol_raises_where_there_is_no_score(foreign: str) -> None:
    requests = pytest.importorskip("requests")
    with pytest.raises(requests.HTTPError, match="422"):
        remote(foreign)(
            messages=conversation("cba"), ground_truth=[{"role": "user", "content": "a"}]
        )


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
    foreign: str, completion: str, answer: Any, reward: float, masked: bool
) -> None:
    gym = pytest.importorskip("nemo_gym.base_resources_server")
    requests = pytest.importorskip("requests")
    row = gym_row(completion, answer)
    gym.BaseVerifyRequest.model_validate(row)
    reply = requests.post(f"{foreign}/verify", json=row, timeout=30)
    for model in (gym.BaseVerifyResponse, gym.BaseMultiRewardVerifyResponse):
        verified = model.model_validate(reply.json())
        assert (verified.reward, verified.mask_sample) == (reward, masked)
        assert (verified.failure_kind is not None) == masked


def test_nemo_gym_models_take_the_companions_replies(foreign: str) -> None:
    gym = pytest.importorskip("nemo_gym.base_resources_server")
    requests = pytest.importorskip("requests")
    ids = {"resources_session_id": "s", "episode_id": "e"}
    seeded = requests.post(f"{foreign}/seed_session", json={**ids, "task_id": "t"}, timeout=30)
    gym.ResourcesSeedSessionResponse.model_validate(seeded.json())
    closed = requests.post(f"{foreign}/close_session", json=ids, timeout=30)
    gym.ResourcesCloseSessionResponse.model_validate(closed.json())
    rewards = {"verify_responses": [{"reward": 1.0}, {"reward": 0.0, "mask_sample": True}]}
    metrics = requests.post(f"{foreign}/aggregate_metrics", json=rewards, timeout=30).json()
    assert gym.AggregateMetrics.model_validate(metrics).key_metrics["mean/reward"] == 1.0
    mode = requests.get(f"{foreign}/reverify_mode", timeout=30).json()
    assert gym.ReverifyMode(mode) is gym.ReverifyMode.STATELESS


def test_nemo_gyms_client_takes_it_for_a_resources_server(foreign: str) -> None:
    """What its simple agent does after a model has answered."""
    servers = pytest.importorskip("nemo_gym.server_utils")
    models = pytest.importorskip("responses_api_agents.simple_agent.app")
    from omegaconf import OmegaConf

    host, port = foreign.removeprefix("http://").split(":")
    address = {"host": host, "port": int(port)}
    gym = servers.ServerClient(
        head_server_config=servers.BaseServerConfig(**address),
        global_config_dict=OmegaConf.create({"assay": {"resources_servers": {"one": address}}}),
    )

    async def verified(row: dict[str, Any]) -> Any:
        seeded = await gym.post("assay", "/seed_session", json=row)
        await servers.raise_for_status(seeded)
        reply = await gym.post("assay", "/verify", json=row, cookies=seeded.cookies)
        await servers.raise_for_status(reply)
        return models.SimpleAgentVerifyResponse.model_validate(
            await servers.get_response_json(reply)
        )

    async def main() -> list[Any]:
        session = servers.set_global_aiohttp_client(servers.GlobalAIOHTTPAsyncClientConfig())
        async with session:
            return [await verified(gym_row(*each)) for each in (("cba", "abc"), ("cba", 7))]

    assert gym.poll_for_status("assay") == "success"
    right, unscored = asyncio.run(main())
    assert (right.reward, right.mask_sample) == (1.0, False)
    assert (unscored.reward, unscored.mask_sample) == (0.0, True)
