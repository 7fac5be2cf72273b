"""What a model's folder says beside its weights: `assay.json`, and what its files are called."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from judges.reward_model.model.baseline import Baseline
from judges.reward_model.model.render import Truncation

HEADS, DEEPER = "heads.safetensors", "deeper.safetensors"
CARD, REPORT_JSON = "assay.json", "report.json"


class DataFile(BaseModel):
    """One file that the model was trained or tested on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    pairs: int


class Card(BaseModel):
    """`assay.json`: what serving needs to know beside the checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    max_length: int = Field(ge=8, description="Tokens of one text.")
    truncation: Truncation = "reject"
    reference: Baseline | None = Field(None, description="None for models trained elsewhere.")
    base: str = ""
    data: tuple[DataFile, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    guards: dict[str, JsonValue] | None = Field(
        None, description="Thresholds against degenerate texts, fitted when training ended."
    )
