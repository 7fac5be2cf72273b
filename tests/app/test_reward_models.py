"""Reward models in the service: named in the settings, scored, described, swapped."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from judges.reward_model.guards.fitting import fit_guards
from judges.reward_model.serve import pool
from tests.app.conftest import eventually, in_process
from tests.judges.reward_model.serving import model_folder
from tests.judges.reward_model.test_guards import natural_texts

pytestmark = pytest.mark.slow

PROMPT = "what is a good answer"


@pytest.fixture(autouse=True)
def _hub_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "taste")


@pytest.fixture
def service(folder: Path) -> Iterator[TestClient]:
    with in_process(reward_models={"taste": {"path": str(folder)}}) as client:
        yield client


def request(*completions: str, **scorer: Any) -> dict[str, Any]:
    samples = [{"prompt": PROMPT, "completion": completion} for completion in completions]
    return {"scorer": {"type": "reward_model", **scorer}, "samples": samples}


def post(client: TestClient, *completions: str, **scorer: Any) -> Any:
    reply = client.post("/v1/score", json=request(*completions, **scorer))
    return reply.json()["scores"] if reply.status_code == 200 else reply.json()


def described(client: TestClient) -> Any:
    [model] = client.get("/v1/reward-models").json()["reward_models"]
    return model


def put(source: Path, target: Path) -> None:
    """Another model's files in the place of the old ones."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def test_a_named_model_scores(service: TestClient) -> None:
    red, blue = post(service, "red", "blue", model="taste")
    assert red["outcome"] == blue["outcome"] == "judged"
    assert 0 < red["reward"] < 1
    assert red["reward"] != blue["reward"]
    assert red["scorer"]["name"] == "reward_model"


WHOLE = f"{PROMPT}\n\nred"
"""The pair as the model reads it: what a client sends that puts texts together itself."""

FROM_CLIENTS: dict[str, tuple[dict[str, Any], Callable[[Any], float]]] = {
    "/classify": ({"input": WHOLE}, lambda reply: reply["data"][0]["probs"][0]),
    "/v1/classify": ({"input": [WHOLE]}, lambda reply: reply["data"][0]["probs"][0]),
    "/pooling": ({"input": WHOLE}, lambda reply: reply["data"][0]["data"][0]),
    "/v1/embeddings": ({"input": WHOLE}, lambda reply: reply["data"][0]["embedding"][0]),
    "/compat/sglang/v1/classify": ({"input": WHOLE}, lambda reply: reply["data"][0]["probs"][0]),
    "/predict": ({"inputs": WHOLE}, lambda reply: reply[0]["score"]),
    "/compat/tei/predict": ({"inputs": [[WHOLE]]}, lambda reply: reply[0][0]["score"]),
}


@pytest.mark.parametrize("path", FROM_CLIENTS)
def test_a_whole_text_from_a_client_of_another_server_scores_as_its_pair(
    service: TestClient, path: str
) -> None:
    body, reward_in = FROM_CLIENTS[path]
    [pair] = post(service, "red")
    reply = service.post(path, json=body)
    assert reply.status_code == 200, reply.text
    assert reward_in(reply.json()) == pytest.approx(pair["reward"])


@pytest.mark.parametrize(
    "preset", ["reward_model", {"type": "reward_model", "reward": "percentile"}]
)
def test_a_preset_of_a_reward_model_takes_whole_texts(folder: Path, preset: Any) -> None:
    models = {"taste": {"path": str(folder)}}
    with in_process(reward_models=models, presets={"mine": preset}) as client:
        body = {"model": "mine", "input": WHOLE}
        assert 0 < client.post("/classify", json=body).json()["data"][0]["probs"][0] < 1
        raw = client.post("/classify", json={**body, "use_activation": False}).json()
        [pair] = post(client, "red", reward="raw")
        assert raw["data"][0]["probs"][0] == pytest.approx(pair["reward"])


def test_a_chat_of_one_answer_is_no_whole_text(service: TestClient) -> None:
    """Its template is still to be put around it, and what it spells are no control tokens."""
    chat = [{"role": "assistant", "content": "red"}]
    reply = service.post("/classify", json={"messages": chat}).json()
    sample = {"prompt": [], "completion": "red"}
    body = {"scorer": "reward_model", "samples": [sample]}
    [score] = service.post("/v1/score", json=body).json()["scores"]
    assert reply["data"][0]["probs"][0] == pytest.approx(score["reward"])


def test_a_whole_text_over_the_limit_fails_its_request(service: TestClient) -> None:
    reply = service.post("/classify", json={"input": "red " * 40})
    assert reply.status_code == 400
    assert "42 tokens, and the model takes 32" in reply.json()["error"]["message"]


def test_the_models_are_described(service: TestClient) -> None:
    model = described(service)
    assert (model["name"], model["status"], model["refusal"]) == ("taste", "ready", None)
    assert model["serving"]["heads"] == 3
    assert model["serving"]["max_length"] == 32
    assert model["serving"]["reference_texts"] == 200
    [score] = post(service, "red")
    assert score["details"]["model_hash"] == model["serving"]["model_hash"]


def test_guards_are_described_with_their_rates(tmp_path: Path) -> None:
    guards = fit_guards(natural_texts(200), false_alarm_rate=0.05)
    folder = model_folder(tmp_path, guards=guards, max_length=64)
    with in_process(reward_models={"taste": {"path": str(folder)}}) as client:
        described_guards = described(client)["serving"]["guards"]
        [score] = post(client, "good " * 30)
    assert described_guards["false_alarm_rate"] == 0.05
    assert described_guards["texts"] == 200
    assert described_guards["thresholds"] == guards["thresholds"]
    assert described_guards["penalties"] == guards["penalties"]
    assert sum(described_guards["alarms"].values()) <= 0.05
    assert "repetition" in score["details"]["flags"]


def test_the_scorer_is_listed_with_an_example_that_scores(service: TestClient) -> None:
    description = service.get("/v1/scorers/reward_model").json()
    assert (description["kind"], description["lane"]) == ("judge", "model")
    reply = service.post("/v1/score", json={"samples": [description["example"]]})
    assert reply.json()["summary"]["scored"] == 1


def test_a_service_without_models_has_no_such_scorer() -> None:
    with in_process() as client:
        assert post(client, "red")["code"] == "unknown_scorer"
        assert client.get("/v1/reward-models").json() == {"reward_models": []}
        assert client.get("/readyz").status_code == 200


def test_an_unknown_name_is_refused_with_the_known_ones(service: TestClient) -> None:
    problem = post(service, "red", model="nose")
    assert problem["code"] == "invalid_request"
    assert "known: taste" in problem["detail"]
    reply = service.post("/v1/reward-models/nose/reload")
    assert (reply.status_code, reply.json()["code"]) == (404, "unknown_reward_model")
    assert "known: taste" in reply.json()["detail"]


def test_a_reload_of_the_same_folder_changes_nothing(service: TestClient) -> None:
    before = post(service, "red")
    assert service.post("/v1/reward-models/taste/reload").json()["changed"] is False
    after = post(service, "red")
    assert after[0]["scorer"] == before[0]["scorer"]
    assert after[0]["cached"], "the cache is by content, not by name"


def test_a_reload_takes_the_new_version(service: TestClient, folder: Path, tmp_path: Path) -> None:
    preset = {"type": "weighted", "components": {"taste": {"scorer": {"type": "reward_model"}}}}
    body = {**request("red"), "scorer": preset}
    [before], composite = post(service, "red"), service.post("/v1/score", json=body).json()
    put(model_folder(tmp_path / "new", seed=1), folder)
    assert service.post("/v1/reward-models/taste/reload").json()["changed"] is True
    [after], later = post(service, "red"), service.post("/v1/score", json=body).json()
    assert after["reward"] != before["reward"]
    assert after["scorer"]["digest"] != before["scorer"]["digest"]
    assert later["scores"][0]["reward"] == pytest.approx(after["reward"])
    assert later["scores"][0]["scorer"] != composite["scores"][0]["scorer"]


def broken(folder: Path, how: str) -> None:
    if how == "no tokenizer":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    elif how == "wrong head":
        config = json.loads((folder / "config.json").read_text())
        config["id2label"] = {"0": "no", "1": "yes"}
        config["label2id"] = {"no": 0, "yes": 1}
        (folder / "config.json").write_text(json.dumps(config))
    elif how == "half written":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "damaged guards":
        card = json.loads((folder / "assay.json").read_text())
        (folder / "assay.json").write_text(json.dumps({**card, "guards": {"version": 7}}))
    else:
        shutil.rmtree(folder)


BROKEN = ["no tokenizer", "wrong head", "half written", "damaged guards", "gone"]


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_folder_is_refused_and_the_running_model_stays(
    service: TestClient, folder: Path, how: str
) -> None:
    before = post(service, "red")
    broken(folder, how)
    reply = service.post("/v1/reward-models/taste/reload")
    problem = reply.json()
    assert (reply.status_code, problem["code"], problem["retryable"]) == (
        409,
        "model_refused",
        False,
    )
    assert len(problem["detail"].split()) > 5
    assert str(folder) not in reply.text, "no path of the machine"
    assert "Traceback" not in reply.text
    model = described(service)
    assert (model["status"], model["refusal"]) == ("ready", problem["detail"])
    assert post(service, "red")[0]["reward"] == before[0]["reward"]
    assert service.get("/readyz").status_code == 200


@pytest.mark.parametrize("name", ["m", "./m", "absolute"])
def test_a_refusal_names_no_path_and_garbles_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = model_folder(tmp_path / Path(name).name)
    path = str(folder) if name == "absolute" else name
    with in_process(reward_models={"taste": {"path": path}}) as client:
        (folder / "config.json").write_text('{"num_labels": 1}')  # transformers names the folder
        detail = client.post("/v1/reward-models/taste/reload").json()["detail"]
        assert "Unrecognized model in the folder of 'taste'" in detail
        assert str(tmp_path) not in detail
        broken(folder, "no tokenizer")
        detail = client.post("/v1/reward-models/taste/reload").json()["detail"]
        assert "the folder of 'taste' holds no tokenizer; save the one that the model" in detail


def test_the_models_of_other_servers_clients_are_those_of_the_settings(
    service: TestClient,
) -> None:
    listed = [each["id"] for each in service.get("/v1/models").json()["data"]]
    assert listed == ["taste"]
    for model in (*listed, "reward_model", None):
        reply = service.post("/classify", json={"model": model, "input": WHOLE})
        assert reply.status_code == 200, reply.text
        assert reply.json()["model"] == (model or "reward_model")


def test_a_model_that_never_loaded_is_an_error_until_it_does(folder: Path, tmp_path: Path) -> None:
    good = model_folder(tmp_path / "good")
    broken(folder, "no tokenizer")
    presets = {"mine": {"type": "reward_model"}}
    with in_process(reward_models={"taste": {"path": str(folder)}}, presets=presets) as client:
        assert "tokenizer" in client.get("/readyz").json()["lanes"]["model"]["reason"]
        [score] = post(client, "red")
        assert score["reward"] is None
        assert (score["error"]["code"], score["error"]["retryable"]) == ("model_unavailable", False)
        assert "save" in score["error"]["message"]
        put(good, folder)
        assert client.post("/v1/reward-models/taste/reload").status_code == 200
        reply = client.post("/v1/score", json={**request("red"), "scorer": "mine"})
        assert reply.json()["summary"]["scored"] == 1
        assert client.get("/readyz").status_code == 200


def test_a_watched_folder_is_reloaded_when_it_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WATCH_S", 0.02)
    settings = {"taste": {"path": str(folder), "watch": True}}
    with in_process(reward_models=settings) as client:
        first = described(client)["serving"]["model_hash"]
        put(model_folder(tmp_path / "new", seed=1), folder)
        assert eventually(lambda: described(client)["serving"]["model_hash"] != first)
        second = described(client)["serving"]["model_hash"]
        broken(folder, "no tokenizer")
        assert eventually(lambda: described(client)["refusal"] is not None)
        assert described(client)["serving"]["model_hash"] == second
        assert post(client, "red")[0]["error"] is None


def test_no_request_is_lost_or_divided_by_a_hot_swap(folder: Path, tmp_path: Path) -> None:
    """500 requests of 8 samples each while the model is swapped back and forth."""
    versions = [model_folder(tmp_path / f"v{seed}", seed=seed) for seed in range(3)]
    app = create_app(
        Settings(cpu_workers=1, sandbox_workers=0, reward_models={"taste": {"path": str(folder)}})
    )

    async def ask(client: httpx.AsyncClient, number: int) -> list[dict[str, Any]]:
        await asyncio.sleep(number % 125 * 0.004)
        texts = [f"{'red ' * (number % 20)}{'blue ' * row}" for row in range(8)]
        reply = await client.post("/v1/score", json=request(*texts), timeout=60)
        assert reply.status_code == 200
        return list(reply.json()["scores"])

    async def swap(client: httpx.AsyncClient, version: Path) -> None:
        await asyncio.to_thread(put, version, folder)
        reply = await client.post("/v1/reward-models/taste/reload", timeout=60)
        assert reply.status_code == 200

    async def run() -> list[list[dict[str, Any]]]:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://assay") as client,
        ):
            asking = []
            for wave, version in enumerate([*versions, None]):
                numbers = range(125 * wave, 125 * (wave + 1))
                asking += [asyncio.create_task(ask(client, number)) for number in numbers]
                if version is not None:  # the last wave meets the last version in place
                    await swap(client, version)
            return await asyncio.gather(*asking)

    replies = asyncio.run(run())
    assert len(replies) == 500
    versions_used: Counter[str] = Counter()
    by_text: dict[tuple[str, int, int], float] = {}
    for number, scores in enumerate(replies):
        assert all(score["error"] is None for score in scores)
        [digest] = {score["scorer"]["digest"] for score in scores}
        [model] = {score["details"]["model_hash"] for score in scores}
        versions_used[model] += 1
        for row, score in enumerate(scores):
            key = (digest, number % 20, row)
            assert by_text.setdefault(key, score["reward"]) == pytest.approx(
                score["reward"], abs=1e-5
            )
    assert len(versions_used) > 1, "the swap happened while requests were under way"


def test_importing_the_service_imports_no_torch() -> None:
    program = (
        "import sys, app.main, app.cli, judges.reward_model.serve.scorer, judges.over_optimisation;"
        "print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_files_are_scored_without_a_server(folder: Path, tmp_path: Path) -> None:
    config, samples = tmp_path / "assay.toml", tmp_path / "samples.jsonl"
    config.write_text(f'[reward_models.taste]\npath = "{folder}"\n')
    samples.write_text(json.dumps({"prompt": PROMPT, "completion": "red"}) + "\n")
    command = ["-m", "app.cli", "score", str(samples), "--scorer", "reward_model"]
    result = subprocess.run(
        [sys.executable, *command, "--config", str(config)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout)["outcome"] == "judged"
