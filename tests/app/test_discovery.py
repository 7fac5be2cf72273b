"""What the service says about itself."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from tests.app.conftest import LINUX, in_process, reversal, score


def test_every_scorers_example_scores_the_maximum(client: TestClient) -> None:
    scorers = client.get("/v1/scorers").json()["scorers"]
    assert scorers
    for scorer in scorers:
        if scorer["lane"] == "sandbox" and not LINUX:
            continue
        (given,) = score(client, scorer["example"]).json()["scores"]
        assert given["reward"] == scorer["reward_range"][1], scorer["name"]
        assert given["scorer"]["name"] == scorer["name"]
        assert given["scorer"]["version"] == scorer["version"]


def test_one_scorer_is_described_as_in_the_list(client: TestClient) -> None:
    listed = client.get("/v1/scorers").json()["scorers"][0]
    assert client.get(f"/v1/scorers/{listed['name']}").json() == listed


def test_an_unknown_scorer_is_a_404(client: TestClient) -> None:
    reply = client.get("/v1/scorers/nothing")
    assert reply.status_code == 404
    assert reply.json()["code"] == "unknown_scorer"


def test_presets_are_listed() -> None:
    presets = {"words": {"type": "string_reversal", "unit": "word"}}
    with in_process(presets=presets) as client:
        (preset,) = client.get("/v1/scorers").json()["presets"]
    assert preset == {"name": "words", "scorer": presets["words"], "reward_range": [0.0, 1.0]}


def test_readiness_asks_the_lanes() -> None:
    with in_process() as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["lanes"]["cpu"] == {"ready": True, "reason": None, "pending": 0}
        client.app.state.scheduler.lanes["cpu"]._fault = "out of order"
        down = client.get("/readyz")
        assert down.status_code == 503
        assert down.json()["lanes"]["cpu"]["reason"] == "out of order"
        assert down.json()["lanes"]["inline"]["ready"] is True


def test_a_draining_service_is_alive_and_not_ready() -> None:
    with in_process() as client:
        client.app.state.scheduler.draining = True
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        refused = score(client, reversal("cba"))
        assert refused.status_code == 503
        assert refused.json()["code"] == "draining"
        assert refused.json()["retryable"] is True
        assert int(refused.headers["Retry-After"]) >= 1


def test_metrics_count_scores_by_scorer_and_outcome() -> None:
    with in_process() as client:
        score(client, reversal("cba"), reversal("x"), reversal("y"), {"completion": "z"})
        text = client.get("/metrics").text
    assert 'assay_scores_total{outcome="correct",scorer="string_reversal"} 1.0' in text
    assert 'assay_scores_total{outcome="incorrect",scorer="string_reversal"} 2.0' in text
    assert 'assay_scores_total{outcome="missing_field",scorer="string_reversal"} 1.0' in text
    assert 'assay_http_requests_total{method="POST",route="/v1/score",status="200"} 1.0' in text
    assert 'assay_lane_ready{lane="cpu"} 1.0' in text
    names = {line.split("{")[0].split()[0] for line in text.splitlines() if line[0] != "#"}
    assert all(name.startswith("assay_") for name in names)


def test_no_module_has_effects_on_import_beyond_its_names() -> None:
    """Settings are read when asked, not when a module is imported."""
    for source in Path(__file__).parents[2].glob("app/**/*.py"):
        if source.name != "settings.py":
            text = source.read_text()
            assert "os.environ.get" not in text, source
            assert "os.getenv" not in text, source


def test_a_composite_counts_once_and_not_by_its_parts() -> None:
    parts = {"right": {"scorer": "string_reversal"}, "again": {"scorer": "string_reversal"}}
    with in_process() as client:
        score(client, reversal("cba"), scorer={"type": "weighted", "components": parts})
        text = client.get("/metrics").text
    assert 'assay_scores_total{outcome="correct",scorer="weighted"} 1.0' in text
    assert 'scorer="string_reversal"' not in text
