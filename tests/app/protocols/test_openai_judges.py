"""OpenAI's `score_model` and `label_model`, by the official client, with a scripted judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
from openai.types.fine_tuning.alpha import GraderRunResponse

from tests.app.conftest import in_process
from tests.app.lanes.test_llm_lane import in_a_thread
from tests.app.protocols.openai_transport import IntoTheApplication
from tests.judges.llm import scripted_endpoint as script
from tests.judges.llm.judging import TOLD
from tests.judges.llm.scripted_endpoint import ScriptedEndpoint

pytestmark = pytest.mark.slow

SCORE: Any = {
    "type": "score_model",
    "name": "judge",
    "model": "grader",
    "input": [
        {"role": "developer", "content": "You grade."},
        {"role": "user", "content": "How good is <{{ sample.output_text }}> to {{ item.q }}?"},
    ],
    "range": [0, 10],
}
LABEL: Any = {
    "type": "label_model",
    "name": "label",
    "model": "grader",
    "input": [{"role": "user", "content": "Is {{ sample.output_text }} polite?"}],
    "labels": ["polite", "rude"],
    "passing_labels": ["polite"],
}


def multi(formula: str, **graders: Any) -> Any:
    return {"type": "multi", "name": "m", "graders": graders, "calculate_output": formula}


@contextmanager
def judged(endpoint: ScriptedEndpoint) -> Iterator[openai.OpenAI]:
    with in_a_thread(endpoint) as url:
        table = {"kind": "chat", "base_url": url, "model": "m", "retry_base_s": 0.001, **TOLD}
        judge = {**table, "max_attempts": 1}
        with (
            in_process(judges={"grader": judge}, judge_store="") as service,
            openai.OpenAI(
                base_url="http://testserver/v1",
                api_key="none",
                http_client=httpx2.Client(transport=IntoTheApplication(service)),
            ) as client,
        ):
            yield client


def run(client: openai.OpenAI, grader: Any, sample: str = "hi") -> tuple[GraderRunResponse, str]:
    raw = client.fine_tuning.alpha.graders.with_raw_response.run(
        grader=grader, model_sample=sample, item={"q": "hello"}
    )
    return raw.parse(), raw.headers["x-reward-valid"]


def says(**verdict: Any) -> script.Act:
    return script.says(json.dumps({"steps": [], **verdict}))


@pytest.mark.parametrize(
    ("result", "reward"), [(7.5, 7.5), (10, 10.0), (0, 0.0), (99, 10.0), (-1, 0.0)]
)
def test_a_score_is_the_judges_within_the_range(result: float, reward: float) -> None:
    endpoint = ScriptedEndpoint([says(result=result)])
    with judged(endpoint) as client:
        found, valid = run(client, SCORE)
    assert (found.reward, valid) == (reward, "1")
    assert found.metadata.sampled_model_name == "grader"
    assert found.metadata.token_usage == script.PROMPT_TOKENS + script.COMPLETION_TOKENS
    usage: Any = found.api_model_grader_token_usage_per_model["grader"]
    assert usage["prompt_tokens"] == script.PROMPT_TOKENS


def test_the_judge_reads_the_filled_messages_and_what_to_reply() -> None:
    endpoint = ScriptedEndpoint([says(result=1)])
    with judged(endpoint) as client:
        run(client, SCORE, "{{ item.q }}")
    system, user = endpoint.received[0].document["messages"]
    assert system["content"].startswith("You grade.")
    assert '"result"' in system["content"]
    assert user["content"] == "How good is <{{ item.q }}> to hello?", "put in once"


@pytest.mark.parametrize(("label", "reward"), [("polite", 1.0), ("rude", 0.0)])
def test_a_label_passes_or_does_not(label: str, reward: float) -> None:
    with judged(ScriptedEndpoint([says(label=label)])) as client:
        found, valid = run(client, multi("label", label=LABEL))
    assert (found.reward, valid) == (reward, "1")
    assert found.sub_rewards == {"label": reward}


@pytest.mark.parametrize(
    "act",
    [
        script.says("I would say 7."),
        script.says('{"steps": []}'),
        script.says("[7]"),
        says(result="7"),
        says(result=True),
        says(result=None),
        script.says('{"steps": [], "result": NaN}'),
    ],
    ids=["prose", "no-result", "a-list", "text", "boolean", "null", "nan"],
)
def test_a_reply_that_is_no_verdict_is_no_grade(act: script.Act) -> None:
    with judged(ScriptedEndpoint([act])) as client:
        found, valid = run(client, SCORE)
    assert (found.reward, valid) == (0.0, "0")
    assert found.metadata.errors.api_model_grader_parse_error is True
    assert found.metadata.errors.api_model_grader_server_error is False


def test_a_label_that_was_not_offered_is_no_grade() -> None:
    with judged(ScriptedEndpoint([says(label="fine")])) as client:
        found, valid = run(client, multi("1 - label", label=LABEL))
    assert (found.reward, valid) == (0.0, "0"), "1 - 0 would be a false grade"
    assert found.metadata.errors.api_model_grader_parse_error is True


@pytest.mark.parametrize(
    "act",
    [
        script.choice(message={"role": "assistant", "content": None, "refusal": "I cannot."}),
        script.says('{"steps": [], "result": 9}', finish_reason="content_filter"),
    ],
    ids=["refused", "filtered"],
)
def test_a_judge_that_declines_is_no_grade(act: script.Act) -> None:
    with judged(ScriptedEndpoint([act])) as client:
        found, valid = run(client, SCORE)
    assert (found.reward, valid) == (0.0, "0")
    assert found.metadata.errors.api_model_grader_refusal_error is True
    assert found.metadata.errors.api_model_grader_server_error is False


def test_sampling_is_as_the_grader_asks() -> None:
    asked = {"temperature": 0.5, "top_p": 0.9, "reasoning_effort": "high"}
    endpoint = ScriptedEndpoint([says(result=1), says(result=2)])
    with judged(endpoint) as client:
        found, _ = run(
            client, {**SCORE, "sampling_params": {**asked, "max_completions_tokens": 99}}
        )
        other, _ = run(client, {**SCORE, "sampling_params": {**asked, "top_p": 0.1}})
    assert asked.items() <= endpoint.received[0].document.items()
    assert endpoint.received[0].document["max_tokens"] == 99
    assert (found.reward, other.reward) == (1.0, 2.0), "another question, and no recorded reply"


def test_a_judge_that_fails_is_no_grade() -> None:
    with judged(ScriptedEndpoint(lambda _: script.status(500))) as client:
        found, valid = run(client, SCORE)
    assert (found.reward, valid) == (0.0, "0")
    assert found.metadata.errors.api_model_grader_server_error is True
    assert found.metadata.errors.api_model_grader_server_error_details


def test_parts_are_judged_in_one_request() -> None:
    def answer(request: script.Request) -> script.Act:
        return says(label="polite") if "polite?" in request.question else says(result=4)

    endpoint = ScriptedEndpoint(answer)
    with judged(endpoint) as client:
        found, valid = run(client, multi("a / 10 + b", a=SCORE, b=LABEL))
    assert (found.reward, valid) == (pytest.approx(1.4), "1")
    assert len(endpoint.received) == 2


def test_a_sample_over_the_limit_costs_nothing() -> None:
    endpoint = ScriptedEndpoint()
    with judged(endpoint) as client:
        found, _ = run(client, SCORE, "x" * 300_000)
    assert found.reward == 0.0
    assert endpoint.received == []
