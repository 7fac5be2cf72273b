"""What an endpoint honours is found out by what it does, and used no further than that."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from judges.llm.base import Ask, Reply
from judges.llm.chat import option_probabilities
from judges.llm.failures import Rejected, Unusable
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import chat_judge
from tests.judges.llm.scripted_endpoint import Request, ScriptedEndpoint, asking, spelled

SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}}
UNKNOWN: dict[str, Any] = dict.fromkeys(("json_schema", "json_object", "logprobs", "seed"))


def top(**probabilities: float) -> dict[str, Any]:
    """Log-probabilities of a first token as OpenAI writes them."""
    listed = [{"token": t, "logprob": math.log(p)} for t, p in probabilities.items()]
    return {"content": [{"token": listed[0]["token"], "logprob": 0, "top_logprobs": listed}]}


def honours(*features: str, refuses: tuple[str, ...] = ()) -> Any:
    """An endpoint that honours some parameters, refuses some, and ignores the others."""
    draws = iter(range(10**6))

    def choose(request: Request) -> script.Act:
        body = request.document
        mode = body.get("response_format", {}).get("type")
        asked = {
            mode,
            "logprobs" if body.get("logprobs") else None,
            "seed" if "seed" in body else None,
        }
        if asked & set(refuses):
            return script.error(400, "unsupported_parameter")
        if mode in features:
            probe = "colour" in json.dumps(body["response_format"])
            return script.says('{"colour": "teal"}' if probe else '{"score": 3}')
        if body.get("logprobs") and "logprobs" in features:
            return script.says("Yes", logprobs=top(Yes=0.75, No=0.2, I=0.05))
        if "random number" in request.question:
            return script.says(str(body["seed"] if "seed" in features else next(draws)))
        return script.honest

    return choose


def replies(choose: Any, *asks: Ask, **members: Any) -> tuple[list[Reply], list[dict[str, Any]]]:
    """The replies, and the bodies of what was sent."""

    async def go() -> tuple[list[Reply], list[dict[str, Any]]]:
        async with (
            ScriptedEndpoint(choose) as endpoint,
            chat_judge(endpoint.url, **{**UNKNOWN, **members}) as judge,
        ):
            found = [await judge.ask(ask) for ask in asks]
            return found, [request.document for request in endpoint.received]

    return asyncio.run(go())


GRADED = asking("grade", schema=SCHEMA)


def test_a_schema_that_is_honoured_is_sent() -> None:
    (first, _), bodies = replies(honours("json_schema"), GRADED, asking("more", schema=SCHEMA))
    assert first.text == '{"score": 3}'
    assert len(bodies) == 3, "one probe, two questions"
    assert bodies[1]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
    }
    assert first.usage.calls == 2, "who asks first pays for the probe"


@pytest.mark.parametrize("refuses", [(), ("json_schema",)])
def test_json_mode_is_next(refuses: tuple[str, ...]) -> None:
    (reply,), bodies = replies(honours("json_object", refuses=refuses), GRADED)
    assert bodies[-1]["response_format"] == {"type": "json_object"}
    assert reply.text == '{"score": 3}'


@pytest.mark.parametrize("refuses", [(), ("json_schema", "json_object")])
def test_where_neither_is_honoured_the_reply_is_text(refuses: tuple[str, ...]) -> None:
    (reply,), bodies = replies(honours(refuses=refuses), GRADED)
    assert "response_format" not in bodies[-1]
    assert reply.text == spelled("grade")


def test_a_schema_that_is_refused_for_itself_falls_back() -> None:
    known = {"json_schema": True, "json_object": True}
    choose = honours("json_object", refuses=("json_schema",))
    (reply,), bodies = replies(choose, GRADED, **known)
    assert reply.text == '{"score": 3}'
    assert len(bodies) == 2


def test_a_wrong_key_is_no_answer_about_schemas() -> None:
    with pytest.raises(Rejected, match="401"):
        replies(lambda _: script.error(401, "invalid_api_key"), GRADED)


def test_without_need_nothing_is_probed() -> None:
    _, bodies = replies(honours(), asking("q"))
    assert len(bodies) == 1
    assert set(bodies[0]) == {"model", "messages", "max_tokens", "temperature"}


def test_options_come_with_probabilities_where_the_endpoint_tells_them() -> None:
    ask = asking("met?", options=("yes", "no"))
    (reply,), bodies = replies(honours("logprobs"), ask)
    assert reply.probabilities == pytest.approx({"yes": 0.75 / 0.95, "no": 0.2 / 0.95})
    assert bodies[-1]["top_logprobs"] == 20
    (reply,), bodies = replies(honours(), ask)
    assert reply.probabilities is None
    assert "logprobs" not in bodies[-1]


def test_a_seed_is_sent_where_it_makes_replies_equal() -> None:
    _, bodies = replies(honours("seed"), asking("q", seed=7))
    assert bodies[-1]["seed"] == 7
    for choose in (honours(), honours(refuses=("seed",))):
        _, bodies = replies(choose, asking("q", seed=7))
        assert "seed" not in bodies[-1]


def test_what_is_told_is_not_probed() -> None:
    _, bodies = replies(honours("json_schema"), GRADED, json_schema=True)
    assert len(bodies) == 1


def test_members_of_our_own_are_added_to_every_request() -> None:
    _, (body,) = replies(
        honours(),
        asking("q"),
        extra_body={"reasoning_effort": "low"},
        length_field="max_completion_tokens",
        omit=["temperature"],
    )
    assert "temperature" not in body
    assert body["reasoning_effort"] == "low"
    assert body["max_completion_tokens"] == 1024
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("tokens", "options", "expected"),
    [
        ({"yes": 0.5, " Yes": 0.25, "no": 0.25}, ("yes", "no"), {"yes": 0.75, "no": 0.25}),
        ({"ye": 0.6, "n": 0.4}, ("yes", "no"), {"yes": 0.6, "no": 0.4}),
        ({"yes": 1.0}, ("yes", "no"), {"yes": 1.0, "no": 0.0}),
        ({"1": 0.5, "10": 0.5}, ("1", "10"), None),
        ({"yes": 0.5, "n": 0.5}, ("yes", "no", "never"), None),
        ({"yes": 0.1, "The": 0.9}, ("yes", "no"), None),
        ({"yes": 1.5}, ("yes", "no"), None),
        ({"Yes": 1.0}, ("yes", "YES"), None),
        ({"": 0.9, "yes": 0.1}, ("yes", "no"), None),
    ],
)
def test_one_token_tells_options_apart_or_tells_nothing(
    tokens: dict[str, float], options: tuple[str, ...], expected: dict[str, float] | None
) -> None:
    found = option_probabilities({"logprobs": top(**tokens)}, "yes 10", options)
    assert found == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        [],
        {"content": []},
        {"content": [{"top_logprobs": [{"token": None, "logprob": -1}]}]},
        {"content": [{"top_logprobs": [{"token": "yes", "logprob": "high"}]}]},
        {"content": [{"top_logprobs": [{"token": "yes", "logprob": 1e9}]}]},
        {"content": [{"top_logprobs": "yes"}]},
    ],
)
def test_strange_log_probabilities_are_none(logprobs: Any) -> None:
    assert option_probabilities({"logprobs": logprobs}, "yes", ("yes", "no")) is None


def test_probabilities_of_another_reply_are_none() -> None:
    assert option_probabilities({"logprobs": top(yes=1.0)}, "maybe", ("yes", "no")) is None


def test_a_probe_that_cannot_be_finished_is_made_again() -> None:
    choose = honours("json_schema")
    acts = iter([script.status(500)])

    async def go() -> None:
        async with (
            ScriptedEndpoint(lambda r: next(acts, None) or choose(r)) as endpoint,
            chat_judge(endpoint.url, **UNKNOWN, max_attempts=1) as judge,
        ):
            with pytest.raises(Exception, match="500"):
                await judge.ask(GRADED)
            assert (await judge.ask(GRADED)).text == '{"score": 3}'

    asyncio.run(go())


def test_a_probe_cut_off_is_an_answer_too() -> None:
    known = {"json_object": False}
    acts = iter([script.says("{", finish_reason="length")])
    found, _ = replies(lambda _: next(acts, script.honest), GRADED, **known)
    assert found[0].text == spelled("grade")
    with pytest.raises(Unusable):
        replies(lambda _: script.says("{", finish_reason="length"), GRADED)
