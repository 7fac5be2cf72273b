"""The configuration: overrides, typos, and that what is saved can be given back."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from trainer_client.train.config import Config, ConfigError, load_config, save_config

EVERY_KEY: dict[str, Any] = {
    "seed": 7,
    "threads": 3,
    "device": "cuda:1",
    "policy": {
        "name": "some/model", "hidden_size": 32, "layers": 2, "heads": 2, "kv_heads": 1,
        "head_dim": 8, "mlp_size": 48, "rope_theta": 50.5,
    },
    "data": {
        "train": "a.jsonl", "held_out": 'with "quotes" \\ and\nlines', "demonstrations": "é.jsonl",
        "template": "Reverse {text}", "shortest": 2, "longest": 9, "held_out_size": 10,
    },
    "reward": {
        "url": "http://localhost:1", "scorer": {"type": "weighted", "of": [{"a": 0.5}, True]},
        "max_outage_s": 1.5, "max_unscored_share": 0.5, "unscored_window": 2,
    },
    "sft": {
        "when": "never", "steps": 5, "batch_size": 4, "learning_rate": 1e-4, "warmup_steps": 0,
        "decay_from": 0.5, "final_learning_rate": 0.25, "gibberish": 0.125, "careless": 0.1,
        "careless_long": 0.2, "long_from": 3, "typos": 0.0,
    },
    "grpo": {
        "steps": 3, "prompts_per_step": 2, "group_size": 4, "max_new_tokens": 6,
        "temperature": 0.7, "sampling_batch": 12, "advantage": "rloo", "minibatches": 1,
        "clip_low": 0.1, "clip_high": 0.3, "kl_beta": 0.01, "learning_rate": 1e-5,
        "warmup_steps": 1, "final_learning_rate": 0.5, "max_grad_norm": 2.0, "packed": False,
        "micro_batch_tokens": 100, "checkpoint_every": 4, "keep_checkpoints": 3,
    },
    "monitor": {"gold": "math", "rollouts": 8, "every": 3, "stop": False},
    "evaluation": {"every": 2, "samples": 3, "max_new_tokens": 7},
}  # fmt: skip
"""A value other than the default for every key there is."""


def leaves(values: dict[str, Any], *path: str) -> dict[str, Any]:
    """Every value by its dotted key; a scorer is a value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        where = (*path, key)
        if isinstance(value, dict) and key != "scorer":
            flat |= leaves(value, *where)
        else:
            flat[".".join(where)] = value
    return flat


def test_the_table_above_has_every_key_and_no_default() -> None:
    defaults, others = leaves(Config().model_dump()), leaves(EVERY_KEY)
    assert defaults.keys() == others.keys()
    assert [key for key in defaults if defaults[key] == others[key]] == []


def test_without_a_file_everything_has_a_default() -> None:
    assert load_config(None) == Config()


@pytest.mark.parametrize("values", [{}, EVERY_KEY], ids=["defaults", "every key"])
def test_what_is_saved_can_be_given_back(tmp_path: Path, values: dict[str, Any]) -> None:
    config, file = Config.model_validate(values), tmp_path / "config.toml"
    save_config(config, file)
    assert load_config(file) == config
    assert leaves(tomllib.loads(file.read_text(encoding="utf-8"))) == leaves(config.model_dump())


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_survives_being_saved(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    config = Config.model_validate({"data": {"template": text + "{text}"}, "device": text})
    file = tmp_path_factory.getbasetemp() / "any_text.toml"
    save_config(config, file)
    assert load_config(file) == config


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=3", "seed", 3),
        ("grpo.steps=7", "grpo.steps", 7),
        ("grpo.learning_rate=1e-5", "grpo.learning_rate", 1e-5),
        ("grpo.packed=false", "grpo.packed", False),
        ("grpo.advantage=rloo", "grpo.advantage", "rloo"),
        ('grpo.advantage="rloo"', "grpo.advantage", "rloo"),
        ("policy.name=Qwen/Qwen3-0.6B", "policy.name", "Qwen/Qwen3-0.6B"),
        ("reward.url=http://host:1/?a=b", "reward.url", "http://host:1/?a=b"),
        ("data.template=Reverse: {text}", "data.template", "Reverse: {text}"),
        ('reward.scorer={type = "length", max = 3}', "reward.scorer", {"type": "length", "max": 3}),
        ("reward.scorer.type=length", "reward.scorer", {"type": "length"}),
        ("threads=auto", "threads", "auto"),
        ("policy.name=", "policy.name", ""),
        (" grpo.steps = 7", "grpo.steps", 7),
    ],
)
def test_an_override_sets_one_value(override: str, key: str, value: Any) -> None:
    changed = leaves(load_config(None, [override]).model_dump())
    assert changed == leaves(Config().model_dump()) | {key: value}


def test_overrides_are_on_top_of_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("seed = 1\n[grpo]\nsteps = 5\ngroup_size = 4\n")
    config = load_config(file, ["grpo.steps=6", "grpo.steps=7"])
    assert (config.seed, config.grpo.steps, config.grpo.group_size) == (1, 7, 4)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("grpo.step=3", "grpo.step: there is no such key; did you mean 'steps'?"),
        ("grop.steps=3", "grop: there is no such key; did you mean 'grpo'?"),
        ("sft.zzz=3", "sft.zzz: there is no such key; known: when, steps, "),
        ("grpo", "--set takes section.key=value, not 'grpo'"),
        ("grpo.steps.more=3", "grpo.steps: Input should be a valid integer"),
        ("grpo.steps=many", "grpo.steps: Input should be a valid integer"),
        ("grpo.steps=0", "grpo.steps: Input should be greater than or equal to 1"),
        ("grpo.steps=1.5", "grpo.steps: Input should be a valid integer"),
        ("grpo.group_size=1", "grpo.group_size: "),
        ("grpo.temperature=0", "grpo.temperature: "),
        ("grpo.learning_rate=nan", "grpo.learning_rate: "),
        ("grpo.max_grad_norm=inf", "grpo.max_grad_norm: "),
        ("grpo.advantage=ppo", "grpo.advantage: Input should be 'grpo', 'dr_grpo' or 'rloo'"),
        ("grpo=3", "grpo: "),
        ("threads=some", "threads"),
        ("policy.head_dim=7", "policy.head_dim: "),
        ("data.shortest=30", "data.shortest is greater than data.longest"),
        ("data.train=a.jsonl", "data.train needs data.held_out"),
        ("data.template=Reverse", "data.template has no {text}"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_key(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, [override])
    assert complaint in str(refused.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, ["grpo.steps=0", "sft.stesp=1"])
    assert len(str(refused.value).splitlines()) == 2


def test_an_override_below_a_plain_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[grpo]\nsteps = 5\n")
    with pytest.raises(ConfigError, match=r"--set grpo.steps.more=3: steps is not a section"):
        load_config(file, ["grpo.steps.more=3"])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "there is no file .*run.toml"),
        (b"[grpo\n", "run.toml: "),
        (b"seed = 1\nseed = 2\n", "run.toml: "),
        (b"seed = '\xff'\n", "run.toml: .*utf-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "run.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        load_config(file)


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        load_config(tmp_path)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().grpo.steps = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], True),
        (["policy.name=some/model"], False),
        (["policy.name=some/model", "sft.when=always"], True),
        (["sft.when=never"], False),
    ],
)
def test_a_policy_from_scratch_starts_cold(overrides: list[str], expected: bool) -> None:
    assert load_config(None, overrides).cold_start is expected


def test_every_section_refuses_unknown_keys() -> None:
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            with pytest.raises(ConfigError, match=f"{name}.no_such_key"):
                load_config(None, [f"{name}.no_such_key=1"])
