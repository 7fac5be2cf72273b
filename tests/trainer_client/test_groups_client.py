"""Groups through the client: the real service, and replies that break the contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tests.app.conftest import in_process
from tests.trainer_client.scripted_server import QUICK
from tests.trainer_client.test_client_with_app import with_app
from trainer_client import (
    AsyncRewardClient,
    GroupScores,
    InvalidRequest,
    MajorityAnswer,
    ProtocolError,
    RequestRefused,
    RewardClient,
)
from trainer_client.wire import batches_of, slices, together

GROUPS: list[dict[str, Any]] = [
    {
        "id": "half",
        "completions": ["\\boxed{1/2}", "\\boxed{0.5}", "\\boxed{2}"],
        "reference": "0.5",
    },
    {
        "completions": ["\\boxed{7}", "no idea, honestly, none at all and whatsoever"],
        "reference": "7",
    },
    {"completions": ["\\boxed{7}", "\\boxed{8}"]},
]


def test_the_service_scores_the_groups_that_the_client_sends() -> None:
    async def use(client: AsyncRewardClient) -> list[GroupScores]:
        return await client.groups(GROUPS, "math", advantage="dr_grpo", ks=[1, 2], run="r")

    half, seven, unknown = with_app(use)
    assert (half.id, half.selected) == ("half", 0)
    assert [score.id for score in half.scores] == ["half/0", "half/1", "half/2"]
    assert half.advantages == pytest.approx([1 / 3, 1 / 3, -2 / 3])
    assert half.majority == MajorityAnswer("1/2", 2, 0, pytest.approx(2 / 3))
    assert half.statistics.pass_at_k == {1: pytest.approx(2 / 3), 2: 1.0}
    assert half.statistics.distinct_answers == 2
    assert [score.reward for score in seven.scores] == [1.0, 0.0]
    assert [score.error and score.error.code for score in unknown.scores] == ["missing_field"] * 2
    assert unknown.advantages == [None, None]
    assert unknown.selected is None


def test_a_refused_group_is_named() -> None:
    async def use(client: AsyncRewardClient) -> RequestRefused:
        with pytest.raises(RequestRefused) as caught:
            await client.groups(
                [*GROUPS, {"id": "bad", "completions": ["7"], "prompts": ""}], "math"
            )
        return caught.value

    assert {fault.sample_id for fault in with_app(use).faults} == {"bad"}


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ([{"reference": "1"}], "group '0' has no list of completions"),
        ([{"completions": "text"}], "group '0' has no list of completions"),
        ([{"completions": []}, {"id": "0", "completions": []}], "groups 0 and 1 share the id"),
        ([{"completions": [float("nan")]}], "group '0' is not JSON"),
        (["text"], "group 0 is no mapping"),
    ],
)
def test_a_group_that_cannot_be_sent_is_named(groups: Any, complaint: str) -> None:
    with (
        RewardClient("http://127.0.0.1:9") as client,
        pytest.raises(InvalidRequest, match=complaint),
    ):
        client.groups(groups, "math")


@pytest.fixture(scope="module")
def genuine() -> Any:
    with in_process() as client:
        return answered_by(client)


def answered_by(client: TestClient) -> Any:
    groups = [{**group, "id": group.get("id", str(i))} for i, group in enumerate(GROUPS)]
    return client.post("/v1/groups", json={"scorer": "math", "groups": groups}).json()


def client_told(replies: Callable[[httpx.Request], Any]) -> AsyncRewardClient:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=replies(request)))
    return AsyncRewardClient("http://scripted", transport=transport, retry=QUICK)


def read(reply: Any) -> list[GroupScores]:
    async def main() -> list[GroupScores]:
        async with client_told(lambda _: reply) as client:
            return await client.groups(GROUPS, "math")

    return asyncio.run(main())


def changed(document: Any, path: list[Any], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


BROKEN: list[tuple[list[Any], Any]] = [
    (["groups"], []),
    (["groups"], None),
    (["groups", 0, "id"], "other"),
    (["groups", 0, "scores"], []),
    (["groups", 0, "scores", 0, "reward"], None),
    (["groups", 0, "scores", 0, "id"], "half/1"),
    (["groups", 0, "advantages"], [0.0]),
    (["groups", 0, "advantages", 1], None),
    (["groups", 2, "advantages", 1], 0.0),
    (["groups", 0, "advantages", 1], True),
    (["groups", 0, "advantages", 1], "0"),
    (["groups", 0, "selected"], 3),
    (["groups", 0, "selected"], -1),
    (["groups", 0, "selected"], 1.0),
    (["groups", 0, "majority"], {}),
    (["groups", 0, "majority", "index"], 9),
    (["groups", 0, "statistics"], None),
    (["groups", 0, "statistics", "pass_at_k"], {"one": 1.0}),
    (["groups", 0, "statistics", "mean"], "0.5"),
]


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=str)
def test_a_reply_that_breaks_the_contract_is_no_reward(
    genuine: Any, path: list[Any], value: Any
) -> None:
    assert [group.id for group in read(genuine)] == ["half", "1", "2"]
    with pytest.raises(ProtocolError):
        read(changed(genuine, path, value))


def test_a_group_is_sent_again_as_a_whole(genuine: Any) -> None:
    late = {"code": "deadline_exceeded", "message": "late", "retryable": True}
    failed = changed(genuine, ["groups", 0, "scores", 1, "reward"], None)
    failed = changed(failed, ["groups", 0, "scores", 1, "error"], late)
    failed = changed(failed, ["groups", 0, "advantages", 1], None)
    received: list[Any] = []

    def reply(request: httpx.Request) -> Any:
        received.append(json.loads(request.content))
        return failed if len(received) == 1 else {"groups": genuine["groups"][:1]}

    async def main() -> list[GroupScores]:
        async with client_told(reply) as client:
            return await client.groups(GROUPS, "math")

    found = asyncio.run(main())
    assert [len(document["groups"]) for document in received] == [3, 1]
    assert received[1]["groups"] == received[0]["groups"][:1]
    assert [score.reward for score in found[0].scores] == [1.0, 1.0, 0.0]


# --- batches ----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), max_size=20), st.integers(1, 30))
def test_no_batch_holds_more_completions_than_asked_for_unless_one_group_does(
    members: list[tuple[int, int]], batch_size: int
) -> None:
    sizes, counts = [size for size, _ in members], [count for _, count in members]
    parts = list(slices(sizes, counts, batch_size))
    assert [size for part in parts for size in sizes[part]] == sizes
    for part in parts:
        assert sum(counts[part]) <= batch_size or len(counts[part]) == 1


@given(st.lists(st.none() | st.sampled_from("ab"), max_size=12), st.integers(1, 4))
def test_neighbours_of_a_group_stay_in_one_request(
    names: list[str | None], batch_size: int
) -> None:
    samples = [{"completion": "x", "group": name} for name in names]
    batches = batches_of(samples, "majority", None, 1.0, batch_size=batch_size)
    found = [[json.loads(item).get("group") for item in batch.items] for batch in batches]
    assert [name for batch in found for name in batch] == names
    for before, after in pairwise(found):
        assert before[-1] is None or before[-1] != after[0]


def test_those_of_no_group_are_cut_anywhere() -> None:
    assert list(together([None, None, "a", "a", None])) == [
        slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 5),
    ]  # fmt: skip
