"""The loss, and the loop around it: reproducible, resumable, and stopped in time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from judges.reward_model.preferences import Pair, pairs_of
from judges.reward_model.train.loop import (
    Run,
    TrainingFailed,
    bootstrap_counts,
    preference_loss,
    update_count,
)
from judges.reward_model.train.options import Options
from judges.reward_model.train.texts import Texts, encode_pairs, scores_of
from judges.reward_model.train.train import fit_head, train
from tests.judges.reward_model import preferences, tiny

ONE = torch.ones(1, 1)


def loss(chosen: float, rejected: float, margin: float = 0.0, **options: float) -> float:
    return float(preference_loss(ONE * chosen, ONE * rejected, ONE * margin, ONE, **options))


def test_the_loss_is_minus_the_log_likelihood_of_the_preference() -> None:
    assert loss(2, 0.5) == pytest.approx(math.log(1 + math.exp(-1.5)))
    assert loss(0, 0) == pytest.approx(math.log(2))


def test_a_margin_must_be_exceeded() -> None:
    assert loss(2, 0, margin=1.5) == pytest.approx(loss(0.5, 0))


def test_smoothed_labels_have_their_lowest_loss_at_their_log_odds() -> None:
    log_odds = math.log(0.9 / 0.1)
    around = [loss(log_odds + step, 0, label_smoothing=0.1) for step in (-0.1, 0, 0.1)]
    assert min(around) == around[1]


def test_centering_moves_rewards_towards_zero_and_not_their_difference() -> None:
    assert loss(5, 4, centering=0.01) == pytest.approx(loss(1, 0) + 0.01 * 81)
    assert loss(0.5, -0.5, centering=0.01) == pytest.approx(loss(1, 0))


def test_a_pair_that_a_head_did_not_draw_does_not_count() -> None:
    weight = torch.tensor([[1.0, 0.0]])
    both = preference_loss(torch.zeros(1, 2), torch.zeros(1, 2), ONE, weight)
    assert float(both) == pytest.approx(loss(0, 0, margin=1))


# --- the loop ---------------------------------------------------------------------------


def pairs(count: int) -> tuple[Pair, ...]:
    lines = enumerate(preferences.rows(count))
    return tuple(pair for number, line in lines for pair in pairs_of(line, number))


OPTIONS = Options(
    base="scratch",
    heads=2,
    batch_pairs=8,
    epochs=4,
    learning_rate=3e-3,
    evaluate_every=5,
    micro_batch_tokens=200,
)


def encoded(count: int) -> tuple[tuple[Pair, ...], Texts]:
    kept, texts, _ = encode_pairs(pairs(count), tiny.tokenizer(), 32, "reject")
    return kept, texts


def trained_weights(options: Options, checkpoint: Path | None = None) -> Tensor:
    kept, texts = encoded(48)
    network = tiny.encoder()
    train(network, texts, kept, range(40, 48), options, checkpoint=checkpoint)
    return torch.cat([value.flatten() for value in network.state_dict().values()])


class Interrupted(Exception):
    pass


@pytest.mark.slow
def test_a_resumed_run_ends_in_the_very_same_weights(tmp_path: Path) -> None:
    whole = trained_weights(OPTIONS)
    checkpoint = tmp_path / "checkpoint.pt"
    kept, texts = encoded(48)

    def interrupt(update: int, most: int, best: float) -> None:
        if update == 13:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(
            tiny.encoder(),
            texts,
            kept,
            range(40, 48),
            OPTIONS,
            checkpoint=checkpoint,
            watch=interrupt,
        )
    assert checkpoint.exists()
    assert torch.equal(trained_weights(OPTIONS, checkpoint), whole)


def test_a_checkpoint_of_other_data_or_options_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    trained_weights(OPTIONS, checkpoint)
    with pytest.raises(TrainingFailed, match="other data or options"):
        trained_weights(OPTIONS.model_copy(update={"seed": 1}), checkpoint)


def test_small_batches_in_memory_do_not_change_the_result() -> None:
    whole = trained_weights(OPTIONS.model_copy(update={"micro_batch_tokens": 10**6}))
    assert torch.allclose(trained_weights(OPTIONS), whole, atol=2e-4)


def test_updates_are_capped() -> None:
    assert update_count(1_000, OPTIONS) == 300
    assert update_count(40, OPTIONS) == 20


def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best() -> None:
    """The validation pairs say the opposite of what is trained on."""
    known = pairs(40)
    contrary = [Pair(p.prompt, p.rejected, p.chosen, p.group) for p in known[:8]]
    reward = torch.zeros(1, 1, requires_grad=True)
    sign = torch.tensor([[1.0], [-1.0]])
    options = OPTIONS.model_copy(update={"heads": 1, "max_updates": 200, "epochs": 100.0})
    run = Run(
        lambda texts: torch.stack(
            [sign[t % 2, 0] * (-1 if t >= 80 else 1) * reward[0] for t in texts]
        ),
        [{"params": [reward], "lr": 0.1}],
        [*known, *contrary],
        range(40, 48),
        options,
    )
    progress = run.go()
    assert progress.update == options.patience * options.evaluate_every
    assert progress.best_update == 0
    assert float(reward.detach()) == 0


def test_a_loss_that_is_not_a_number_stops_the_run() -> None:
    reward = torch.zeros(1, 1, requires_grad=True)
    with pytest.raises(TrainingFailed, match="lower the learning rate"):
        Run(
            lambda texts: (reward * math.nan).expand(len(texts), 2),
            [{"params": [reward], "lr": 0.1}],
            pairs(8),
            [],
            OPTIONS,
        ).go()


def test_without_pairs_there_is_nothing_to_run() -> None:
    with pytest.raises(TrainingFailed, match="no pairs are left"):
        Run(lambda texts: ONE, [{"params": [ONE]}], pairs(4), range(4), OPTIONS)


# --- heads ------------------------------------------------------------------------------


def test_every_head_of_several_has_its_own_sample() -> None:
    counts = bootstrap_counts(pairs(30), OPTIONS.model_copy(update={"heads": 3}))
    assert counts.shape == (30, 3)
    assert counts.sum(0).tolist() == [30, 30, 30]
    assert len({tuple(column) for column in counts.T.tolist()}) == 3


def test_a_lone_head_sees_every_pair_once() -> None:
    assert bootstrap_counts(pairs(5), OPTIONS.model_copy(update={"heads": 1})).tolist() == [[1]] * 5


def test_a_head_on_features_learns_the_direction_that_decides() -> None:
    torch.manual_seed(0)
    known = pairs(60)
    features = torch.randn(120, 4) * torch.tensor([1.0, 10.0, 0.1, 1.0]) + 5
    features[0::2, 2] += 0.2
    options = Options(base="minilm", heads=3, epochs=20.0, head_weight_decay=0.1)
    head, _ = fit_head(features, known, [], options)
    with torch.no_grad():
        rewards = head(features)
    assert rewards.shape == (120, 3)
    won = (rewards.mean(1)[0::2] > rewards.mean(1)[1::2]).float().mean()
    assert float(won) > 0.8


@pytest.mark.slow
def test_a_decoder_without_a_bias_learns_as_well() -> None:
    kept, texts = encoded(80)
    network = tiny.decoder()
    options = OPTIONS.model_copy(update={"learning_rate": 1e-2, "epochs": 12.0, "max_updates": 120})
    train(network, texts, kept, [], options)
    rewards = scores_of(network, texts, 4_096).mean(1)
    assert float((rewards[0::2] > rewards[1::2]).float().mean()) > 0.9
