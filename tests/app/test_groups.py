"""`POST /v1/groups` as API.md promises it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from statistics import pstdev
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.grouping.schemas import GroupsRequest, GroupsResponse
from app.routes.groups import answer
from tests.app.conftest import CATASTROPHIC, FINE, HANGS, in_process
from tests.app.http.test_bad_input import JSON
from verifiers.base import InternalError, Run, Sample, Score, Scorer
from verifiers.registry import Registry

SLOW = r"\int_0^1 " * 8 + "x"


def boxed(*answers: str) -> list[str]:
    return [f"So it is \\boxed{{{answer}}}" for answer in answers]


def group(*completions: Any, reference: Any = "1/2", **fields: Any) -> dict[str, Any]:
    return {"completions": list(completions), "reference": reference, **fields}


def post(client: TestClient, *groups: dict[str, Any], **request: Any) -> Any:
    return client.post("/v1/groups", json={"scorer": "math", "groups": list(groups), **request})


def only(client: TestClient, *completions: Any, **request: Any) -> Any:
    reply = post(client, group(*completions), **request)
    assert reply.status_code == 200, reply.text
    return reply.json()["groups"][0]


def test_a_group_comes_back_with_everything_about_it(client: TestClient) -> None:
    completions = boxed("1/2", "0.5", "2", "\\frac{4}{8}")
    reply = post(client, group(*completions, id="p7"), ks=[1, 2, 4, 8])
    body = reply.json()
    assert set(body) == {"request_id", "groups", "advantage", "summary"}
    assert body["advantage"] == {"estimator": "grpo", "ddof": 1, "eps": 1e-4}
    assert body["summary"] == {"count": 4, "scored": 4, "failed": 0, "mean": 0.75,
                               "std": pytest.approx(math.sqrt(3) / 4)}  # fmt: skip
    [found] = body["groups"]
    assert [score["id"] for score in found["scores"]] == ["p7/0", "p7/1", "p7/2", "p7/3"]
    assert [score["reward"] for score in found["scores"]] == [1, 1, 0, 1]
    assert found["advantages"] == pytest.approx(
        [0.25 / 0.5001] * 2 + [-0.75 / 0.5001, 0.25 / 0.5001]
    )
    assert (found["id"], found["selected"], found["comparison_error"]) == ("p7", 0, None)
    assert found["majority"] == {"answer": "1/2", "votes": 3, "index": 0, "share": 0.75}
    lengths = [len(completion) for completion in completions]
    assert found["statistics"] == {
        "mean": 0.75,
        "std": pytest.approx(math.sqrt(3) / 4),
        "min": 0.0,
        "max": 1.0,
        "pass_at_k": {"1": 0.75, "2": 1.0, "4": 1.0, "8": None},
        "distinct_answers": 2,
        "answer_entropy": pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))),
        "length_mean": sum(lengths) / 4,
        "length_std": pytest.approx(pstdev(lengths)),
        "length_correct": pytest.approx((lengths[0] + lengths[1] + lengths[3]) / 3),
        "length_wrong": lengths[2],
    }  # fmt: skip


def test_scores_are_those_of_v1_score(client: TestClient) -> None:
    completions = [
        *boxed("1/2", "3"),
        "no answer at all, I am afraid, and no number either",
        "\\boxed{",
    ]
    grouped = only(client, *completions)["scores"]
    samples = [
        {"id": f"0/{i}", "completion": completion, "reference": "1/2"}
        for i, completion in enumerate(completions)
    ]
    single = client.post("/v1/score", json={"scorer": "math", "samples": samples}).json()["scores"]
    for score in (*grouped, *single):
        score.pop("elapsed_ms")
    assert grouped == single


def test_failed_scores_stay_out_and_get_null(client: TestClient) -> None:
    samples = [group(*boxed("1/2", "3"), reference=None), group(*boxed("1/2", "3"))]
    failed, scored = post(client, *samples).json()["groups"]
    assert [score["error"]["code"] for score in failed["scores"]] == ["missing_field"] * 2
    assert failed["advantages"] == [None, None]
    assert failed["selected"] is None
    assert failed["statistics"]["mean"] is None
    assert failed["statistics"]["pass_at_k"] == {"1": None}
    assert None not in scored["advantages"]


@pytest.mark.slow
def test_a_deadline_leaves_the_scored_with_their_advantages() -> None:
    completions = [FINE, "7", HANGS]
    with in_process(cpu_limit_s=60) as client:
        found = only(client, *completions, scorer=CATASTROPHIC, deadline_s=1.0)
    assert [score["reward"] for score in found["scores"][:2]] == [1.0, 0.0]
    assert found["scores"][2]["error"]["code"] == "deadline_exceeded"
    assert found["advantages"] == [
        pytest.approx(0.5 / (math.sqrt(0.5) + 1e-4)),
        pytest.approx(-0.5 / (math.sqrt(0.5) + 1e-4)),
        None,
    ]
    assert found["statistics"]["pass_at_k"] == {"1": 0.5}


@pytest.mark.parametrize(
    ("advantage", "echo"),
    [
        ("trl_async", {"estimator": "grpo", "ddof": 0, "eps": 1e-8}),
        ("verl", {"estimator": "verl", "ddof": 1, "eps": 1e-6}),
        ("dr_grpo", {"estimator": "dr_grpo", "ddof": None, "eps": None}),
        (
            {"estimator": "grpo", "ddof": 0, "eps": 0.5},
            {"estimator": "grpo", "ddof": 0, "eps": 0.5},
        ),
        ({"estimator": "grpo"}, {"estimator": "grpo", "ddof": 1, "eps": 1e-4}),
    ],
)
def test_the_answer_repeats_what_was_computed(
    client: TestClient, advantage: Any, echo: dict[str, Any]
) -> None:
    body = post(client, group(*boxed("1/2", "3")), advantage=advantage).json()
    assert body["advantage"] == echo
    again = post(client, group(*boxed("1/2", "3")), advantage=echo).json()
    assert again["groups"][0]["advantages"] == body["groups"][0]["advantages"]


@pytest.mark.parametrize(
    ("select", "completions", "selected"),
    [
        ("best", [*boxed("3"), "It is after all \\boxed{1/2}", "\\boxed{0.5}", "\\boxed{.50}"], 2),
        ("best", boxed("7", "8"), 0),
        ("shortest_correct", [*boxed("1/2"), "\\boxed{3}", "\\boxed{0.5}"], 2),
        ("shortest_correct", boxed("7", "8"), None),
        ("majority", boxed("1/2", "3", "3.0"), 1),
        ("majority", ["<think>", "<think>"], None),
    ],
)
def test_selection(
    client: TestClient, select: str, completions: list[str], selected: int | None
) -> None:
    assert only(client, *completions, select=select)["selected"] == selected


def test_majority_needs_no_reference(client: TestClient) -> None:
    groups = [
        {"completions": boxed("1/2", "3", "0.5"), "prompt": "one"},
        {"completions": boxed("3", "1/2", "3"), "prompt": "two"},
    ]
    first, second = post(client, *groups, scorer={"type": "majority"}).json()["groups"]
    assert [score["reward"] for score in first["scores"]] == [1.0, 0.0, 1.0]
    assert [score["reward"] for score in second["scores"]] == [1.0, 0.0, 1.0]
    assert first["majority"]["answer"] == "1/2"
    assert first["selected"] == 0


def test_majority_may_be_a_part_of_a_composite(client: TestClient) -> None:
    brief = {"type": "length", "max_length": 400, "buffer": 100}
    parts = {"agrees": {"scorer": "majority"}, "brief": {"scorer": brief, "weight": 0.5}}
    found = only(
        client, *boxed("1/2", "0.5", "3"), scorer={"type": "weighted", "components": parts}
    )
    assert [score["components"]["agrees"] for score in found["scores"]] == [1.0, 1.0, 0.0]
    assert found["majority"]["votes"] == 2


def test_answers_that_are_texts_are_compared_as_texts(client: TestClient) -> None:
    found = only(client, "1/2", "0.5", "0.5", scorer="string_reversal")
    assert found["majority"] == {"answer": "0.5", "votes": 2, "index": 1, "share": 2 / 3}
    assert found["statistics"]["distinct_answers"] == 2


def test_each_group_may_have_its_own_scorer(client: TestClient) -> None:
    groups = [group("cba", reference="abc", scorer="string_reversal"), group(*boxed("0.5"))]
    found = post(client, *groups).json()["groups"]
    assert [each["scores"][0]["reward"] for each in found] == [1.0, 1.0]
    assert [each["scores"][0]["scorer"]["name"] for each in found] == ["string_reversal", "math"]


def test_completions_and_prompts_may_be_chat_messages(client: TestClient) -> None:
    message = {"role": "assistant", "content": "\\boxed{1/2}"}
    prompt = [{"role": "user", "content": "What is a half?"}]
    [found] = post(client, group(message, "\\boxed{1/2}", prompt=prompt)).json()["groups"]
    assert [score["reward"] for score in found["scores"]] == [1.0, 1.0]
    assert found["statistics"]["length_std"] == 0.0


def test_hostile_answers_neither_hang_nor_take_their_neighbours_votes() -> None:
    hostile = [SLOW, "9" * 1_900 + "/7", "2^{2^{2^{2^{99}}}}", "\\frac{" * 40, "x^{999}" * 60]
    with in_process(cpu_limit_s=0.5) as client:
        found = only(client, *boxed("1/2", "0.5", *hostile), scorer="majority", deadline_s=60)
    assert [score["reward"] for score in found["scores"][:2]] == [1.0, 1.0]
    assert found["majority"]["votes"] == 2


def test_a_repeated_request_is_answered_without_scoring_again() -> None:
    with in_process() as client:
        body = {"scorer": "math", "groups": [group(*boxed("1/2", "3"))]}
        replies = [
            client.post("/v1/groups", json=body, headers={"Idempotency-Key": "k"}).json()
            for _ in range(2)
        ]
        assert replies[0]["groups"] == replies[1]["groups"]
        assert (
            'assay_scores_total{outcome="correct",scorer="math"} 1.0' in client.get("/metrics").text
        )
        other = {"scorer": "math", "groups": [group(*boxed("4"))]}
        reply = client.post("/v1/groups", json=other, headers={"Idempotency-Key": "k"})
        assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")


# --- answers that cannot be compared ----------------------------------------------------


async def dies(scorer: Scorer[Any], samples: Sequence[Sample]) -> list[Score]:
    return [Score.failed(InternalError("the process died", retryable=True)) for _ in samples]


async def never_ends(scorer: Scorer[Any], samples: Sequence[Sample]) -> list[Score]:
    await asyncio.sleep(3_600)
    raise AssertionError


@pytest.mark.parametrize(("run", "code"), [(dies, "internal"), (never_ends, "deadline_exceeded")])
def test_scores_stand_where_answers_cannot_be_compared(run: Run, code: str) -> None:
    body = GroupsRequest.model_validate(
        {"scorer": "math", "groups": [group(*boxed("1/2", "0.5"))] * 2, "select": "majority"}
    )
    scores = [Score(reward=1.0, outcome="correct", answer=text) for text in ("1/2", "0.5") * 2]

    async def main() -> GroupsResponse:
        scorers = [Registry().build("math")] * 2
        return await answer(body, scorers, scores, run, ends=0.0)

    for found in asyncio.run(main()).groups:
        assert found.comparison_error is not None
        assert (found.comparison_error.code, found.comparison_error.retryable) == (code, True)
        assert (found.majority, found.selected) == (None, None)
        assert found.statistics.distinct_answers is None
        assert found.statistics.answer_entropy is None
        assert found.statistics.mean == 1.0
        assert found.advantages == [0.0, 0.0]


# --- malformed requests -----------------------------------------------------------------

GOOD = group("\\boxed{1/2}")


def request(*groups: Any, **fields: Any) -> dict[str, Any]:
    return {"scorer": "math", "groups": list(groups), **fields}


NAMED_FIELDS: list[tuple[str, Any, str]] = [
    ("no groups", {"scorer": "math"}, "groups"),
    ("an empty list of groups", request(), "groups"),
    ("groups of another type", {"scorer": "math", "groups": {}}, "groups"),
    ("a group of another type", request(GOOD, 3), "groups.1"),
    ("no completions", request({"reference": "1"}), "groups.0.completions"),
    ("an empty group", request(GOOD, group()), "groups.1.completions"),
    ("an unknown member", request({**GOOD, "refrence": 1}), "groups.0.refrence"),
    ("an unknown field", request(GOOD, k=[1]), "k"),
    ("two equal ids", request({**GOOD, "id": "a"}, {**GOOD, "id": "a"}), "groups.1.id"),
    ("an id that is an index", request({**GOOD, "id": "1"}, GOOD), "groups.1.id"),
    ("no scorer", {"groups": [GOOD]}, "groups.0.scorer"),
    ("a bad scorer", request(GOOD, scorer={"type": "math", "x": 1}), "scorer.x"),
    ("a sample's member", request({**GOOD, "metadata": {}}), "groups.0.metadata"),
    (
        "completions of another type",
        request(GOOD, {**GOOD, "completions": "a"}),
        "groups.1.completions",
    ),
    ("an unknown advantage", request(GOOD, advantage="ppo"), "advantage"),
    ("an unknown estimator", request(GOOD, advantage={"estimator": "ppo"}), "advantage.estimator"),
    ("ddof of 2", request(GOOD, advantage={"estimator": "grpo", "ddof": 2}), "advantage.ddof"),
    ("eps below 0", request(GOOD, advantage={"estimator": "grpo", "eps": -1}), "advantage.eps"),
    ("eps as text", request(GOOD, advantage={"estimator": "grpo", "eps": "0"}), "advantage.eps"),
    ("a typo", request(GOOD, advantage={"estimator": "grpo", "epsilon": 1}), "advantage.epsilon"),
    ("an unknown selection", request(GOOD, select="worst"), "select"),
    ("k of 0", request(GOOD, ks=[1, 0]), "ks.1"),
    ("half a k", request(GOOD, ks=[0.5]), "ks.0"),
    ("true as k", request(GOOD, ks=[True]), "ks.0"),
    ("a k as text", request(GOOD, ks=["1"]), "ks.0"),
    ("k of a billion", request(GOOD, ks=[10**9]), "ks.0"),
    ("10,000 ks", request(GOOD, ks=list(range(1, 10_001))), "ks"),
    ("ks of another type", request(GOOD, ks=4), "ks"),
    ("a negative deadline", request(GOOD, deadline_s=-1), "deadline_s"),
    ("a run as number", request(GOOD, run=1), "run"),
    ("5,000 completions in one group", request(group(*["a"] * 5_000)), "groups.0.completions"),
    ("5,000 completions in two", request(*[group(*["a"] * 2_500)] * 2), "groups"),
    ("5,000 groups", request(*[GOOD] * 5_000), "groups"),
]


@pytest.mark.parametrize(
    ("body", "field"), [pytest.param(body, field, id=why) for why, body, field in NAMED_FIELDS]
)
def test_a_malformed_request_is_a_422_that_names_the_field(
    client: TestClient, body: Any, field: str
) -> None:
    reply = client.post("/v1/groups", json=body)
    assert reply.status_code == 422
    problem = reply.json()
    assert problem["code"] == "invalid_request"
    assert any(error["field"].startswith(field) for error in problem["errors"]), problem["errors"]
    assert len(reply.content) < 200_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b'{"run": "\\ud800", "groups": [{"completions": ["a"]}]}', 422),
        (b'{"groups": [{"completions": "\\ud800"}]}', 422),
        (b'{"advantage": {"estimator": "grpo", "eps": NaN}}', 422),
        (b'{"advantage": {"estimator": "grpo", "eps": 1e999}}', 422),
    ],
)
def test_a_body_that_is_not_json_is_refused(client: TestClient, body: bytes, status: int) -> None:
    reply = client.post("/v1/groups", content=body, headers=JSON)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"


def test_what_is_small_to_send_and_large_to_score_is_refused() -> None:
    bomb = group(*["a"] * 400, reference="x" * 5_000)
    with in_process(max_body_bytes=20_000) as client:
        reply = post(client, bomb)
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
        assert post(client, GOOD).status_code == 200


@pytest.fixture(scope="module")
def guarded() -> Iterator[TestClient]:
    with in_process(api_keys=("right",)) as client:
        yield client


def test_strangers_are_refused(guarded: TestClient) -> None:
    assert guarded.post("/v1/groups", json=request(GOOD)).status_code == 401
    headers = {"Authorization": "Bearer right"}
    assert guarded.post("/v1/groups", json=request(GOOD), headers=headers).status_code == 200


def test_a_full_lane_is_a_429_and_draining_a_503() -> None:
    with in_process(queue_samples=4) as client:
        client.app.state.scheduler.lanes["cpu"].pending = 3
        reply = post(client, group("a", "b"))
        assert (reply.status_code, reply.json()["code"]) == (429, "queue_full")
        assert reply.headers["retry-after"]
        client.app.state.scheduler.lanes["cpu"].pending = 0
        client.app.state.scheduler.draining = True
        assert post(client, GOOD).json()["code"] == "draining"
