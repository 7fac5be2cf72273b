"""One TOML file says everything about a run; `--set section.key=value` overrides any of it.

Unknown keys are refused with the nearest known one, so a typo is never a default. The
effective configuration is saved with the run and can be given back as it is.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from trainer_client.train.algorithms.advantages import Estimator


class ConfigError(Exception):
    """The configuration cannot be used. The message names the key."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PolicyConfig(Section):
    """The policy: any Hugging Face model, or a Qwen3 built from scratch of these sizes."""

    name: str = Field("", description="Hugging Face id or folder; empty: built from scratch.")
    hidden_size: int = Field(64, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    kv_heads: int = Field(4, ge=1)
    head_dim: int = Field(16, ge=2, multiple_of=2)
    mlp_size: int = Field(192, ge=8)
    rope_theta: float = Field(100.0, gt=0)


class DataConfig(Section):
    """What is asked: generated texts, or JSONL of {"prompt", "reference"}."""

    train: str = Field("", description="JSONL to train on; empty: texts to reverse.")
    held_out: str = Field("", description="JSONL to evaluate on, never trained on.")
    demonstrations: str = Field("", description='JSONL of {"prompt", "completion"} for `sft`.')
    template: str = Field("{text}", description="The prompt around a generated text.")
    shortest: int = Field(4, ge=1, description="Characters of a generated text.")
    longest: int = Field(20, ge=2)
    held_out_size: int = Field(256, ge=1, description="Texts in each evaluated split.")


class RewardConfig(Section):
    """Who scores, and what happens when they cannot."""

    url: str = Field("http://127.0.0.1:8000", pattern=r"^https?://[^/\s]+")
    scorer: str | dict[str, JsonValue] = Field(
        "string_reversal",
        description='A name, or {"type": NAME, ...parameters}.',
    )
    max_outage_s: float = Field(300.0, gt=0, description="How long to wait for a silent service.")
    max_unscored_share: float = Field(
        0.2, ge=0, le=1, description="A run with a larger share of unscored completions stops."
    )
    unscored_window: int = Field(5, ge=1, description="Steps over which that share is taken.")


class SftConfig(Section):
    """The cold start: supervised fine-tuning on demonstrations."""

    when: Literal["from_scratch", "always", "never"] = "from_scratch"
    steps: int = Field(800, ge=1)
    batch_size: int = Field(24, ge=1)
    learning_rate: float = Field(2.5e-3, gt=0)
    warmup_steps: int = Field(30, ge=0)
    decay_from: float = Field(0.6, ge=0, le=1, description="Share of the steps before the decay.")
    final_learning_rate: float = Field(0.05, ge=0, le=1, description="As a share of the first.")
    gibberish: float = Field(0.3, ge=0, le=1, description="Share that reverses random characters.")
    careless: float = Field(0.3, ge=0, le=1, description="Share that lacks the last character.")
    careless_long: float = Field(0.65, ge=0, le=1, description="The same for long texts ...")
    long_from: int = Field(12, ge=1, description="... of this many characters or more.")
    typos: float = Field(0.2, ge=0, le=1, description="Share with one random typo.")


class GrpoConfig(Section):
    """Reinforcement learning; see `loop.py`."""

    steps: int = Field(80, ge=1)
    prompts_per_step: int = Field(64, ge=1)
    group_size: int = Field(8, ge=2)
    max_new_tokens: int = Field(22, ge=1)
    temperature: float = Field(1.0, gt=0)
    sampling_batch: int = Field(2048, ge=1, description="Completions written at the same time.")
    advantage: Estimator = "grpo"
    minibatches: int = Field(4, ge=1, description="Updates a step, each on a share of its groups.")
    clip_low: float = Field(0.2, ge=0, lt=1)
    clip_high: float = Field(0.28, ge=0)
    kl_beta: float = Field(0.0, ge=0, description="Weight of the KL to the policy at the start.")
    learning_rate: float = Field(8e-4, gt=0)
    warmup_steps: int = Field(5, ge=0)
    final_learning_rate: float = Field(0.1, ge=0, le=1, description="As a share of the first.")
    max_grad_norm: float = Field(1.0, gt=0)
    packed: bool = Field(True, description="Compute a prompt once for its group's completions.")
    micro_batch_tokens: int = Field(2560, ge=1, description="Tokens in one forward pass, about.")
    checkpoint_every: int = Field(10, ge=1)
    keep_checkpoints: int = Field(2, ge=1)


class MonitorConfig(Section):
    """Watches for a reward that rises while what it stands for falls; see `monitoring.py`."""

    gold: str | dict[str, JsonValue] = Field(
        "",
        description="A scorer that is exact, or that was held out, in the form of reward.scorer. "
        "Nothing is learned from it. Empty: no watch.",
    )
    rollouts: int = Field(64, ge=2, description="Completions of a step that gold scores, too.")
    every: int = Field(1, ge=1, description="Steps from one such look to the next.")
    stop: bool = Field(
        True,
        description="End at the alarm, with the policy from about where gold was best. Else go on.",
    )


class EvaluationConfig(Section):
    """How a policy is measured."""

    every: int = Field(10, ge=1, description="Steps between measurements on held-out problems.")
    samples: int = Field(4, ge=1, description="Sampled completions a problem, at temperature 1.")
    max_new_tokens: int = Field(32, ge=1)


class Config(Section):
    seed: int = 0
    threads: int | Literal["auto"] = "auto"
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 ...")
    policy: PolicyConfig = PolicyConfig()
    data: DataConfig = DataConfig()
    reward: RewardConfig = RewardConfig()
    sft: SftConfig = SftConfig()
    grpo: GrpoConfig = GrpoConfig()
    monitor: MonitorConfig = MonitorConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def consistent(self) -> Config:
        if self.data.shortest > self.data.longest:
            raise ValueError("data.shortest is greater than data.longest")
        if self.data.train and not self.data.held_out:
            raise ValueError("data.train needs data.held_out: without it nothing is measured")
        if "{text}" not in self.data.template:
            raise ValueError("data.template has no {text}")
        if self.monitor.gold and self.grpo.prompts_per_step < 2:
            raise ValueError("monitor.gold needs grpo.prompts_per_step of 2 or more")
        return self

    @property
    def cold_start(self) -> bool:
        return self.sft.when == "always" or (
            self.sft.when == "from_scratch" and not self.policy.name
        )


def load_config(file: Path | None, overrides: Iterable[str] = ()) -> Config:
    """The configuration in `file`, if there is one, with `section.key=value` on top.

    Raises:
        ConfigError: the file cannot be read, or a key or value cannot be used.
    """
    values = read_toml(file) if file else {}
    for override in overrides:
        assign(values, override)
    return validated(values)


def validated(values: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(describe(fault) for fault in error.errors())) from None


def read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def assign(values: dict[str, Any], override: str) -> None:
    """Sets one value from `section.key=value`; what is not TOML is taken as text."""
    path, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"--set takes section.key=value, not {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, key = path.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: {section} is not a section")
    values[key] = value


def describe(fault: Any) -> str:
    """A validation error in one line, with the key that was probably meant."""
    *sections, key = fault["loc"] or ("",)
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg']}" if where else str(fault["msg"])
    model: type[BaseModel] = Config
    for section in sections:
        annotation = model.model_fields[section].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    near = difflib.get_close_matches(str(key), model.model_fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(model.model_fields)}"
    return f"{where}: there is no such key; {hint}"


def save_config(config: Config, file: Path) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(tomli_w.dumps(config.model_dump()), encoding="utf-8")
    partial.replace(file)  # a kill leaves the old file or the new one
