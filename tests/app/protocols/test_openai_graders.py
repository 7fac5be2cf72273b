"""OpenAI's graders, as their client and their guide have them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.lanes.lane import Scheduler
from app.protocols.openai_graders import formula
from app.protocols.openai_graders.templates import fill
from tests.app.conftest import Served, in_process, served
from tests.app.protocols.openai_transport import IntoTheApplication
from tests.app.protocols.rows import check, rows

RUN = "/v1/fine_tuning/alpha/graders/run"

EXACT: Any = {
    "type": "string_check",
    "name": "exact",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
SIMILAR: Any = {
    "type": "text_similarity",
    "name": "similar",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "evaluation_metric": "rouge_l",
}
PYTHON: Any = {
    "type": "python",
    "name": "python",
    "source": "def grade(sample, item):\n    return float(len(sample['output_text']) / 10)\n",
}


@pytest.mark.parametrize("row", rows("openai_graders"))
def test_row(client: TestClient, row: dict[str, Any]) -> None:
    check(client, row)


@pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")
@pytest.mark.parametrize("row", rows("openai_graders_python"))
def test_row_with_python(client: TestClient, row: dict[str, Any]) -> None:
    check(client, row)


def test_a_sandbox_that_is_off_is_told_from_a_grader_that_fails() -> None:
    with in_process(sandbox_workers=0) as client:
        reply = client.post(RUN, json={"grader": PYTHON, "model_sample": "x"})
    errors = reply.json()["metadata"]["errors"]
    assert reply.headers["x-reward-valid"] == "0"
    assert errors["python_grader_server_error"] is True
    assert errors["python_grader_server_error_type"] == "sandbox_unavailable"
    assert errors["python_grader_runtime_error"] is False


# --- the official client, over a socket -------------------------------------------------


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    workers = "1" if sys.platform == "linux" else "0"
    with served(ASSAY_API_KEYS="a-key", ASSAY_SANDBOX_WORKERS=workers) as running:
        yield running


@pytest.fixture(scope="module")
def official(service: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="a-key") as client:
        yield client


@pytest.mark.parametrize(
    ("grader", "sample", "reward"),
    [
        (EXACT, "Paris", 1.0),
        (EXACT, "Lyon", 0.0),
        (SIMILAR, "Paris, France", 2 / 3),
        pytest.param(
            *(PYTHON, "12345", 0.5),
            marks=pytest.mark.skipif(sys.platform != "linux", reason="programs run on Linux"),
        ),
        (
            {
                "type": "multi",
                "name": "both",
                "graders": {"exact": EXACT, "similar": SIMILAR},
                "calculate_output": "0.5 * exact + 0.5 * similar",
            },
            "Paris",
            1.0,
        ),
    ],
)
def test_the_official_client_gets_rewards(
    official: openai.OpenAI, grader: Any, sample: str, reward: float
) -> None:
    result = official.fine_tuning.alpha.graders.run(
        grader=grader, model_sample=sample, item={"answer": "Paris"}
    )
    assert result.reward == pytest.approx(reward)
    assert result.metadata.type == grader["type"]
    assert result.metadata.errors.other_error is False
    assert result.api_model_grader_token_usage_per_model == {}


def test_the_official_client_validates(official: openai.OpenAI) -> None:
    result = official.fine_tuning.alpha.graders.validate(grader=EXACT)
    assert result.grader is not None
    assert result.grader.to_dict() == EXACT


def test_the_official_client_sees_that_no_judge_is_configured(official: openai.OpenAI) -> None:
    judge: Any = {
        "type": "score_model",
        "name": "judge",
        "model": "none",
        "input": [{"role": "user", "content": "Grade {{ sample.output_text }}"}],
    }
    result = official.fine_tuning.alpha.graders.with_raw_response.run(
        grader=judge, model_sample="x"
    )
    assert result.headers["x-reward-valid"] == "0"
    errors = result.parse().metadata.errors
    assert errors.api_model_grader_server_error is True
    assert "no judge" in (errors.api_model_grader_server_error_details or "")


def test_the_official_client_raises_with_the_offending_field(official: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        official.fine_tuning.alpha.graders.run(
            grader={**EXACT, "operation": "is"}, model_sample="x"
        )
    assert caught.value.param == "grader.operation"
    assert caught.value.code == "invalid_grader"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


def test_the_official_client_names_a_wrong_key(service: Served) -> None:
    with (
        openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong") as client,
        pytest.raises(openai.PermissionDeniedError),
    ):
        client.fine_tuning.alpha.graders.validate(grader=EXACT)


def test_the_official_asynchronous_client_runs_many_at_a_time(service: Served) -> None:
    async def grade_all() -> list[float]:
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="a-key") as client:
            results = await asyncio.gather(
                *(
                    client.fine_tuning.alpha.graders.run(
                        grader=EXACT, model_sample=str(n), item={"answer": str(n % 2)}
                    )
                    for n in range(20)
                )
            )
        return [result.reward for result in results]

    assert asyncio.run(grade_all()) == [1.0, 1.0, *[0.0] * 18]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grader", "draining", "requests", "error"),
    [
        (EXACT, True, 3, openai.InternalServerError),
        ({**EXACT, "operation": "is"}, False, 1, openai.BadRequestError),
    ],
    ids=["draining is tried again", "a bad grader is not"],
)
def test_the_official_client_retries_what_may_pass(
    monkeypatch: pytest.MonkeyPatch,
    grader: Any,
    draining: bool,
    requests: int,
    error: type[openai.APIStatusError],
) -> None:
    with in_process() as served_here:
        scheduler: Scheduler = served_here.app.state.scheduler  # type: ignore[attr-defined]
        monkeypatch.setattr(scheduler, "draining", draining)
        monkeypatch.setattr("app.protocols.protocol.RETRY_AFTER_S", 0)
        transport = IntoTheApplication(served_here)
        with (
            openai.OpenAI(
                base_url="http://testserver/v1",
                api_key="none",
                http_client=httpx2.Client(transport=transport),
            ) as client,
            pytest.raises(error) as caught,
        ):
            client.fine_tuning.alpha.graders.run(
                grader=grader, model_sample="x", item={"answer": "x"}
            )
    assert transport.count == requests
    assert caught.value.response.headers["x-should-retry"] == str(draining).lower()


def test_a_deadline_is_no_false_zero() -> None:
    with in_process(deadline_s=1e-9) as client:
        reply = client.post(
            RUN, json={"grader": SIMILAR, "model_sample": "x", "item": {"answer": "y"}}
        )
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "deadline_exceeded"
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["x-should-retry"] == "true"


def test_a_sample_over_the_limit_earns_nothing_whatever_the_grader() -> None:
    workers = int(sys.platform == "linux")
    with in_process(max_completion_bytes=10, sandbox_workers=workers) as client:
        for grader in (EXACT, PYTHON):
            body = {"grader": grader, "model_sample": "x" * 11, "item": {"answer": "x"}}
            assert client.post(RUN, json=body).json()["reward"] == 0.0


# --- templates and formulas -------------------------------------------------------------


@given(st.text(), st.text())
def test_what_a_variable_holds_is_put_in_as_it_is(text: str, answer: str) -> None:
    variables = {"sample": {"output_text": text}, "item": {"answer": answer}}
    template = "{{ sample.output_text }}|{{item.answer}}|{{ sample.output_text }}"
    assert fill(template, variables) == f"{text}|{answer}|{text}"


def test_templates_that_multiply_a_sample_are_refused(client: TestClient) -> None:
    grader = {**EXACT, "input": "{{ sample.output_text }}" * 100}
    reply = client.post(RUN, json={"grader": grader, "model_sample": "x" * 100_000, "item": {}})
    assert reply.status_code == 400
    assert "characters" in reply.json()["error"]["message"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("flood", ["{{" * 500_000, "{{ item" * 200_000, "}}" * 500_000])
def test_a_flood_of_braces_is_read_once(flood: str) -> None:
    assert fill(flood, {"item": {}, "sample": {}}) == flood


@pytest.mark.parametrize("text", ["-" * 999 + "a", "(" * 499 + "a" + ")" * 499, "a^" * 499 + "a"])
def test_a_formula_of_great_depth_is_refused_or_has_a_value(text: str) -> None:
    with contextlib.suppress(formula.FormulaError):
        assert formula.evaluate(formula.parse(text, {"a"}), {"a": 1.0}) in (1.0, -1.0)


FORMULAS = st.recursive(
    st.sampled_from(["a", "b", "0", "1", "2.5", "1e9"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/^"), inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "exp", "sqrt", "log"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("-{}".format, inner),
    ),
    max_leaves=12,
)


@given(FORMULAS, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_formula_has_a_finite_value_or_says_that_it_has_none(
    text: str, a: float, b: float
) -> None:
    try:
        tree = formula.parse(text, {"a", "b"})
        value = formula.evaluate(tree, {"a": a, "b": b})
    except formula.FormulaError:
        return
    assert abs(value) < float("inf")
    assert json.loads(json.dumps(value)) == value


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_no_text_is_worse_than_no_formula(text: str) -> None:
    with contextlib.suppress(formula.FormulaError):
        formula.evaluate(formula.parse(text, {"a"}), {"a": 1.0})
