"""The configuration: overrides, mistakes that are named, and the same again from its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer_client.config import Config, ConfigError, load_config, save_config


def test_without_a_file_every_value_has_its_default() -> None:
    assert load_config(None) == Config()


OVERRIDES = [
    ("grpo.learning_rate=1e-3", "grpo", "learning_rate", 1e-3),
    ("grpo.packed=false", "grpo", "packed", False),
    ("grpo.advantage=rloo", "grpo", "advantage", "rloo"),
    ('grpo.advantage="rloo"', "grpo", "advantage", "rloo"),
    ("policy.name=Qwen/Qwen3-0.6B", "policy", "name", "Qwen/Qwen3-0.6B"),
    ("data.template=Reverse: {text}", "data", "template", "Reverse: {text}"),
    ('reward.scorer={type = "length", max = 3}', "reward", "scorer", {"type": "length", "max": 3}),
    ("reward.scorer=math", "reward", "scorer", "math"),
    ("reward.scorer.type=math", "reward", "scorer", {"type": "math"}),
    ("reward.url=http://127.0.0.1:1=2", "reward", "url", "http://127.0.0.1:1=2"),
]


@pytest.mark.parametrize(("override", "section", "key", "value"), OVERRIDES)
def test_any_value_can_be_set_on_the_command_line(
    override: str, section: str, key: str, value: object
) -> None:
    assert getattr(getattr(load_config(None, [override]), section), key) == value


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("seed = 3\n[grpo]\nsteps = 5\ngroup_size = 4\n")
    config = load_config(file, ["grpo.steps=6", "grpo.steps=7"])
    assert (config.seed, config.grpo.steps, config.grpo.group_size) == (3, 7, 4)


MISTAKES = [
    (
        "grpo.learning_rat=1",
        "grpo.learning_rat: there is no such key; did you mean 'learning_rate'",
    ),
    ("gpro.steps=1", "gpro: there is no such key; did you mean 'grpo'"),
    ("sft.zzz=1", "sft.zzz: there is no such key; known: when, steps"),
    ("grpo.steps=many", "grpo.steps: Input should be a valid integer"),
    ("grpo.steps=0", "grpo.steps: Input should be greater than or equal to 1"),
    ("grpo.temperature=nan", "grpo.temperature: Input should be a finite number"),
    ("grpo.advantage=best", "grpo.advantage: Input should be"),
    ("grpo.steps", "--set takes section.key=value, not 'grpo.steps'"),
    ("seed.x=1", "seed: Input should be a valid integer"),
    ("data.template=Reverse this", "data.template has no {text}"),
    ("data.shortest=30", "data.shortest is greater than data.longest"),
    ("data.train=x.jsonl", "data.train needs data.held_out"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES)
def test_a_mistake_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(None, [override])
    assert message in str(refusal.value)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(None, ["grpo.step=1", "sft.steps=-1"])
    assert "grpo.step:" in str(refusal.value)
    assert "sft.steps:" in str(refusal.value)


def test_an_override_cannot_go_through_a_plain_value() -> None:
    with pytest.raises(ConfigError, match="seed is not a section"):
        load_config(None, ["seed=1", "seed.x=2"])


@pytest.mark.parametrize("content", ["seed = ", "seed = 1\nseed = 2", "\x00"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"run\.toml"):
        load_config(tmp_path / "run.toml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load_config(tmp_path / "nowhere.toml")


def test_the_saved_configuration_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    config = load_config(None, ["seed=5", *(row[0] for row in OVERRIDES[:6])])
    save_config(config, tmp_path / "config.toml")
    assert load_config(tmp_path / "config.toml") == config


def test_only_a_policy_from_scratch_gets_a_cold_start_unless_asked() -> None:
    def cold(*overrides: str) -> bool:
        return load_config(None, overrides).cold_start

    assert cold()
    assert not cold("sft.when=never")
    assert not cold("policy.name=some/model")
    assert cold("policy.name=some/model", "sft.when=always")
