"""The folder: what `save` writes loads anywhere, and what is broken is refused with advice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from judges.reward_model.model import loading_checks
from judges.reward_model.model.baseline import Baseline
from judges.reward_model.model.card import CARD, DEEPER, HEADS, Card
from judges.reward_model.model.load import load
from judges.reward_model.model.loading_checks import ModelRefused
from judges.reward_model.model.save import save
from judges.reward_model.train.shortcuts import layers_of
from tests.judges.reward_model import tiny

IDS = torch.tensor([[1, 4, 5, 6, 2], [1, 9, 2, 0, 0]])
MASK = (IDS != 0).long()

NETWORKS = {
    "encoder": tiny.encoder,
    "deep head": tiny.encoder_with_deep_head,
    "decoder": tiny.decoder,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.saved_model(tmp_path / "model")


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_plain_checkpoint_scores_the_mean_of_the_heads(
    tmp_path: Path, network: Callable[[], PreTrainedModel]
) -> None:
    folder = tiny.saved_model(tmp_path, network())
    model = load(folder)
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        members = model.rewards(IDS, MASK)
        mean = plain.eval()(input_ids=IDS, attention_mask=MASK).logits
    assert members.shape == (2, 3)
    assert plain.config.num_labels == 1
    assert torch.allclose(members.mean(1), mean[:, 0], atol=1e-6)
    assert len(AutoTokenizer.from_pretrained(folder)("a good answer")["input_ids"]) == 5


def test_a_model_without_an_ensemble_has_one_head(folder: Path) -> None:
    mean = load(folder).rewards(IDS, MASK).mean(1)
    (folder / HEADS).unlink()
    alone = load(folder).rewards(IDS, MASK)
    assert alone.shape == (2, 1)
    assert torch.allclose(alone[:, 0], mean, atol=1e-6)


def test_a_checkpoint_trained_elsewhere_gets_a_card_of_its_own(folder: Path) -> None:
    (folder / CARD).unlink()
    assert load(folder).card == Card(max_length=64)


def test_the_digest_changes_with_anything_that_decides_a_score(folder: Path) -> None:
    before = load(folder).digest
    assert load(folder).digest == before
    (folder / CARD).write_text(Card(max_length=31).model_dump_json())
    assert load(folder).digest != before


def test_saving_leaves_the_ensemble_in_place(tmp_path: Path) -> None:
    network = tiny.with_heads(tiny.encoder(), 4)
    tiny.saved_model(tmp_path, network, heads=4)
    assert network.config.num_labels == 4


def test_deeper_layers_embed_in_place_of_the_last_and_change_no_reward(tmp_path: Path) -> None:
    plain = load(tiny.saved_model(tmp_path / "plain"))
    deeper = nn.ModuleList(layers_of(tiny.encoder(seed=1)))
    save(replace(plain, deeper=deeper), tmp_path / "deep")
    model = load(tmp_path / "deep")
    assert torch.equal(model.rewards(IDS, MASK), plain.rewards(IDS, MASK))
    whole = tiny.encoder().base_model
    whole.encoder.layer = nn.ModuleList([whole.encoder.layer[0], *deeper])
    with torch.no_grad():
        expected = whole(IDS, MASK).last_hidden_state
        assert torch.equal(model.encoder(IDS, MASK).last_hidden_state, expected)


def test_deeper_layers_go_when_a_model_without_takes_the_place(folder: Path) -> None:
    model = load(folder)
    save(replace(model, deeper=nn.ModuleList(layers_of(tiny.encoder()))), folder)
    save(model, folder)
    assert load(folder).deeper is None


def test_the_reference_set_is_described_by_its_quantiles() -> None:
    reference = Baseline.of(torch.arange(201.0))
    assert (reference.count, reference.mean) == (201, 100)
    assert reference.quantiles[0] == 0
    assert reference.quantiles[50] == 100
    assert reference.quantiles[100] == 200


# --- what is refused --------------------------------------------------------------------


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def two_labels(folder: Path) -> None:
    edit_config(folder, id2label={"0": "a", "1": "b"}, num_labels=2)


def edit_tokenizer(folder: Path, words: dict[str, int]) -> None:
    file = folder / "tokenizer.json"
    document = json.loads(file.read_text())
    document["model"]["vocab"] |= words
    file.write_text(json.dumps(document))


def index_alone(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b"}}')


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty folder": (lambda f: [p.unlink() for p in f.iterdir()], "assay reward-model train"),
    "pickled weights": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        "convert them with save_pretrained",
    ),
    "cut-off weights": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x10"),
        "copy it again",
    ),
    "NaN": (
        lambda f: edit_weights(f, lambda w: w["classifier.weight"].fill_(float("nan"))),
        "lower its learning rate",
    ),
    "NaN in the trunk": (
        lambda f: edit_weights(f, lambda w: w["bert.pooler.dense.bias"][:1].fill_(float("inf"))),
        "bert.pooler.dense.bias holds NaN or infinity",
    ),
    "no head": (
        lambda f: edit_weights(f, lambda w: w.pop("classifier.weight")),
        "classifier.weight, which would be random",
    ),
    "language model": (
        lambda f: edit_config(f, architectures=["BertForMaskedLM"]),
        "has no reward head",
    ),
    "two labels": (two_labels, "save the model with num_labels=1"),
    "unknown architecture": (
        lambda f: edit_config(f, model_type="bort"),
        "may need a newer transformers",
    ),
    "a configuration that is a list": (
        lambda f: (f / "config.json").write_text("[]"),
        "config.json does not load",
    ),
    "other shapes than configured": (
        lambda f: edit_config(f, intermediate_size=48),
        "other shapes than config.json says",
    ),
    "a tokenizer that is a list": (
        lambda f: (f / "tokenizer.json").write_text("[]"),
        "the tokenizer does not load",
    ),
    "an index of files that are not there": (index_alone, "save the checkpoint again"),
    "no tokenizer": (no_tokenizer, "tokenizer.save_pretrained(folder)"),
    "another padding token": (lambda f: edit_config(f, pad_token_id=3), "make them equal"),
    "heads of another size": (
        lambda f: save_file({"weight": torch.ones(2, 5), "bias": torch.ones(2)}, f / HEADS),
        "delete it to serve the mean head alone",
    ),
    "damaged heads": (lambda f: (f / HEADS).write_bytes(b"?"), "does not belong to this model"),
    "damaged deeper layers": (lambda f: (f / DEEPER).write_bytes(b"?"), "copy it again"),
    "deeper layers of another size": (
        lambda f: save_file({"0.output.dense.weight": torch.ones(2, 2)}, f / DEEPER),
        "does not belong to this model",
    ),
    "damaged card": (lambda f: (f / CARD).write_text("{"), "assay.json is not valid"),
    "card of a later format": (
        lambda f: (f / CARD).write_text('{"format": 2, "max_length": 32}'),
        "assay.json is not valid",
    ),
    "tokens without an embedding": (
        lambda f: edit_tokenizer(f, {"zebra": 1000}),
        "tokens up to 1000 and the model embeds 22",
    ),
    "limit over the model's": (
        lambda f: (f / CARD).write_text('{"max_length": 4096}'),
        "lower its max_length",
    ),
}


@pytest.mark.parametrize(("damage", "advice"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_refused_with_a_sentence_that_says_what_to_do(
    folder: Path, damage: Callable[[Path], object], advice: str
) -> None:
    damage(folder)
    with pytest.raises(ModelRefused) as refused:
        load(folder)
    assert advice in str(refused.value)


def test_positions_that_a_model_only_seems_to_have_are_refused(tmp_path: Path) -> None:
    """RoBERTa's table has a row of padding that no token may use, and nothing says so."""
    tiny.saved_model(tmp_path, tiny.encoder_with_deep_head())
    (tmp_path / CARD).unlink()
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings.pop("model_max_length")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelRefused, match=r"fails on a text of 66 tokens .* lower max_length"):
        load(tmp_path)


def test_damaged_heads_are_not_left_half_installed(folder: Path, tmp_path: Path) -> None:
    """NaN in one member alone is NaN in its spread."""
    heads = load_file(folder / HEADS)
    heads["weight"][1, 3] = float("nan")
    save_file(heads, folder / HEADS)
    with pytest.raises(ModelRefused, match="NaN"):
        load(folder)


def test_a_model_that_does_not_fit_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading_checks, "free_bytes", lambda device: 1000)
    shutil.move(folder / "model.safetensors", folder / "other.safetensors")
    with pytest.raises(ModelRefused, match="use a smaller model"):
        load(folder)


# --- devices and precision --------------------------------------------------------------


def moved(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Loading onto a device ends with this error."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("transformers.PreTrainedModel.to", refuse)


def test_a_device_that_runs_out_of_memory_refuses_with_advice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(ModelRefused, match=r"no room .* load in bfloat16"):
        load(folder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_with_a_sentence(folder: Path) -> None:
    with pytest.raises(ModelRefused, match=r'there is no cuda:1 here.* set device = "cpu"'):
        load(folder, device="cuda:1")


def test_a_precision_that_overflows_is_refused(folder: Path) -> None:
    """Nine in sixteen dimensions times eight thousand: finite in single precision alone."""
    edit_weights(folder, lambda w: w["classifier.weight"].fill_(6e4))
    (folder / HEADS).unlink()
    edit_weights(folder, lambda w: w["bert.pooler.dense.bias"].fill_(9.0))
    assert load(folder).network.dtype == torch.float32
    with pytest.raises(ModelRefused, match=r"not finite as torch.float16; load in bfloat16"):
        load(folder, dtype=torch.float16)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_scores_about_the_same(folder: Path, dtype: torch.dtype) -> None:
    ids = torch.tensor([[1, 5, 6, 7, 2]])
    with torch.inference_mode():
        exact, about = (
            load(folder, dtype=each).rewards(ids, torch.ones_like(ids))
            for each in (torch.float32, dtype)
        )
    assert about.dtype == torch.float32
    assert about.tolist() == [pytest.approx(exact[0].tolist(), abs=0.1)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_scores_as_a_cpu_does(folder: Path) -> None:
    ids = torch.tensor([[1, 5, 6, 7, 2]])
    with torch.inference_mode():
        here, there = (
            load(folder, device=device)
            .rewards(ids.to(device), torch.ones_like(ids, device=device))
            .cpu()
            for device in ("cpu", "cuda")
        )
    assert there.tolist() == [pytest.approx(here[0].tolist(), abs=1e-4)]
