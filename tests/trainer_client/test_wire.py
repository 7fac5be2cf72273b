"""What is sent, and when nothing is."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer_client.scripted_server import ScriptedServer, client_of
from trainer_client import InvalidRequest, Retry, Score, ScoreError
from trainer_client.wire import MAX_BATCH_BYTES, batches_of, retry_after_s, slices

CIRCULAR: dict[str, Any] = {"completion": "1"}
CIRCULAR["metadata"] = CIRCULAR


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([{"id": "a"}, {"id": "b"}, {"id": "a"}], "samples 0 and 2 share the id 'a'"),
        ([{"id": "1"}, {}], "samples 0 and 1 share the id '1'"),
        ([{"id": 7}], "sample 0: an id is a string, not 7"),
        ([{}, {"metadata": {"x": float("nan")}}], "sample '1' is not JSON"),
        ([{"completion": "\ud800"}], "sample '0' is not JSON"),
        ([{"completion": b"bytes"}], "sample '0' is not JSON"),
        ([CIRCULAR], "sample '0' is not JSON"),
        (["completion"], "sample 0 is no mapping"),
        ({"completion": "the sample itself"}, "sample 0 is no mapping"),
    ],
)
def test_a_sample_that_cannot_be_sent_is_named_and_nothing_is_sent(
    given: Any, complaint: str
) -> None:
    with (
        ScriptedServer() as server,
        client_of(server, batch_size=1) as client,
        pytest.raises(InvalidRequest, match=complaint),
    ):
        client.submit(given, "number")
    assert server.received == []


def test_a_scorer_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the request is not JSON"):
        batches_of([{}], {"type": "x", "weight": float("inf")}, None, 1.0, batch_size=1)


@given(
    sizes=st.lists(st.integers(1, MAX_BATCH_BYTES + 1), max_size=30), batch_size=st.integers(1, 8)
)
def test_batches_cover_all_samples_in_order_within_both_limits(
    sizes: list[int], batch_size: int
) -> None:
    parts = list(slices(sizes, [1] * len(sizes), batch_size))
    assert [size for part in parts for size in sizes[part]] == sizes
    for part in parts:
        assert 1 <= len(sizes[part]) <= batch_size
        assert sum(sizes[part]) <= MAX_BATCH_BYTES or len(sizes[part]) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(completions=st.lists(st.text(), max_size=6), reference=JSON, batch_size=st.integers(1, 4))
def test_any_text_and_any_reference_arrive_as_they_are(
    completions: list[str], reference: Any, batch_size: int
) -> None:
    sent = [{"completion": text, "reference": reference} for text in completions]
    batches = batches_of(sent, "x", "r", 1.5, batch_size=batch_size)
    documents = [json.loads(batch.body()) for batch in batches]
    arrived = [sample for document in documents for sample in document.pop("samples")]
    assert arrived == [{**one, "id": str(index)} for index, one in enumerate(sent)]
    assert all(one == {"scorer": "x", "run": "r", "deadline_s": 1.5} for one in documents)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1.5"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "9" * 400}, float("inf")),
        ({"retry-after": "Sat, 06 Jan 2001 00:00:01 GMT"}, 0.0),
        (
            {
                "retry-after": "Sat, 06 Jan 2001 00:00:09 GMT",
                "date": "Sat, 06 Jan 2001 00:00:02 GMT",
            },
            7.0,
        ),
        ({"retry-after": "Sat, 99 Jan 99999 00:00:01 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_both_its_forms(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_s(httpx.Headers(headers)) == seconds


def test_a_date_without_the_services_clock_is_read_by_ours() -> None:
    headers = httpx.Headers({"retry-after": formatdate(time.time() + 1_000, usegmt=True)})
    assert 0 < retry_after_s(headers) <= 1_000


@given(st.integers(0, 10_000))
def test_waits_grow_to_their_bound_and_never_past_it(attempt: int) -> None:
    assert 0 <= Retry(base_s=0.1, max_s=5).delay_s(attempt) <= min(5, 0.1 * 2 ** min(attempt, 30))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reward": 1.0, "error": ScoreError("internal", "m", False)},
        {"reward": float("nan")},
        {"reward": float("inf")},
    ],
)
def test_a_score_is_a_finite_reward_or_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reward"):
        Score(id="0", **wrong)
