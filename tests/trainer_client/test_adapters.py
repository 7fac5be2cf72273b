"""The adapters against a real service, as far as they need no framework.

Those that do are tested with the real one in `tests/trainers`.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.trainer_client.scripted_server import ScriptedServer
from trainer_client import GroupScores, RequestRefused, Score, ScoreError, adapters
from trainer_client.adapters import atropos, openrlhf, verl
from trainer_client.adapters.remote import RemoteScorer, connection
from trainer_client.adapters.texts import after_prompt, neighbours
from trainer_client.adapters.trl import AsyncReward, Reward

A_SCREEN = 66
"""Lines."""

SHARED = {"remote", "texts", "logs"}
"""What the adapters have in common."""

NAMES = sorted(module.name for module in pkgutil.iter_modules(adapters.__path__))
SHAPED = {
    "type": "weighted",
    "components": {
        "right": {"scorer": "string_reversal"},
        "brief": {"scorer": {"type": "length", "max_length": 6, "buffer": 2}, "weight": 0.5},
    },
}


@pytest.fixture(autouse=True, scope="module")
def _connections_end() -> Iterator[None]:
    yield
    connection.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_fits_on_a_screen_and_is_imported_without_its_framework(name: str) -> None:
    module = importlib.import_module(f"trainer_client.adapters.{name}")
    assert len(inspect.getsource(module).splitlines()) <= A_SCREEN
    program = f"import json, sys, trainer_client.adapters.{name}; print(json.dumps([*sys.modules]))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {root.split(".")[0] for root in json.loads(ran.stdout)}
    assert not loaded & {"torch", "trl", "verl", "verifiers", "skyrl_gym", "openrlhf", "nemo_rl"}


def test_the_table_of_failures_lists_every_adapter() -> None:
    rows = [line for line in (adapters.__doc__ or "").splitlines() if line.startswith("| ")][1:]
    assert sorted(row.split()[1] for row in rows) == sorted(set(NAMES) - SHARED)


# --- TRL --------------------------------------------------------------------------------

ROWS: dict[str, Any] = {
    "prompts": ["Reverse abc"] * 3,
    "completions": ["cba", "abc", "cba"],
    "answer": ["abc", "abc", None],
    "completion_ids": [[1], [2], [3]],
}


class Log:
    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}
        self.metrics: dict[str, float] = {}

    def __call__(self, reward: Any, **columns: Any) -> Any:
        return reward(
            **columns, log_extra=self.columns.__setitem__, log_metric=self.metrics.__setitem__
        )


def test_trl_gets_none_for_what_could_not_be_scored(service_url: str) -> None:
    log = Log()
    assert log(Reward(service_url, "string_reversal"), **ROWS) == [1.0, 0.0, None]
    assert log.columns == {"assay/outcome": ["correct", "incorrect", "missing_field"]}
    assert log.metrics == {"assay/unscored": pytest.approx(1 / 3)}
    assert Reward(service_url, "string_reversal")(**ROWS) == [1.0, 0.0, None]


def test_trl_gets_it_from_a_coroutine_too(service_url: str) -> None:
    log = Log()
    reward = AsyncReward(service_url, SHAPED, name="shaped")
    assert asyncio.run(log(reward, **ROWS)) == [1.0, 0.0, None]
    assert log.metrics == {
        "shaped/unscored": pytest.approx(1 / 3),
        "shaped/right": 0.5,
        "shaped/brief": 0.0,
    }


def test_trls_conversations_are_scored_by_their_last_assistant_message(service_url: str) -> None:
    prompt = [{"role": "user", "content": "Reverse abc"}]
    spoken = [
        {"role": "assistant", "content": "Let me call a tool.", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "abc"},
        {"role": "assistant", "content": "cba"},
    ]
    rewards = Reward(service_url, "string_reversal")(
        prompts=[prompt] * 2, completions=[spoken, []], answer=["abc"] * 2
    )
    assert rewards == [1.0, 0.0]


def test_trls_neighbours_with_one_prompt_are_a_group(service_url: str) -> None:
    assert neighbours(["a", "a", "b", "a"]) == ["0", "0", "1", "2"]
    completions = ["\\boxed{1/2}", "\\boxed{0.5}", "\\boxed{3}", "\\boxed{3}"]
    reward = Reward(service_url, "majority", reference=None)
    assert reward(prompts=["a", "a", "a", "b"], completions=completions) == [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("kind", [Reward, AsyncReward])
def test_trls_workers_can_unpickle_a_reward(service_url: str, kind: type[Reward]) -> None:
    copy = pickle.loads(pickle.dumps(kind(service_url, "string_reversal", name="mine")))
    assert copy.__name__ == "mine"
    assert copy.remote == RemoteScorer(service_url, "string_reversal")


def test_a_service_that_refuses_is_an_exception(service_url: str) -> None:
    with pytest.raises(RequestRefused, match="unknown_scorer"):
        Reward(service_url, "no_such_scorer")(**ROWS)


# --- verl -------------------------------------------------------------------------------


def verl_scores(url: str, scorer: Any, parts: Any = ()) -> list[dict[str, float]]:
    async def main() -> list[dict[str, float]]:
        return [
            await verl.compute_score(
                "string_reversal", completion, right, {}, url=url, scorer=scorer, parts=parts
            )
            for completion, right in (("cba", "abc"), ("abc", "abc"), ("cba", None))
        ]

    return asyncio.run(main())


def test_verl_gets_the_same_keys_for_every_sample(service_url: str) -> None:
    assert verl_scores(service_url, SHAPED, ["right", "brief"]) == [
        {"score": 1.0, "acc": 1.0, "valid": 1.0, "right": 1.0, "brief": 0.0},
        {"score": 0.0, "acc": 0.0, "valid": 1.0, "right": 0.0, "brief": 0.0},
        {"score": 0.0, "acc": 0.0, "valid": 0.0, "right": 0.0, "brief": 0.0},
    ]


def test_verls_data_source_names_the_scorer_by_default(service_url: str) -> None:
    assert [score["valid"] for score in verl_scores(service_url, None)] == [1.0, 1.0, 0.0]


def test_verls_judges_are_told_the_question_of_the_row() -> None:
    with ScriptedServer() as server:
        asked = verl.compute_score("math", "1", "1", {"question": "How many?"}, url=server.url)
        assert asyncio.run(asked)["score"] == 1.0
        assert server.received[0].document["samples"][0]["prompt"] == "How many?"


# --- OpenRLHF ---------------------------------------------------------------------------

PROMPT = "<|im_start|>user\nReverse abc<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("query", "completion"),
    [
        (PROMPT + "cba<|im_end|>", "cba"),
        ("<s>" + PROMPT + "cba</s><pad><pad>\n", "cba"),
        (PROMPT, ""),
        (PROMPT + "<|im_end|>", ""),
        (PROMPT + "one <|im_end|> two", "one <|im_end|> two"),
        (PROMPT[5:] + "cba", None),
        ("cba", None),
    ],
)
def test_openrlhfs_queries_are_cut_at_the_prompt(query: str, completion: str | None) -> None:
    assert after_prompt(query, PROMPT) == completion


def test_openrlhf_gets_tensors_with_the_same_keys_for_every_sample(service_url: str) -> None:
    reward_func = openrlhf.reward_function(RemoteScorer(service_url, SHAPED), parts=["right"])
    queries = [PROMPT + "cba<|im_end|>", PROMPT + "abc", PROMPT + "cba", "cba"]
    found = reward_func(queries, [PROMPT] * 4, ["abc", "abc", None, "abc"])
    assert found["rewards"].tolist() == found["scores"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert {name: values.tolist() for name, values in found["extra_logs"].items()} == {
        "valid": [1.0, 1.0, 0.0, 0.0],
        "correct": [1.0, 0.0, 0.0, 0.0],
        "right": [1.0, 0.0, 0.0, 0.0],
    }


# --- Atropos ----------------------------------------------------------------------------


def atropos_group(url: str, completions: list[str], reference: str | None) -> Any:
    tokens = [[index] for index, _ in enumerate(completions)]
    return asyncio.run(
        atropos.scored_group(
            RemoteScorer(url, "string_reversal"), completions, tokens, tokens, reference=reference
        )
    )


def test_atropos_gets_a_group_of_the_scored(service_url: str) -> None:
    assert atropos_group(service_url, ["cba", "x"], "abc") == {
        "tokens": [[0], [1]],
        "masks": [[0], [1]],
        "scores": [1.0, 0.0],
    }


def test_atropos_gets_no_group_where_nothing_can_be_compared(service_url: str) -> None:
    assert atropos_group(service_url, ["cba", "x"], None) is None
    assert atropos_group(service_url, ["cba"], "abc") is None


class Forgetful(RemoteScorer):
    """Loses the second score of every group on the way."""

    def groups(self, groups: Sequence[Mapping[str, Any]], **options: Any) -> list[GroupScores]:
        lost = ScoreError("internal", "the process died", True)
        return [
            replace(group, scores=[first, Score(id=second.id, error=lost), *rest])
            for group in super().groups(groups, **options)
            for first, second, *rest in [group.scores]
        ]


def test_atropos_never_sees_what_could_not_be_scored(service_url: str) -> None:
    tokens = [[0], [1], [2]]
    scoring = atropos.scored_group(
        Forgetful(service_url, "string_reversal"),
        ["cba", "cba", "x"],
        tokens,
        tokens,
        reference="abc",
    )
    assert asyncio.run(scoring) == {
        "tokens": [[0], [2]],
        "masks": [[0], [2]],
        "scores": [1.0, 0.0],
    }
