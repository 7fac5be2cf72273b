"""Worker processes are killed and replaced, and no sample is lost or blamed for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.lanes.cpu import CpuLane
from app.lanes.lane import Scheduler
from tests.app.conftest import (
    CATASTROPHIC,
    FINE,
    HANGS,
    eventually,
    in_process,
    score,
    served,
)
from tests.processes import children
from verifiers.base import Sample, Score
from verifiers.registry import Registry

pytestmark = pytest.mark.slow


def test_a_hanging_sample_gets_the_lowest_reward_and_its_neighbours_their_own() -> None:
    with in_process(cpu_limit_s=0.3) as client:
        completions = [FINE, HANGS, FINE, json.dumps("b"), HANGS, FINE]
        reply = score(client, *({"completion": c} for c in completions), scorer=CATASTROPHIC)
        scores = reply.json()["scores"]
        assert [score["outcome"] for score in scores] == [
            *("correct", "time_limit", "correct", "incorrect", "time_limit", "correct")
        ]
        assert [score["reward"] for score in scores] == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]
        assert scores[1]["details"] == {"cpu_limit_s": 0.3}
        assert client.get("/readyz").status_code == 200


def test_what_is_sure_to_be_quick_waits_for_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain numbers are compared at once; a fraction needs a worker, which cannot start here."""
    completions = ["\\boxed{42}", "\\boxed{\\frac{84}{2}}", "\\boxed{41}"]

    async def use(lane: CpuLane, scheduler: Scheduler) -> list[Score]:
        lane._idle.clear()
        monkeypatch.setattr("sys.executable", "/nonexistent/python")
        samples = [Sample(completion=completion, reference="42") for completion in completions]
        return await scheduler.submit([Registry().build("math")] * 3, samples).result()

    assert [score.reward for score in with_lane(use)] == [1.0, None, 0.0]


def test_a_hanging_sample_holds_nobody_else_up() -> None:
    with in_process(cpu_limit_s=5, cpu_workers=1) as client:
        hanging = threading.Thread(
            target=score, args=(client, {"completion": HANGS}), kwargs={"scorer": CATASTROPHIC}
        )
        hanging.start()
        assert eventually(lambda: client.get("/readyz").json()["lanes"]["cpu"]["pending"] == 1)
        reply = score(client, {"completion": "cba", "reference": "abc"})
        assert reply.json()["scores"][0]["reward"] == 1.0
        assert hanging.is_alive()
        hanging.join()


def test_a_deadline_ends_what_hangs() -> None:
    with in_process(cpu_limit_s=60) as client:
        reply = score(client, {"completion": HANGS}, scorer=CATASTROPHIC, deadline_s=0.3)
        assert reply.json()["scores"][0]["error"]["code"] == "deadline_exceeded"
        again = score(client, {"completion": FINE}, scorer=CATASTROPHIC, deadline_s=30)
        assert again.json()["scores"][0]["reward"] == 1.0


def test_running_out_of_memory_is_the_completions_fault() -> None:
    enormous = json.dumps(list(range(200_000)))
    schema = {"type": "json_schema", "schema": {"uniqueItems": True}}
    with in_process(cpu_memory_bytes=256 * 2**20, max_completion_bytes=2**22) as client:
        reply = score(client, {"completion": enormous}, {"completion": "[1]"}, scorer=schema)
        first, second = reply.json()["scores"]
        assert first["error"] is None
        assert second["reward"] == 1.0


def with_lane(use: Callable[[CpuLane, Scheduler], Any], **options: Any) -> Any:
    async def go() -> Any:
        usual = {"workers": 2, "cpu_limit_s": 5, "memory_bytes": 2**30, "capacity": 9}
        lane = CpuLane(**usual | options)
        scheduler = Scheduler([lane], max_completion_bytes=2**20)
        await scheduler.start()
        try:
            return await use(lane, scheduler)
        finally:
            await scheduler.stop(grace_s=0)

    return asyncio.run(go())


def test_a_worker_killed_from_outside_costs_no_sample() -> None:
    async def use(lane: CpuLane, scheduler: Scheduler) -> list[Score]:
        scorer = Registry().build(CATASTROPHIC)
        first = scheduler.submit([scorer], [Sample(completion=FINE)])
        await first.result()
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        return await scheduler.submit([scorer] * 3, [Sample(completion=FINE)] * 3).result()

    assert [score.reward for score in with_lane(use)] == [1.0, 1.0, 1.0]


def test_a_sample_whose_workers_keep_dying_is_a_retryable_error_and_no_reward() -> None:
    async def use(lane: CpuLane, scheduler: Scheduler) -> Score:
        scorer = Registry().build(CATASTROPHIC)
        job = scheduler.submit([scorer], [Sample(completion=HANGS)])
        killed: set[int] = set()
        while not job.finished.done():
            for pid in set(children(os.getpid())) - killed:
                await asyncio.sleep(0.5)  # it has begun with the sample by now
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            await asyncio.sleep(0.01)
        return (await job.result())[0]

    score = with_lane(use, workers=1, cpu_limit_s=30)
    assert score.reward is None
    assert (score.error.code, score.error.retryable) == ("internal", True)


def test_a_long_request_lets_a_later_one_in_between_its_samples() -> None:
    slow = "[" * 11 + "]" * 11  # a twentieth of a second

    async def use(lane: CpuLane, scheduler: Scheduler) -> tuple[list[Score], int, list[Score]]:
        scorer = Registry().build(CATASTROPHIC)
        begun = asyncio.Event()
        long = scheduler.submit(
            [scorer] * 60, [Sample(completion=slow)] * 60, on_score=lambda *_: begun.set()
        )
        await begun.wait()
        short = await scheduler.submit([scorer], [Sample(completion=FINE)]).result()
        still_open = long.scores.count(None)
        return short, still_open, await long.result()

    short, still_open, all_of_long = with_lane(use, workers=1, capacity=99)
    assert [score.reward for score in short] == [1.0]
    assert still_open > 0
    assert [score.reward for score in all_of_long] == [1.0] * 60
    assert [score.id for score in all_of_long] == [str(index) for index in range(60)]


def test_workers_start_on_demand_and_all_end_with_the_lane() -> None:
    async def use(lane: CpuLane, scheduler: Scheduler) -> tuple[int, int]:
        scorer = Registry().build(CATASTROPHIC)
        before = len(children(os.getpid()))
        await scheduler.submit([scorer] * 4, [Sample(completion=FINE)] * 4).result()
        return before, len(children(os.getpid()))

    started = len(children(os.getpid()))
    before, after = with_lane(use)
    assert before - started == 1
    assert after - started == 2
    assert len(children(os.getpid())) == started


def test_workers_see_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_API_KEYS", "secret")
    monkeypatch.setenv("SOME_TOKEN", "secret")

    async def use(lane: CpuLane, scheduler: Scheduler) -> list[bytes]:
        return [environment(pid) for pid in children(os.getpid())]

    environments = with_lane(use)
    assert environments
    assert not any(b"secret" in environment for environment in environments)


def test_a_lane_that_cannot_start_a_process_says_so_and_never_scores_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def use(lane: CpuLane, scheduler: Scheduler) -> tuple[Score, str | None]:
        for worker in list(lane._alive):
            await lane._discard(worker)
        lane._idle.clear()
        monkeypatch.setattr("sys.executable", "/nonexistent/python")
        scorer = Registry().build(CATASTROPHIC)
        (score,) = await scheduler.submit([scorer], [Sample(completion=FINE)]).result()
        return score, lane.fault()

    score, fault = with_lane(use)
    assert score.reward is None
    assert score.error is not None
    assert score.error.retryable
    assert fault is not None


@pytest.mark.parametrize(
    ("path", "work"),
    [
        ("/v1/score", {"samples": [{"completion": HANGS}]}),
        ("/v1/groups", {"groups": [{"completions": [HANGS, FINE]}]}),
    ],
)
def test_a_client_that_leaves_takes_its_hanging_work_with_it(
    path: str, work: dict[str, Any]
) -> None:
    with served(ASSAY_CPU_LIMIT_S="600") as service, httpx.Client(base_url=service.url) as client:
        (worker,) = children(service.process.pid)
        with pytest.raises(httpx.ReadTimeout):
            client.post(path, json={"scorer": CATASTROPHIC, **work}, timeout=1.0)
        assert eventually(lambda: worker not in children(service.process.pid))
        assert eventually(lambda: pending(client) == 0)
        fine = score(client, {"completion": FINE}, scorer=CATASTROPHIC)
        assert fine.json()["scores"][0]["reward"] == 1.0


def test_sigterm_lets_work_in_flight_finish_while_the_service_says_it_drains() -> None:
    with served(ASSAY_CPU_LIMIT_S="2") as service, httpx.Client(base_url=service.url) as client:
        replies: list[Any] = []
        body = {"scorer": CATASTROPHIC, "samples": [{"completion": HANGS}, {"completion": FINE}]}
        asking = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{service.url}/v1/score", json=body, timeout=60)
            )
        )
        asking.start()
        assert eventually(lambda: pending(client) == 2)
        service.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").headers["Retry-After"] == "1"
        assert client.get("/healthz").status_code == 200
        refused = score(client, {"completion": "cba", "reference": "abc"})
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        asking.join(60)
        assert [score["reward"] for score in replies[0].json()["scores"]] == [0.0, 1.0]
        assert service.process.wait(20) == 0


def test_what_outlives_the_grace_time_is_told_to_come_again() -> None:
    with served(ASSAY_CPU_LIMIT_S="600", ASSAY_DRAIN_GRACE_S="0.5") as service:
        body = {"scorer": CATASTROPHIC, "samples": [{"completion": FINE}, {"completion": HANGS}]}
        replies: list[Any] = []
        asking = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{service.url}/v1/score", json=body, timeout=60)
            )
        )
        asking.start()
        with httpx.Client(base_url=service.url) as client:
            assert eventually(lambda: pending(client) > 0)
            time.sleep(1)  # the first sample is scored by now
        service.process.send_signal(signal.SIGTERM)
        asking.join(60)
        done, late = replies[0].json()["scores"]
        assert done["reward"] == 1.0
        assert late["error"]["code"] == "shutting_down"
        assert late["error"]["retryable"] is True
        assert service.process.wait(20) == 0


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def pending(client: httpx.Client | TestClient) -> int:
    return int(client.get("/readyz").json()["lanes"]["cpu"]["pending"])
