"""What is wrong with one sample fails that sample, and nothing else in the request."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.routes.exchange import MAX_SCORERS, MAX_TRIED
from tests.app.conftest import in_process, reversal
from tests.app.http.test_bad_input import JSON
from tests.verifiers.test_sample import CALL, IMAGE, THOUGHT, nested
from verifiers.regular_expression import Regex
from verifiers.sample import Sample

LONE = "\ud800"
GOOD = reversal("cba")


def message(**members: Any) -> dict[str, Any]:
    return {"role": "assistant", **members}


FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("a number as completion", {"completion": 5}, "unreadable", "completion"),
    ("a null completion", {"completion": None}, "unreadable", "completion"),
    ("a list as completion", {"completion": ["cba"]}, "unreadable", "completion"),
    ("a user's completion", {"completion": {"role": "user"}}, "unreadable", "completion.role"),
    ("no role", {"completion": {"content": "cba"}}, "unreadable", "completion.role"),
    ("a number as content", {"completion": message(content=5)}, "unreadable", "completion.content"),
    (
        "a number as a part's text",
        {"completion": message(content=[{"type": "text", "text": 5}])},
        "unreadable",
        "completion.content.0.text",
    ),
    ("deep calls", {"completion": message(tool_calls=nested(150))}, "unreadable", "completion"),
    ("a lone surrogate", {"completion": f"cba{LONE}"}, "unreadable", "completion"),
    (
        "one in a part's text",
        {"completion": message(content=[{"type": "text", "text": LONE}])},
        "unreadable",
        "completion.content.0.text",
    ),
    ("a number as prompt", {"prompt": 7}, "unreadable", "prompt"),
    ("a number in a prompt", {"prompt": [7]}, "unreadable", "prompt.0"),
    ("no role in a prompt", {"prompt": [{"content": "x"}]}, "unreadable", "prompt.0.role"),
    ("a lone surrogate in a prompt", {"prompt": LONE}, "unreadable", "prompt"),
    ("10 MB of prompt", {"prompt": "a" * 10_000_000}, "unreadable", "prompt"),
    (
        "10 MB in a part of a prompt",
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": "a" * 10_000_000}]}]},
        "unreadable",
        "prompt.0",
    ),
    ("a deep reference", {"reference": nested(150)}, "invalid_reference", "reference"),
    ("a large reference", {"reference": [0] * 200_001}, "invalid_reference", "reference"),
    ("a lone surrogate in a reference", {"reference": LONE}, "invalid_reference", "reference"),
    ("one in its key", {"reference": {LONE: 1}}, "invalid_reference", "reference"),
    ("an unknown scorer", {"scorer": "mth"}, "unknown_scorer", "scorer"),
    ("an unknown type", {"scorer": {"type": "mth"}}, "unknown_scorer", "scorer"),
    ("a typo", {"scorer": {"type": "math", "x": 1}}, "invalid_scorer", "scorer.x"),
    (
        "a parameter out of range",
        {"scorer": {"type": "string_reversal", "unit": "line"}},
        "invalid_scorer",
        "scorer.unit",
    ),
    ("no type", {"scorer": {"unit": "word"}}, "invalid_scorer", "scorer.type"),
    ("a number as scorer", {"scorer": 5}, "invalid_scorer", "scorer"),
    ("a deep scorer", {"scorer": {"type": nested(150)}}, "invalid_scorer", "scorer"),
    ("an empty name", {"scorer": ""}, "invalid_scorer", "scorer"),
    ("a lone surrogate in a scorer", {"scorer": LONE}, "invalid_scorer", "scorer"),
]
"""What is wrong, in a sample or a group; the code and the field that its error tells."""

SAMPLES_ALONE: list[tuple[str, dict[str, Any], str, str]] = [
    ("a number as group", {"group": 5}, "unreadable", "group"),
    ("only calls", {"completion": message(tool_calls=[CALL])}, "unreadable", "completion"),
    ("only an image", {"completion": message(content=[IMAGE])}, "unreadable", "completion"),
    ("only a refusal", {"completion": message(refusal="No.")}, "unreadable", "completion"),
]

UNREAD: list[tuple[str, dict[str, Any]]] = [
    ("calls beyond passing on", {"tool_calls": [{"function": {"arguments": nested(140)}}]}),
    ("too many values", {"logprobs": [0] * 200_001}),
    ("too many values in two", {"logprobs": [0] * 150_000, "tokens": [0] * 150_000}),
    ("depth that no validator bears", {"x": nested(400)}),
    ("depth that no parser bears much more of", {"x": nested(800)}),
    ("the same around a lone surrogate", {"x": nested(800, LONE)}),
    ("a lone surrogate", {"x": LONE}),
    ("a lone surrogate in calls", {"tool_calls": [{LONE: LONE}, {LONE: {LONE: 1}}]}),
    ("one as a member's name", {LONE: 1}),
]
"""Members of a completion that no scorer reads."""

BAD_METADATA = [[1], 7, {"x": nested(150)}, {"x": LONE}, {LONE: 1}, {"x": [0] * 200_001}]

BAD_IDS = [7, "", "a" * 257, LONE, {}]


def rows(*tables: list[tuple[str, dict[str, Any], str, str]]) -> list[Any]:
    return [pytest.param(*row[1:], id=row[0]) for table in tables for row in table]


def post(client: TestClient, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    """With lone surrogates as clients write them, escaped."""
    content = json.dumps(body).encode()
    return client.post(path, content=content, headers={**JSON, **headers})


def scores(client: TestClient, *samples: dict[str, Any], **request: Any) -> list[dict[str, Any]]:
    body = {"scorer": "string_reversal", "samples": list(samples), **request}
    reply = post(client, "/v1/score", body)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["scores"]
    return found


def assert_failed(score: dict[str, Any], code: str, field: str) -> None:
    assert score["reward"] is None
    assert (score["error"]["code"], score["error"]["retryable"]) == (code, False)
    assert score["error"]["message"].startswith(f"{field}"), score["error"]
    assert len(score["error"]["message"]) < 2_000


@pytest.mark.parametrize(("fault", "code", "field"), rows(FAULTS, SAMPLES_ALONE))
def test_a_misshapen_sample_fails_alone(
    client: TestClient, fault: dict[str, Any], code: str, field: str
) -> None:
    before, bad, after = scores(client, GOOD, {**GOOD, **fault, "id": "bad"}, reversal("abc"))
    assert (before["reward"], after["reward"]) == (1.0, 0.0)
    assert bad["id"] == "bad"
    assert_failed(bad, code, field)


@pytest.mark.parametrize(("fault", "code", "field"), rows(FAULTS, SAMPLES_ALONE))
def test_it_fails_alone_in_a_stream(
    client: TestClient, fault: dict[str, Any], code: str, field: str
) -> None:
    body = {"scorer": "string_reversal", "samples": [GOOD, {**GOOD, **fault}, GOOD]}
    reply = post(client, "/v1/score", body, Accept="application/x-ndjson")
    *lines, last = map(json.loads, reply.text.splitlines())
    found = {score["id"]: score for score in lines}
    assert (found["0"]["reward"], found["2"]["reward"]) == (1.0, 1.0)
    assert_failed(found["1"], code, field)
    assert last["summary"] == {"count": 3, "scored": 2, "failed": 1, "mean": 1.0, "std": 0.0}


@pytest.mark.parametrize("identifier", BAD_IDS)
def test_a_sample_whose_id_cannot_be_read_is_told_by_its_index(
    client: TestClient, identifier: Any
) -> None:
    before, bad = scores(client, GOOD, {**GOOD, "id": identifier})
    assert before["reward"] == 1.0
    assert bad["id"] == "1"
    assert_failed(bad, "unreadable", "id")


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("more", [pytest.param(more, id=name) for name, more in UNREAD])
def test_what_no_scorer_reads_saves_no_completion_from_its_reward(
    client: TestClient, more: dict[str, Any], wrong: bool
) -> None:
    content = "abc" if wrong else "cba"
    part = {"type": "image_url", **more}
    shapes = [
        message(content=content, **more),
        message(content=[{"type": "text", "text": content, **more}]),
        message(content=[part, {"type": "text", "text": content}]),
    ]
    found = scores(client, *({**GOOD, "completion": shape} for shape in shapes))
    assert {score["reward"] for score in found} == {0.0 if wrong else 1.0}
    [group] = groups(client, {**PAIR, "completions": shapes})
    assert {score["reward"] for score in group["scores"]} == {0.0 if wrong else 1.0}


@pytest.mark.parametrize(
    "completion",
    [
        "a" * 10_000_000,
        message(content="a" * 10_000_000),
        message(content=[{"type": "text", "text": "a" * 10_000_000}]),
    ],
    ids=["text", "content", "part"],
)
def test_an_endless_completion_is_rejected_and_no_error(
    client: TestClient, completion: Any
) -> None:
    [found] = scores(client, {**GOOD, "completion": completion})
    [group] = groups(client, {**PAIR, "completions": [completion]})
    for score in (found, *group["scores"]):
        assert (score["outcome"], score["reward"]) == ("rejected", 0.0)


@pytest.mark.parametrize("metadata", BAD_METADATA, ids=range(len(BAD_METADATA)))
def test_metadata_fails_nothing(client: TestClient, metadata: Any) -> None:
    [found] = scores(client, {**GOOD, "metadata": metadata})
    assert found["reward"] == 1.0


MISSHAPEN: list[tuple[str, dict[str, Any]]] = [
    ("parts", {"completion": message(content=[0] * 10_000)}),
    ("texts", {"completion": message(content=[{"type": "text", "text": 5}] * 10_000)}),
    ("more parts", {"completion": message(content=[{}] * 10_000 + [0] * 10_000)}),
    ("parts of a prompt", {"prompt": [{"role": "user", "content": [0] * 10_000}]}),
    ("messages", {"prompt": [0] * 10_000}),
    ("roles", {"prompt": [{"role": 5}] * 10_000}),
]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in MISSHAPEN])
def test_of_thousands_of_faults_in_a_message_one_is_looked_for(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        Sample.model_validate({**GOOD, **fault})
    assert error.value.error_count() <= 4  # the branches of a union


def test_too_many_completions_are_counted_before_they_are_read(client: TestClient) -> None:
    body = {"scorer": "string_reversal", "groups": [{"completions": [5] * 1_000}] * 5}
    reply = post(client, "/v1/groups", body)
    assert reply.status_code == 422
    assert [fault["field"] for fault in reply.json()["errors"]] == ["groups"]


@pytest.mark.parametrize("identifier", BAD_IDS)
def test_an_id_that_cannot_be_read_fails_no_neighbour(client: TestClient, identifier: Any) -> None:
    bad, good = scores(client, {**GOOD, "id": identifier}, {**GOOD, "id": "0"})
    assert_failed(bad, "unreadable", "id")
    assert (bad["id"], good["id"], good["reward"]) == ("0", "0", 1.0)
    worse, better = groups(client, {**PAIR, "id": identifier}, {**PAIR, "id": "0"})
    assert (worse["id"], better["id"]) == ("0", "0")
    assert [score["reward"] for score in better["scores"]] == [1.0, 0.0]


def test_an_id_given_twice_is_refused_beside_faults(client: TestClient) -> None:
    twice = [{**GOOD, "id": "a", "completion": 5}, {**GOOD, "id": "a"}]
    assert post(client, "/v1/score", {"scorer": "math", "samples": twice}).status_code == 422


def test_a_sample_of_many_faults_tells_the_first_ones(client: TestClient) -> None:
    bad = {"id": 7, "prompt": 7, "completion": 7, "reference": nested(150), "group": 7}
    only, _ = scores(client, bad, GOOD)
    assert_failed(only, "unreadable", "id: ")
    assert "prompt: " in only["error"]["message"]


def test_a_request_of_nothing_but_faults_is_answered(client: TestClient) -> None:
    found = scores(client, *[{"completion": index} for index in range(4_096)])
    assert {score["error"]["code"] for score in found} == {"unreadable"}
    assert [score["id"] for score in found] == [str(index) for index in range(4_096)]


def test_samples_own_scorers_that_are_unknown_list_the_known(client: TestClient) -> None:
    bad, good = scores(client, {**GOOD, "scorer": "mth"}, {**GOOD, "scorer": "string_reversal"})
    assert "string_reversal" in bad["error"]["message"]
    assert good["reward"] == 1.0


def test_a_misfit_scorer_is_a_scorer_named(client: TestClient) -> None:
    bad, good = scores(
        client, {**GOOD, "scorer": 5}, {**GOOD, "scorer": "string_reversal"}, scorer=None
    )
    assert bad["error"]["code"] == "invalid_scorer"
    assert good["reward"] == 1.0


def test_many_unusable_scorers_are_not_too_many(client: TestClient) -> None:
    bad = [{**GOOD, "scorer": {"type": "math", f"p{index}": 1}} for index in range(300)]
    *failed, good = scores(client, *bad, GOOD)
    assert {score["error"]["code"] for score in failed} == {"invalid_scorer"}
    assert good["reward"] == 1.0


def test_no_more_scorers_are_built_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_process() as client:
        built = []
        create = Regex.create.__func__  # type: ignore[attr-defined]

        def counted(cls: type[Regex], *given: Any) -> Regex:
            built.append(given)
            found: Regex = create(cls, *given)
            return found

        monkeypatch.setattr(Regex, "create", classmethod(counted))
        own = [{**GOOD, "scorer": {"type": "regex", "pattern": f"a{i}"}} for i in range(4_096)]
        body = {"scorer": "string_reversal", "samples": own}
        assert post(client, "/v1/score", body).status_code == 422
        assert len(built) == MAX_SCORERS + 1


def test_unusable_scorers_are_tried_once_and_not_without_end(client: TestClient) -> None:
    bad = [
        {**GOOD, "scorer": {"type": "regex", "pattern": "(" * (1 + i % (MAX_TRIED + 1))}}
        for i in range(4_000)
    ]
    *failed, good = scores(client, *bad, GOOD)
    assert {score["error"]["code"] for score in failed} == {"invalid_scorer"}
    assert "not an RE2 pattern" in failed[0]["error"]["message"]
    assert f"over {MAX_TRIED}" in failed[MAX_TRIED]["error"]["message"]
    assert failed[0]["error"] == failed[MAX_TRIED + 1]["error"]
    assert good["reward"] == 1.0


@pytest.mark.parametrize("scorer", ["string_reversal", "math"])
def test_calls_alone_are_no_answer_to_a_rule_of_text(client: TestClient, scorer: str) -> None:
    calls, silent, cut_off, good = scores(
        client,
        *(
            {"completion": completion, "reference": "5"}
            for completion in (
                message(content=None, tool_calls=[CALL]),
                message(content=None, tool_calls=None),
                message(content=None, reasoning_content="So it is"),
                message(content="5", tool_calls=[CALL]),
            )
        ),
        scorer=scorer,
    )
    assert_failed(calls, "unreadable", "completion")
    assert (silent["reward"], cut_off["reward"], good["reward"]) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("scorer", ["string_reversal", "math", "regex"])
def test_what_no_scorer_reads_fails_nothing(client: TestClient, scorer: str) -> None:
    picture = [{"role": "user", "content": [IMAGE, {"type": "text", "text": None}]}]
    thoughts = message(content=[THOUGHT, {"type": "output_text", "text": "5"}], tool_calls=None)
    cached = {"type": "text", "text": "5", "image_url": None, "cache_control": {"type": "x"}}
    found = scores(
        client,
        {"completion": "5", "reference": "5"},
        {"completion": "5", "reference": "5", "prompt": picture},
        {"completion": thoughts, "reference": "5", "prompt": picture},
        {"completion": message(content=[cached, IMAGE], audio=None), "reference": "5"},
        scorer=scorer,
    )
    assert [score["reward"] for score in found] == [1.0] * 4


def test_a_repeated_request_repeats_its_faults() -> None:
    body = {"scorer": "string_reversal", "samples": [GOOD, {"completion": 5}]}
    with in_process() as client:
        first, again = (
            post(client, "/v1/score", body, **{"Idempotency-Key": "k"}).json()["scores"]
            for _ in range(2)
        )
    assert first == again
    assert first[1]["error"]["code"] == "unreadable"


# --- groups -----------------------------------------------------------------------------


def groups(client: TestClient, *groups: dict[str, Any], **request: Any) -> list[dict[str, Any]]:
    body = {"scorer": "string_reversal", "groups": list(groups), **request}
    reply = post(client, "/v1/groups", body)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["groups"]
    return found


PAIR = {"reference": "abc", "completions": ["cba", "abc"]}


@pytest.mark.parametrize(
    ("fault", "code", "field"), rows([row for row in FAULTS if "completion" not in row[1]])
)
def test_a_misshapen_group_fails_its_scores_alone(
    client: TestClient, fault: dict[str, Any], code: str, field: str
) -> None:
    before, bad, after = groups(client, PAIR, {**PAIR, **fault, "id": "bad"}, PAIR)
    for good in (before, after):
        assert [score["reward"] for score in good["scores"]] == [1.0, 0.0]
        assert None not in good["advantages"]
    assert [score["id"] for score in bad["scores"]] == ["bad/0", "bad/1"]
    for score in bad["scores"]:
        assert_failed(score, code, field)
    assert bad["advantages"] == [None, None]
    assert (bad["selected"], bad["majority"]) == (None, None)


@pytest.mark.parametrize(
    ("fault", "code", "field"),
    rows([row for row in FAULTS + SAMPLES_ALONE if "completion" in row[1]]),
)
def test_a_misshapen_completion_fails_that_score_alone(
    client: TestClient, fault: dict[str, Any], code: str, field: str
) -> None:
    completions = ["cba", fault["completion"], "abc"]
    mixed, other = groups(client, {"reference": "abc", "completions": completions}, PAIR)
    right, bad, wrong = mixed["scores"]
    assert (right["reward"], wrong["reward"]) == (1.0, 0.0)
    assert bad["reward"] is None
    assert bad["error"]["code"] == code
    assert bad["error"]["message"].startswith("completion")
    assert mixed["advantages"][1] is None
    assert mixed["advantages"][::2] == other["advantages"]
    assert mixed["statistics"]["mean"] == 0.5


def test_a_completion_that_cannot_be_read_has_no_length(client: TestClient) -> None:
    mixed, none = groups(
        client, {"reference": "abc", "completions": ["cba", 5, "ab"]}, {"completions": [5, 6]}
    )
    lengths = [mixed["statistics"][f"length_{name}"] for name in ("mean", "std", "wrong")]
    assert lengths == [2.5, 0.5, 2.0]
    assert [none["statistics"][f"length_{name}"] for name in ("mean", "std")] == [None, None]


@pytest.mark.parametrize("identifier", BAD_IDS)
def test_a_group_whose_id_cannot_be_read_is_told_by_its_index(
    client: TestClient, identifier: Any
) -> None:
    _, bad = groups(client, PAIR, {**PAIR, "id": identifier})
    assert (bad["id"], bad["scores"][0]["id"]) == ("1", "1/0")
    assert_failed(bad["scores"][0], "unreadable", "id")


def test_both_kinds_of_fault_may_meet_in_a_group(client: TestClient) -> None:
    bad, good = groups(client, {"prompt": 7, "completions": ["cba", 5]}, PAIR)
    assert [score["error"]["message"].partition(":")[0] for score in bad["scores"]] == [
        *("prompt", "completions.1")
    ]
    assert [score["reward"] for score in good["scores"]] == [1.0, 0.0]


# --- any mix ----------------------------------------------------------------------------

healthy = st.builds(
    lambda completion, more: {"completion": completion, "reference": "abc", **more},
    st.sampled_from(["cba", "abc", "", message(content="cba"), message(content=None)]),
    st.sampled_from([{}, {"prompt": "x"}, {"scorer": "exact_match"}, {"metadata": {"a": None}}]),
)
misshapen = st.builds(
    lambda sample, fault, more: {**sample, **more, **fault},
    healthy,
    st.sampled_from([fault for _, fault, *_ in FAULTS + SAMPLES_ALONE if len(str(fault)) < 2_000]),
    st.sampled_from([{}, {"id": 7}, {"prompt": LONE}, {"reference": nested(150)}]),
)


def shared(score: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in score.items() if name not in ("id", "elapsed_ms")}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), healthy, misshapen), min_size=1, max_size=8))
def test_any_mix_has_one_verdict_a_sample_and_leaves_the_healthy_alone(
    client: TestClient, mix: list[tuple[bool, dict[str, Any], dict[str, Any]]]
) -> None:
    found = scores(client, *(good if is_good else bad for is_good, good, bad in mix))
    assert len(found) == len(mix)
    for score, (is_good, good, _) in zip(found, mix, strict=True):
        assert (score["reward"] is None) != (score["error"] is None)
        assert is_good == (score["error"] is None)
        if is_good:
            assert shared(score) == shared(*scores(client, good))
