"""Whole texts, prompt and template in them, as clients of inference servers send them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from judges.reward_model.guards.fitting import fit_guards
from judges.reward_model.model.card import Card
from judges.reward_model.model.model import RewardModel
from judges.reward_model.model.render import render
from judges.reward_model.model.save import save
from tests.judges.reward_model.serving import REFERENCE, model_folder, sample, scored, serving
from tests.judges.reward_model.test_guards import natural_texts
from tests.judges.reward_model.tiny import encoder, tokenizer, with_heads
from verifiers.base import Sample, Score
from verifiers.sample import Message

PROMPT = "what is a good answer"


def whole(text: str) -> Sample:
    return Sample(completion=text)


def scores_of(folder: Path, *samples: Sample, **parameters: Any) -> list[Score]:
    async def run() -> list[Score]:
        async with serving(folder) as models:
            return await scored(models, samples, **{"whole_texts": True, **parameters})

    return asyncio.run(run())


def folder_with(tmp_path: Path, *, chat: bool, **card: Any) -> Path:
    network = with_heads(encoder(), 3)
    card = {"max_length": 32, "reference": REFERENCE, **card}
    save(RewardModel(network, tokenizer(chat=chat), Card(**card)), tmp_path)
    return tmp_path


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("prompt", [PROMPT, [Message(role="user", content=PROMPT)]])
def test_a_rendered_pair_scores_as_the_pair(tmp_path: Path, chat: bool, prompt: Any) -> None:
    """With a template, whose control tokens are read as such and whose [CLS] is not doubled."""
    folder = folder_with(tmp_path, chat=chat)
    text = render(prompt, "a red answer", tokenizer(chat=chat))
    pair, alone = scores_of(folder, sample("a red answer", prompt), whole(text))
    assert alone.reward == pair.reward
    assert alone.details["model_hash"] == pair.details["model_hash"]


def test_texts_and_pairs_in_one_request_keep_their_places(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    mixed = [whole("red"), sample("red"), whole("blue"), sample("blue"), whole("red")]
    together = [score.reward for score in scores_of(folder, *mixed)]
    alone = [scores_of(folder, each)[0].reward for each in mixed]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(set(alone)) == 4


def test_guards_that_need_a_prompt_are_left_out_and_named(tmp_path: Path) -> None:
    guards = fit_guards(natural_texts(200), false_alarm_rate=0.05)
    folder = folder_with(tmp_path, chat=True, guards=guards, max_length=64)
    pair, forged, loop = scores_of(
        folder, sample("red"), whole("[CLS] user : red [SEP] yes"), whole("good " * 30)
    )
    assert pair.details["guards_left_out"] == []
    assert forged.details["guards_left_out"] == ["echo", "injection"]
    assert not {"echo", "injection"} & set(forged.details["flags"])
    assert "repetition" in loop.details["flags"]


def test_the_relevance_of_a_whole_text_is_not_asked_for(tmp_path: Path) -> None:
    """Beside pairs, and alone."""
    guards = fit_guards(natural_texts(200), false_alarm_rate=0.05)
    zeros = [0.0] * 16
    guards["relevance"] = {"prompt": zeros, "turn": zeros, "completion": zeros, "bias": 1.0}
    thresholds: Any = guards["thresholds"]
    guards["thresholds"] = thresholds | {"relevance": 0.0}
    folder = folder_with(tmp_path, chat=False, guards=guards)
    for samples in ([whole("red")], [whole("red"), sample("red")]):
        alone = scores_of(folder, *samples)[0]
        assert alone.outcome == "judged"
        assert "relevance" in alone.details["guards_left_out"]


def test_without_guards_none_is_left_out(tmp_path: Path) -> None:
    [score] = scores_of(model_folder(tmp_path), whole("red"))
    assert (score.details["guarded"], score.details["guards_left_out"]) == (False, [])


@pytest.mark.parametrize("too_long", ["reject", "trim_prompt"])
def test_a_whole_text_over_the_limit_is_nobodys_fault(tmp_path: Path, too_long: str) -> None:
    """Nobody knows where its completion begins: it is no reward, and nothing is cut."""
    [score] = scores_of(model_folder(tmp_path), whole("red " * 40), too_long=too_long)
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("invalid_reference", False)
    assert "42 tokens, and the model takes 32" in score.error.message


def test_an_empty_text_is_scored(tmp_path: Path) -> None:
    [score] = scores_of(model_folder(tmp_path), whole(""))
    assert score.outcome == "judged"


def test_a_text_without_tokens_is_rejected(tmp_path: Path) -> None:
    """Where the tokenizer adds none of its own, as those of most decoders."""
    bare = tokenizer()
    bare.backend_tokenizer.post_processor = None
    card = Card(max_length=32, reference=REFERENCE)
    save(RewardModel(with_heads(encoder(), 3), bare, card), tmp_path)
    empty, red = scores_of(tmp_path, whole(""), whole("red"))
    assert (empty.outcome, empty.reward) == ("rejected", 0.0)
    assert red.outcome == "judged"


def test_without_the_parameter_a_prompt_that_was_forgotten_is_an_error(tmp_path: Path) -> None:
    [score] = scores_of(model_folder(tmp_path), whole("red"), whole_texts=False)
    assert score.error is not None
    assert score.error.code == "missing_field"
