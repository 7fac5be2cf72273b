"""How one reward model is trained."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from judges.reward_model.model.render import Truncation

Trained = Literal["head", "all"]

SCRATCH_RECIPE = {
    "train": "all",
    "learning_rate": 1e-3,
    "epochs": 20.0,
    "batch_pairs": 64,
    "patience": 8,
}
"""Other defaults where there is nothing yet to be kept."""


class Options(BaseModel):
    """Everything that decides the result, beside the data. Frozen, and kept in the report."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base: str = Field("minilm", description="scratch, minilm, a folder or a hub name.")
    train: Trained = Field(
        "head", description="The last layer alone, or every layer (word embeddings excepted)."
    )
    frozen_layers: int = Field(
        0,
        ge=0,
        description="With every layer trained: all but the first so many, which are read once.",
    )
    max_length: int = Field(256, ge=8, description="Tokens of one text.")
    truncation: Truncation = "trim_prompt"
    heads: int = Field(4, ge=1, le=32, description="Members of the ensemble.")

    max_updates: int = Field(
        300,
        ge=1,
        description="Never more than these: past a few hundred, small reward models learn the "
        "training set's accidents, which a policy then exploits.",
    )
    epochs: float = Field(3.0, gt=0, description="Passes over the data, if fewer updates.")
    batch_pairs: int = Field(32, ge=1, description="Pairs of one update.")
    micro_batch_tokens: int = Field(2_048, ge=8, description="Tokens in memory at a time.")
    learning_rate: float = Field(5e-5, gt=0)
    head_learning_rate: float = Field(
        1e-3, gt=0, description="Of a head trained alone, or from scratch."
    )
    weight_decay: float = Field(0.01, ge=0)
    head_weight_decay: float = Field(3.0, ge=0, description="Of a head trained alone.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the updates.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="Of forward passes.")

    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="Share of wrong labels assumed.")
    centering: float = Field(0.01, ge=0, description="Weight of the squared sum of rewards.")
    length_balance: bool = Field(
        False, description="Train on as many pairs won by the longer completion as by the shorter."
    )

    held_out: float = Field(0.2, ge=0, lt=1, description="Share of prompts kept for the report.")
    validation: float = Field(
        0.1, ge=0, lt=1, description="Share of the other prompts that decides when to stop."
    )
    evaluate_every: int = Field(20, ge=1, description="Updates between looks at validation.")
    patience: int = Field(4, ge=1, description="Looks without improvement before the stop.")
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_base(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("base") == "scratch":
            return {**SCRATCH_RECIPE, **given}
        return given

    @model_validator(mode="after")
    def _scratch_has_no_features(self) -> Self:
        if self.base == "scratch" and self.train == "head":
            raise ValueError("base scratch has random weights, so train must be all")
        if self.frozen_layers and (self.base == "scratch" or self.train == "head"):
            raise ValueError("layers can only stay as they are where a base's others are trained")
        return self
