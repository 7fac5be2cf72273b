"""Measures a trained model on preference pairs that it was not trained on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from judges.reward_model.guards.outside_service import Guarding
from judges.reward_model.model.model import DataFile, RewardModel
from judges.reward_model.report.attacks import run_attacks
from judges.reward_model.report.metrics import longer_wins
from judges.reward_model.report.report import Report, measure, measure_guarded, versions
from judges.reward_model.train.data import DataRefused, load_preferences
from judges.reward_model.train.options import Options
from judges.reward_model.train.texts import encode_pairs, score_texts, scores_of


def evaluate_model(model: RewardModel, data: Path, *, drop_faulty: bool = False) -> Report:
    """Measures a trained model on other preference pairs, all of them held out.

    Length alone is here told the better direction on these very pairs, which only flatters it.

    Raises:
        DataRefused, GuardsRefused: with a sentence that says what to do.
    """
    preferences = load_preferences(data, drop_faulty=drop_faulty)
    card = model.card
    options = Options(max_length=card.max_length, truncation=card.truncation)
    pairs, texts, counts = encode_pairs(
        preferences.pairs, model.tokenizer, options.max_length, options.truncation
    )
    if not pairs:
        raise DataRefused(f"no pair of {data.name} fits into the model's {card.max_length} tokens")
    rewards = scores_of(model.network, texts, options.micro_batch_tokens)
    guarding = Guarding.of(model)
    score = partial(score_texts, model.network, model.tokenizer, options)
    return Report(
        model=model.digest,
        options={"base": card.base, "max_length": card.max_length, "heads": model.heads},
        files=[
            DataFile(
                name=preferences.name, sha256=preferences.sha256, pairs=len(preferences.pairs)
            ).model_dump()
        ],
        pairs={"held out": len(pairs)},
        prompts={"held out": len({pair.group for pair in pairs})},
        left_out=dict(preferences.dropped + counts),
        course=None,
        held_out=measure(pairs, rewards, prefers_longer=longer_wins(pairs)),
        curve=None,
        attacks=run_attacks(pairs, score, guarding.left if guarding else None),
        guarded=measure_guarded(pairs, rewards, guarding),
        versions=versions(),
    )
